package rediscache

import (
	"context"
	"strconv"
	"time"
)

const (
	// followSoon is how often it is asked what has ended while somebody waits.
	followSoon = 50 * time.Millisecond
	// leftEvery is in which round it is asked entry by entry what is left; in the
	// others only what was before the first of a stream is found out.
	leftEvery = 5
	// mostLeft bounds the answer to that.
	mostLeft = 1000
)

// follow learns which broadcasts of this replica have ended elsewhere, until ctx
// ends. Of those that end here it knows.
func (b *Broadcasts) follow(ctx context.Context) {
	every := min(followSoon, b.cfg.Pace.Look)
	tick := time.NewTicker(every)
	defer tick.Stop()
	round := 0
	looked := b.heart.clock()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		stopping := b.appender.stopping.Load()
		if !stopping && b.heart.clock()-looked < b.cfg.Pace.Look {
			continue
		}
		looked = b.heart.clock()
		round++
		// What fails is asked again; that Redis does not answer is told elsewhere.
		if err := b.lookFirst(ctx); err == nil && (stopping || round%leftEvery == 0) {
			b.lookLeft(ctx)
		}
	}
}

// question is about the entries of this replica in a stream, from first to last.
type question struct {
	partition   int
	first, last streamID
}

// questions are about all partitions where something is open.
func (a *appender) questions() (list []question, epoch string, call int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for p := range a.there {
		s := &a.there[p]
		if s.open() == 0 {
			continue
		}
		first := s.list[0].id
		if first.before(s.looked) {
			first = s.looked
		}
		list = append(list, question{p, first, s.list[len(s.list)-1].id})
	}
	return list, a.epoch, a.call
}

// lookFirst ends what was before the first entry of its stream.
func (b *Broadcasts) lookFirst(ctx context.Context) error {
	list, epoch, call := b.appender.questions()
	if len(list) == 0 {
		return nil
	}
	keys := []string{b.keys.epoch, b.keys.calls(b.cfg.Replica)}
	for _, q := range list {
		keys = append(keys, b.keys.streams[q.partition])
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	reply, err := b.scripts.first.Run(ctx, b.client, keys, epoch, call).StringSlice()
	if err != nil {
		b.suspect(err)
		return err
	}
	if !b.kept(reply, epoch) || len(reply) != 1+len(list) {
		return errUnexpected
	}
	b.appender.finish(epoch, func(done func(*open)) {
		for i, q := range list {
			first, err := parseID(reply[1+i])
			s := &b.appender.there[q.partition]
			for _, o := range s.list {
				// Without a first one the stream is empty.
				if q.last.before(o.id) || err == nil && !o.id.before(first) {
					break
				}
				if !o.over {
					done(o)
				}
			}
		}
	})
	return nil
}

// kept tells whether Redis has what it had.
func (b *Broadcasts) kept(reply []string, epoch string) bool {
	switch {
	case len(reply) == 2 && reply[0] == "lost":
		if last, err := strconv.ParseInt(reply[1], 10, 64); err == nil {
			b.appender.lost(epoch, last)
		}
	case len(reply) == 1 && reply[0] == "emptied":
		b.heart.hurry()
	}
	return len(reply) > 0 && reply[0] == "kept"
}

// lookLeft ends what is no longer in its stream. It asks for what was taken and
// has not ended, which Redis tells without reading the entries.
func (b *Broadcasts) lookLeft(ctx context.Context) {
	list, epoch, call := b.appender.questions()
	for _, q := range list {
		keys := []string{b.keys.epoch, b.keys.calls(b.cfg.Replica), b.keys.streams[q.partition]}
		short, cancel := context.WithTimeout(ctx, readTimeout)
		reply, err := b.scripts.left.Run(short, b.client, keys,
			epoch, call, group, q.first.String(), q.last.String(), mostLeft).StringSlice()
		cancel()
		b.suspect(err)
		if err != nil || !b.kept(reply, epoch) || len(reply) < 2 {
			return
		}
		b.endMissing(q, reply, epoch)
	}
}

// endMissing ends those of a question that are neither left nor to come.
func (b *Broadcasts) endMissing(q question, reply []string, epoch string) {
	upTo, err := parseID(reply[1])
	if err != nil {
		return
	}
	left := make(map[streamID]bool, len(reply)-2)
	for _, name := range reply[2:] {
		id, err := parseID(name)
		if err != nil {
			return
		}
		left[id] = true
		if len(reply)-2 == mostLeft && id.before(upTo) && name == reply[len(reply)-1] {
			upTo = id // what is behind is asked next time
		}
	}
	b.appender.finish(epoch, func(done func(*open)) {
		s := &b.appender.there[q.partition]
		s.looked = streamID{}
		if len(left) == mostLeft {
			s.looked = upTo
		}
		for _, o := range s.list[s.place(q.first):] {
			if upTo.before(o.id) || q.last.before(o.id) {
				break
			}
			if !o.over && !left[o.id] {
				done(o)
			}
		}
	})
}
