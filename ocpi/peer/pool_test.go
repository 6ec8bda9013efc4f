package peer

import (
	"context"
	"net"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"busbar/ocpi"
)

// slow is a platform that answers when it is told to, request by request.
func slow(release <-chan string) func(*link) {
	return func(l *link) {
		for {
			if _, more := l.request(); !more {
				return
			}
			l.send(<-release)
		}
	}
}

// start sends a call in the background and waits until it can get no further.
func (p *platform) start(ctx context.Context, t *testing.T, c *Client, deadline time.Time) <-chan outcome {
	return p.startFor(ctx, t, nil, c, deadline)
}

// startFor is start, for a requester.
func (p *platform) startFor(ctx context.Context, t *testing.T, requester, c *Client, deadline time.Time) <-chan outcome {
	done := make(chan outcome, 1)
	call := &Call{Method: "POST", Target: target(t, p.url), Body: []byte("{}"), Requester: requester}
	go func() { done <- finish(c.Do(ctx, deadline, call)) }()
	synctest.Wait()
	return done
}

// holds fails the test unless the pool holds so many connections, and nobody
// waits.
func (c *Client) holds(t *testing.T, open, idle int) {
	t.Helper()
	p := c.onlyPool()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open != open || len(p.idle) != idle || p.waiting != 0 || len(p.turns) != 0 {
		t.Fatalf("%d open, %d idle, %d waiting; want %d, %d, 0", p.open, len(p.idle), p.waiting, open, idle)
	}
}

func TestAWaiterGetsTheFreedConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan string)
		p := pipe(t, slow(release))
		p.dialer.maxConns = 1
		c := p.client(t)
		first := p.start(t.Context(), t, c, soon())
		second := p.start(t.Context(), t, c, soon())
		third := p.start(t.Context(), t, c, soon())
		p.counts(t, 1, 1)
		for _, call := range []<-chan outcome{first, second, third} { // first come, first served
			release <- ok(success)
			(<-call).succeeds(t)
		}
		p.counts(t, 1, 3)
		c.holds(t, 1, 1)
	})
}

func TestAWaiterGetsThePlaceOfABrokenConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan string)
		p := pipe(t, slow(release))
		p.dialer.maxConns = 1
		c := p.client(t)
		first := p.start(t.Context(), t, c, soon())
		second := p.start(t.Context(), t, c, soon())
		release <- "nonsense\r\n\r\n"
		(<-first).fails(t, BadAnswer)
		release <- ok(success)
		(<-second).succeeds(t)
		p.counts(t, 2, 2)
		c.holds(t, 1, 1)
	})
}

func TestS4_AllConnectionsInUseUntilTheDeadlineIsBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan string)
		p := pipe(t, slow(release))
		p.dialer.maxConns = 2
		c := p.client(t)
		first, second := p.start(t.Context(), t, c, soon()), p.start(t.Context(), t, c, soon())
		begin := time.Now()
		(<-p.start(t.Context(), t, c, begin.Add(10*time.Second))).fails(t, Busy)
		if waited := time.Since(begin); waited != 10*time.Second {
			t.Errorf("it waited %v", waited)
		}
		release <- ok(success)
		release <- ok(success)
		(<-first).succeeds(t)
		(<-second).succeeds(t)
		p.counts(t, 2, 2)
		c.holds(t, 2, 2)
	})
}

func TestTheQueueHasABound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan string)
		p := pipe(t, slow(release))
		p.dialer.maxConns = 1
		c := p.client(t)
		calls := []<-chan outcome{p.start(t.Context(), t, c, soon())}
		for range maxWaiting {
			calls = append(calls, p.start(t.Context(), t, c, soon()))
		}
		(<-p.start(t.Context(), t, c, soon())).fails(t, Busy)
		for _, call := range calls {
			release <- ok(success)
			(<-call).succeeds(t)
		}
		c.holds(t, 1, 1)
	})
}

func TestACancelledWaiterLeaksNoPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan string)
		p := pipe(t, slow(release))
		p.dialer.maxConns = 1
		c := p.client(t)
		first := p.start(t.Context(), t, c, soon())
		ctx, cancel := context.WithCancel(t.Context())
		gone := p.start(ctx, t, c, soon())
		patient := p.start(t.Context(), t, c, soon())
		cancel()
		(<-gone).fails(t, Cancelled)
		release <- ok(success)
		(<-first).succeeds(t)
		release <- ok(success)
		(<-patient).succeeds(t)
		p.counts(t, 1, 2)
		c.holds(t, 1, 1)
	})
}

