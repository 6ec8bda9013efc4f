package journal

import (
	"context"
	"slices"
	"time"

	"busbar/routing"
)

// seenFor is how long a message that was searched for may come again: from a
// replica that had stored it and told of it late.
const seenFor = 10 * time.Second

// newest are the messages of all replicas that a new listener is shown first, the
// newest first. Of what others have not yet stored, it knows nothing; of a store
// that fails, the ring takes the place.
func (r *Recorder) newest(ctx context.Context, f Filter, most int) []routing.Message {
	if most == 0 || r.cfg.Store == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, searchFor)
	defer cancel()
	page, err := r.Search(ctx, Query{Filter: f, Limit: most})
	if err != nil {
		return nil
	}
	messages := make([]routing.Message, len(page.Items))
	for i := range page.Items {
		messages[i] = page.Items[i].Message
	}
	return messages
}

// past are the newest messages that a listener is shown first, the oldest first:
// those of the ring and, of all replicas, those that were stored. It remembers
// these, since they may come again.
func (v *live) past(l *Listener, stored []routing.Message, most int) []*routing.Message {
	var past []*routing.Message
	for i := 1; i <= recentMost && len(past) < most; i++ {
		if m := v.recent[(v.next-i+recentMost)%recentMost]; !m.Time.IsZero() && l.match.message(&m) {
			past = append(past, &m)
		}
	}
	if len(stored) > 0 {
		past = newestOf(past, stored, most)
		l.seen, l.seenUntil = make(map[place]struct{}, len(past)), time.Now().Add(seenFor)
		for _, m := range past {
			l.seen[placeOf(m)] = struct{}{}
		}
	}
	slices.Reverse(past)
	return past
}

// newestOf merges the two, the newest first.
func newestOf(ring []*routing.Message, stored []routing.Message, most int) []*routing.Message {
	for i := range stored {
		ring = append(ring, &stored[i])
	}
	slices.SortStableFunc(ring, func(a, b *routing.Message) int { return placeOf(b).compare(placeOf(a)) })
	ring = slices.CompactFunc(ring, func(a, b *routing.Message) bool { return placeOf(a) == placeOf(b) })
	return ring[:min(len(ring), most)]
}

// saw tells that the listener was shown a message at first.
func (l *Listener) saw(m *routing.Message) bool {
	if l.seen == nil {
		return false
	}
	if time.Now().After(l.seenUntil) {
		l.seen = nil
		return false
	}
	_, saw := l.seen[placeOf(m)]
	return saw
}

// shown counts the messages of this replica.
func (v *live) shown() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.total
}

// since are the messages of this replica that were shown after so many had been,
// as far as the ring has them and none is older than oldest.
func (v *live) since(shown int64, oldest time.Time) []routing.Message {
	v.mu.Lock()
	defer v.mu.Unlock()
	var since []routing.Message
	for i, left := 1, v.total-shown; i <= recentMost && left > 0; i++ {
		at := (v.next - i + recentMost) % recentMost
		if !v.own[at] {
			continue
		}
		left--
		if m := &v.recent[at]; m.Time.Add(m.Duration).After(oldest) {
			since = append(since, *m)
		}
	}
	slices.Reverse(since)
	return since
}

// heard tells the listeners whether the other replicas are.
func (v *live) heard(partial bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.partial == partial {
		return
	}
	v.partial = partial
	for l := range v.listeners {
		l.partial.Store(partial)
		select {
		case l.events <- Event{}:
		default: // it has enough to wake up for
		}
	}
}

// lost tells the listeners that events of other replicas are.
func (v *live) lost(events int64) {
	if events == 0 {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for l := range v.listeners {
		l.lost.Add(events)
		select {
		case l.events <- Event{}:
		default:
		}
	}
}
