package routing

import (
	"context"

	"busbar/catalog"
)

// Parcels is the OutboxStore, as far as the Fanout needs it: what was accepted of
// a Token, of which the hub keeps no copy.
type Parcels interface {
	Later(ctx context.Context, b *Broadcast, behind int64) (later []*Broadcast, open bool, err error)
	LastParcel(ctx context.Context) (int64, error)
}

// sendUnkept sends what the hub does not keep. For one that comes again there is no
// newest state; but the record has what was accepted behind it as long as it is open.
// So it goes in one with all of that, and no receiver goes back, whichever of them it
// has had. The later ones, when it is their turn, end without being sent: what they
// are in is on the receipt of the one that came again, which keeps them in the
// record. It is false when newest would be.
func (f *Fanout) sendUnkept(h Handed, r *receipt) bool {
	b, tenure := h.Broadcast, f.tenureOf(h)
	if f.cfg.Parcels == nil || b.Parcel == 0 {
		f.send(b, r)
		return true
	}
	if !tenure.beginTokens(f, h) {
		return false
	}
	sent, doubtful := tenure.sentBefore(b)
	switch {
	case sent:
		f.leaveOut(b, r, OutcomeSuperseded)
		return true
	case !h.Again && !b.Present && !doubtful:
		f.send(b, r)
		return true
	}
	state, upTo, ok := f.withLater(h)
	switch {
	case !ok:
		return false
	case state == nil:
		f.leaveOut(b, r, OutcomeSuperseded)
		return true
	}
	tenure.sendAhead(b, upTo)
	f.send(state, r)
	return true
}

// withLater is a Token push in one with those that were accepted behind it, up to a
// parcel; nil when it has ended.
func (f *Fanout) withLater(h Handed) (state *Broadcast, upTo int64, ok bool) {
	state, upTo = h.Broadcast, h.Parcel
	for {
		var later []*Broadcast
		var open bool
		ok := f.insist(h, func(ctx context.Context) (err error) {
			later, open, err = f.cfg.Parcels.Later(ctx, h.Broadcast, upTo)
			return err
		})
		switch {
		case !ok:
			return nil, 0, false
		case !open:
			return nil, 0, true
		case len(later) == 0:
			return state, upTo, true
		}
		for _, b := range later {
			state, upTo = state.followedBy(b), b.Parcel
		}
	}
}

// followedBy is a push in one with a later one of its Token, under its own URL and
// ids. A PUT replaces it, the members of a PATCH replace its own. What was accepted
// is a JSON object: nothing else is merged.
func (b *Broadcast) followedBy(later *Broadcast) *Broadcast {
	both := *b
	if later.Method == "PUT" {
		both.Method, both.Body = later.Method, later.Body
	} else if body, ok := catalog.Patched(b.Body, later.Body); ok {
		both.Body = body
	}
	return &both
}

// sentTokens are the Tokens of which a Tenure has sent later pushes in one with one
// that came again.
type sentTokens struct {
	// begun tells that floor is known: what was accepted up to it may have been sent
	// so by the replica before.
	begun bool
	floor int64
	// ahead are, by Token, the parcels behind one, up to another, that were sent with
	// it.
	ahead map[string]stretch
}

type stretch struct{ behind, upTo int64 }

// beginTokens finds out what other replicas may have sent. It is false when the tenure is
// over already, or the Fanout has stopped.
func (t *Tenure) beginTokens(f *Fanout, h Handed) bool {
	t.mu.Lock()
	begun := t.tokens.begun
	t.mu.Unlock()
	if begun {
		return true
	}
	var last int64
	ok := f.insist(h, func(ctx context.Context) (err error) {
		last, err = f.cfg.Parcels.LastParcel(ctx)
		return err
	})
	if ok {
		t.mu.Lock()
		t.tokens.begun, t.tokens.floor = true, last
		t.mu.Unlock()
	}
	return ok
}

// sendAhead notes that a push is sent in one with the later ones up to a parcel.
func (t *Tenure) sendAhead(b *Broadcast, upTo int64) {
	if upTo == b.Parcel {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.tokens.ahead) >= mostAhead {
		for _, s := range t.tokens.ahead {
			t.tokens.floor = max(t.tokens.floor, s.upTo)
		}
		t.tokens.ahead = nil
	}
	if t.tokens.ahead == nil {
		t.tokens.ahead = make(map[string]stretch)
	}
	t.tokens.ahead[b.Token()] = stretch{b.Parcel, upTo}
}

// sentBefore tells that a push was sent with an earlier one; doubtful that another
// replica may have done so.
func (t *Tenure) sentBefore(b *Broadcast) (sent, doubtful bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.tokens.ahead) > 0 {
		token := b.Token()
		s := t.tokens.ahead[token]
		if sent = s.behind < b.Parcel && b.Parcel <= s.upTo; sent && b.Parcel == s.upTo {
			delete(t.tokens.ahead, token)
		}
	}
	return sent, !sent && b.Parcel <= t.tokens.floor
}
