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

// endingsMost bounds the legs that are told to those who begin to listen.
const endingsMost = 256

// remember keeps the newest legs.
func (v *live) remember(legs *routing.Legs) {
	if len(v.endings) == endingsMost {
		v.endings = append(v.endings[:0], v.endings[endingsMost/2:]...)
	}
	v.endings = append(v.endings, *legs)
	v.endingsTotal++
}

// shown counts the messages and legs of this replica.
func (v *live) shown() (messages, legs int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.total, v.endingsTotal
}

// since is what this replica has shown after so many messages and legs had been,
// as far as it still has them and they are not older than oldest.
func (v *live) since(shown, endings int64, oldest time.Time) news {
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
	out := news{messages: since}
	for _, l := range v.endings[max(0, len(v.endings)-int(v.endingsTotal-endings)):] {
		if l.Time.Add(l.Duration).After(oldest) {
			out.legs = append(out.legs, l)
		}
	}
	return out
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
