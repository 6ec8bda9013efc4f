package peer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"busbar/ocpi"
)

// Client calls one platform. It is safe for concurrent use. Close it when the
// platform is gone.
type Client struct {
	dialer *Dialer
	memory Memory

	auth atomic.Pointer[authorization]

	mu    sync.Mutex
	pools map[poolKey]*pool
	// last caches the pool that was used last: most platforms have one host.
	last   atomic.Pointer[lastPool]
	closed bool
}

type poolKey struct {
	tls  bool
	addr string
	// guarded connections were made to a public address whatever the Dialer allows.
	guarded bool
}

type lastPool struct {
	key  poolKey
	pool *pool
}

// authorization is the header's value, made once, and what is known of the
// form.
type authorization struct {
	token ocpi.CredentialsToken
	form  ocpi.TokenForm
	value string
	// refused is set when the other form got a 401 as well: trying again would
	// double every refused call.
	refused bool
}

// NewClient makes the client of a platform that reads token in form; an empty
// form means that it is not known yet, and Base64 is tried first.
func (d *Dialer) NewClient(token ocpi.CredentialsToken, form ocpi.TokenForm) *Client {
	c := &Client{dialer: d, memory: d.memory(), pools: make(map[poolKey]*pool)}
	c.SetToken(token, form)
	return c
}

// Memory bounds the bytes of bodies that are held for the platform.
func (c *Client) Memory() Memory { return c.memory }

// SetToken changes the token for all calls that begin afterwards.
func (c *Client) SetToken(token ocpi.CredentialsToken, form ocpi.TokenForm) {
	if form == "" {
		form = ocpi.TokenBase64
	}
	c.auth.Store(&authorization{token: token, form: form, value: token.Authorization(form)})
}

// Form is how the platform reads the token, as far as is known.
func (c *Client) Form() ocpi.TokenForm { return c.auth.Load().form }

// Call is one request to the platform.
type Call struct {
	Method string
	Target *Target
	// Path and Query are joined to the target, escaped.
	Path, Query string
	// Headers are sent as they are spelled, behind Host and Authorization.
	Headers []ocpi.Header
	Body    []byte

	// Anonymous leaves the Authorization header out: for a URL of the platform
	// that is on none of its registered hosts.
	Anonymous bool

	// Stranger is for a URL whose host's name is none of the registered ones'. It
	// has to be public even where platforms may live on private addresses: the
	// operator sees which hosts are registered, and nobody sees this one, which
	// came in a message.
	Stranger bool

	// Brisk is for one of many calls that are made at the same time. It leaves the
	// look at a connection out that was used a moment ago. What a
	// platform sends unasked, or its closing the connection in that moment, then
	// spoils the call: for calls whose answer nobody else is given.
	Brisk bool

	// Held is asked in the moment before the call is written: when it says no,
	// nothing is. Nil: it is always written.
	Held func() bool

	// Requester is the client of the platform for which the call is made: the answer
	// takes of its memory, and the call of its share of the connections. Nil is the
	// hub itself; the answer then takes of the called platform's memory.
	Requester *Client

	// slash is the trailing slash that the peer asked for.
	slash slash
}

// Do sends the call and reads the whole answer before the deadline. A call
// that is refused with 401 is sent once more with the token in the other form,
// and the form that worked is remembered; one that is sent to the same URL with
// or without a trailing slash is sent there once (both field-quirks). No other
// redirect is followed. The error is always an *Error. Release the answer when
// its bytes were used.
func (c *Client) Do(ctx context.Context, deadline time.Time, call *Call) (*Answer, error) {
	answer, err := c.authorized(ctx, deadline, call)
	if err != nil || answer.Status()/100 != 3 {
		return answer, err
	}
	slash := call.redirectedSlash(answer)
	if slash == asAdvertised {
		return answer, nil
	}
	again := *call
	again.slash = slash
	second, err := c.authorized(ctx, deadline, &again)
	if err != nil {
		return better(answer, err)
	}
	answer.Release()
	if second.Status()/100 != 3 && call.Path == "" {
		call.Target.slash.Store(int32(slash))
	}
	return second, nil
}

// authorized sends a call, with the token in the other form after a 401.
func (c *Client) authorized(ctx context.Context, deadline time.Time, call *Call) (*Answer, error) {
	auth := c.auth.Load()
	answer, err := c.exchange(ctx, deadline, call, auth.value)
	if err != nil || answer.Status() != 401 || auth.refused || call.Anonymous {
		return answer, err
	}
	other := &authorization{token: auth.token, form: auth.form.Other()}
	other.value = auth.token.Authorization(other.form)
	second, err := c.exchange(ctx, deadline, call, other.value)
	if err != nil {
		return better(answer, err)
	}
	if second.Status() == 401 {
		second.Release()
		refused := *auth
		refused.refused = true
		c.auth.CompareAndSwap(auth, &refused)
		return answer, nil
	}
	c.auth.CompareAndSwap(auth, other)
	answer.Release()
	return second, nil
}

// better is what a call came to whose second attempt failed: the first answer
// if nothing was sent again, else the failure, since the peer may have acted.
func better(first *Answer, second error) (*Answer, error) {
	if f := FailureOf(second); f == Unreachable || f == Busy || f == Withdrawn {
		return first, nil
	}
	first.Release()
	return nil, second
}

// Close closes idle connections now and busy ones when their call ends.
func (c *Client) Close() { c.sweep(time.Now(), true) }

// Sweep closes connections that have been idle too long. Call it now and then.
func (c *Client) Sweep(now time.Time) { c.sweep(now, false) }

func (c *Client) sweep(now time.Time, closePools bool) {
	c.mu.Lock()
	c.closed = c.closed || closePools
	pools := make([]*pool, 0, len(c.pools))
	for _, p := range c.pools {
		pools = append(pools, p)
	}
	c.mu.Unlock()
	for _, p := range pools {
		p.sweep(now, closePools)
	}
}

// maxHosts bounds the hosts of one platform, whose URLs are its own to choose.
const maxHosts = 16

// evict gives up a host that nobody is talking to now, for another.
func (c *Client) evict() bool {
	for key, p := range c.pools {
		if p.retire() {
			delete(c.pools, key)
			c.last.Store(nil)
			return true
		}
	}
	return false
}

func (c *Client) pool(t *Target, guarded bool) (*pool, error) {
	key := poolKey{t.tls, t.addr, guarded}
	if last := c.last.Load(); last != nil && last.key == key {
		return last.pool, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pools[key]
	switch {
	case p != nil:
	case c.closed:
		return nil, errPoolClosed
	case len(c.pools) >= maxHosts && !c.evict():
		return nil, errTooManyHosts
	default:
		p = c.dialer.newPool(*t, guarded)
		c.pools[key] = p
	}
	c.last.Store(&lastPool{key, p})
	return p, nil
}
