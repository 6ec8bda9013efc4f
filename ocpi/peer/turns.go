package peer

import (
	"maps"
	"slices"
)

// maxWaiting bounds the calls that wait for a connection of one pool; the next
// one is refused at once.
const maxWaiting = 1024

// holder is a platform for which calls are made, or the hub itself, at one pool:
// what it has of the connections, and its queue. Whatever one platform asks of a
// host, the others reach it.
type holder struct {
	// hub tells the hub itself. Its calls are few and bounded where they are made,
	// so it may have what is there.
	hub     bool
	held    int
	waiting []*turn
}

// turn is a call that waits. ready has room, so that nobody waits to deliver.
type turn struct {
	of    *holder
	ready chan *conn
}

// oneMore tells whether h may have one more of most things, of which it has own
// and all have all: a platform never has more than it leaves free. One alone has
// half, two have a third each; and each has one as long as there is any.
func (h *holder) oneMore(own, all, most int) bool {
	return all < most && (own == 0 || h.hub || own+1 <= most-all-1)
}

// What follows needs the pool's lock.

func (p *pool) holder(requester *Client) *holder {
	h := p.holders[requester]
	if h == nil {
		if p.holders == nil {
			p.holders = make(map[*Client]*holder)
		}
		h = &holder{hub: requester == nil}
		p.holders[requester] = h
	}
	return h
}

// dropHolders forgets those that have nothing here.
func (p *pool) dropHolders() {
	maps.DeleteFunc(p.holders, func(_ *Client, h *holder) bool { return h.held == 0 && len(h.waiting) == 0 })
}

func (p *pool) mayHold(h *holder) bool { return h.oneMore(h.held, p.open-len(p.idle), p.max) }

// give takes an idle connection, or a place, which mayHold has found to be there.
func (p *pool) give(h *holder) *conn {
	h.held++
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		c.holder = h
		return c
	}
	p.open++
	return &conn{holder: h}
}

func (p *pool) queue(h *holder) (*turn, error) {
	if !h.oneMore(len(h.waiting), p.waiting, maxWaiting) {
		return nil, errPoolBusy
	}
	t := &turn{of: h, ready: make(chan *conn, 1)}
	if len(h.waiting) == 0 {
		p.turns = append(p.turns, h)
	}
	h.waiting = append(h.waiting, t)
	p.waiting++
	return t, nil
}

// serve gives what came free to those that wait, holder by holder. Giving to one
// never lets another have more, so that one pass is enough.
func (p *pool) serve() {
	for i := 0; i < len(p.turns); {
		h := p.turns[i]
		if !p.mayHold(h) {
			i++
			continue
		}
		t := h.waiting[0]
		h.waiting = h.waiting[1:]
		p.waiting--
		p.turns = slices.Delete(p.turns, i, i+1)
		if len(h.waiting) > 0 {
			p.turns = append(p.turns, h)
		}
		t.ready <- p.give(h)
	}
}

// leave takes a call out of its queue; false when it is there no longer.
func (p *pool) leave(t *turn) bool {
	h := t.of
	i := slices.Index(h.waiting, t)
	if i < 0 {
		return false
	}
	h.waiting = slices.Delete(h.waiting, i, i+1)
	p.waiting--
	if len(h.waiting) == 0 {
		i := slices.Index(p.turns, h)
		p.turns = slices.Delete(p.turns, i, i+1)
	}
	return true
}

// sendAway ends the waiting of all.
func (p *pool) sendAway() {
	for _, h := range p.turns {
		for _, t := range h.waiting {
			close(t.ready)
		}
		h.waiting = nil
	}
	p.turns, p.waiting = nil, 0
}