// A connection, or a place, may be delivered in the moment in which its waiter
// gives up; it goes to the next one.
func TestWhatIsDeliveredTooLateIsPassedOn(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	// Both ways out of wait are open, and which is taken is left to chance.
	for range 100 {
		for _, broken := range []bool{false, true} {
			near, far := net.Pipe()
			defer far.Close()
			p := &pool{max: 1, idleFor: time.Hour}
			give := func(c *conn) {
				if broken {
					p.forget(c)
				} else {
					p.put(c)
				}
			}
			c, _, _ := p.take(nil)
			c.Conn = near
			_, first, _ := p.take(nil)
			_, second, _ := p.take(nil)
			give(c)
			if got, err := p.wait(ctx, first, soon()); err == nil {
				give(got) // it was not too late
			}
			select {
			case got := <-second.ready:
				if got != c && !broken {
					t.Fatal("a connection was closed for nothing")
				}
			default:
				t.Fatal("what was delivered is lost")
			}
			if p.open != 1 || p.waiting != 0 || p.holders[nil].held != 1 {
				t.Fatalf("%d open, %d waiting, %d held", p.open, p.waiting, p.holders[nil].held)
			}
		}
	}
}

func TestPoolUnderLoad(t *testing.T) {
	t.Parallel()
	p := listen(t, answers(ok(success)))
	p.dialer.maxConns = 4
	c := p.client(t)
	var calls sync.WaitGroup
	requesters := []*Client{nil, p.client(t), p.client(t)}
	for n := range 64 {
		calls.Go(func() {
			for range 10 {
				ctx, cancel := context.WithCancel(t.Context())
				if n%4 == 0 {
					go cancel() // some time, early or late
				}
				got := finish(c.Do(ctx, soon(), &Call{
					Method: "PUT", Target: target(t, p.url), Body: []byte("{}"), Requester: requesters[n%3],
				}))
				if got.failure != Cancelled && (got.err != nil || string(got.body) != success) {
					t.Errorf("%q, %v", got.body, got.err)
				}
				cancel()
			}
		})
	}
	calls.Wait()
	pool := c.onlyPool()
	pool.mu.Lock()
	if pool.open != len(pool.idle) || pool.open > 4 || pool.waiting != 0 {
		t.Errorf("%d open, %d idle, %d waiting when all is done", pool.open, len(pool.idle), pool.waiting)
	}
	if pool.dropHolders(); len(pool.holders) != 0 {
		t.Errorf("%d requesters have something when all is done", len(pool.holders))
	}
	pool.mu.Unlock()
	p.do(t, c, "POST").succeeds(t)
}

func TestCloseWhileBusy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan string)
		p := pipe(t, slow(release))
		p.dialer.maxConns = 1
		c := p.client(t)
		busy := p.start(t.Context(), t, c, soon())
		waiting := p.start(t.Context(), t, c, soon())
		begin := time.Now()
		c.Close()
		(<-waiting).fails(t, Unreachable) // at once
		(<-p.start(t.Context(), t, c, soon())).fails(t, Unreachable)
		if time.Since(begin) != 0 {
			t.Error("a call waited for a pool that was closed")
		}
		release <- ok(success)
		(<-busy).succeeds(t) // what was under way ends well
		p.counts(t, 1, 1)
		c.holds(t, 0, 0)
		c.Close()
	})
}

func TestAClosedClientOpensNothing(t *testing.T) {
	t.Parallel()
	p := listen(t, answers(ok(success)))
	fresh, used := p.client(t), p.client(t)
	p.do(t, used, "POST").succeeds(t)
	fresh.Close()
	used.Close()
	p.do(t, fresh, "POST").fails(t, Unreachable)
	p.do(t, used, "POST").fails(t, Unreachable)
	used.holds(t, 0, 0)
	p.counts(t, 1, 1)
}

func TestAPlatformHasABoundOfHosts(t *testing.T) {
	t.Parallel()
	p := listen(t, answers(ok(success)))
	opened := p.dialer.open
	p.dialer.open = func(ctx context.Context, _ *Target) (net.Conn, error) { return opened(ctx, target(t, p.url)) }
	c := p.client(t)
	to := func(n int) outcome {
		url := "http://h" + strconv.Itoa(n) + ".example/"
		return finish(c.Do(t.Context(), soon(), &Call{Method: "GET", Target: target(t, url)}))
	}
	for n := range maxHosts {
		to(n).succeeds(t)
	}
	// One that nobody talks to gives way; when all are in use, none does.
	to(maxHosts).succeeds(t)
	if len(c.pools) != maxHosts {
		t.Errorf("%d pools, want %d", len(c.pools), maxHosts)
	}
	for _, pool := range c.pools {
		pool.mu.Lock()
		pool.open++ // a call under way
		pool.mu.Unlock()
	}
	to(maxHosts+1).fails(t, Unreachable)
	// TLS to a host is another connection than plain text.
	if a, b := target(t, "http://h:443/"), target(t, "https://h/"); (poolKey{a.tls, a.addr, false}) == (poolKey{b.tls, b.addr, false}) {
		t.Error("http and https share a pool")
	}
	if c.Form() != ocpi.TokenBase64 {
		t.Error("the form changed")
	}
}
