package rediscache

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The bounds of one call. A broadcast beyond the second goes alone.
const (
	mostAppended      = 128
	mostAppendedBytes = 1 << 20
)

// batch is what one call appends. The same is tried until it is answered: the
// number of the call is all that Redis compares.
type batch struct {
	epoch     string
	call      int64
	list      []*open
	keys      []string
	arguments []any
	// at are the places of the partitions' streams among the keys.
	at [partitions]int
	// began is when it was tried last.
	began time.Time
}

// batch takes what is to be appended next; nil when there is nothing, or when
// nothing is known of Redis yet.
func (a *appender) batch() *batch {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.trying != nil {
		return a.trying
	}
	if a.next == nil || a.epoch == "" {
		return nil
	}
	b := &batch{epoch: a.epoch, call: a.call + 1}
	bytes := 0
	for o := a.next; o != nil && len(b.list) < mostAppended; o = o.next {
		if bytes += len(o.broadcast.Body); bytes > mostAppendedBytes && len(b.list) > 0 {
			break
		}
		b.list = append(b.list, o)
	}
	a.trying = b
	return b
}

// encode makes the call of a batch. Its broadcasts do not change: what slim puts
// in their place later means the same.
func (a *appender) encode(b *batch) error {
	if len(b.keys) > 0 {
		return nil // it was tried before
	}
	log := a.log
	keys := []string{log.keys.epoch, log.keys.newest, log.keys.calls(log.cfg.Replica)}
	b.arguments, b.at = []any{b.epoch, b.call, log.keys.channel, group}, [partitions]int{}
	for _, o := range b.list {
		a.mu.Lock()
		broadcast, again := o.broadcast, "0"
		if o.again {
			again = "1"
		}
		if o.had {
			repeated := *broadcast
			repeated.Repeated = true
			broadcast = &repeated
		}
		a.mu.Unlock()
		field, value, body, err := encodeEntry(broadcast, o.partition, log.cfg.Sealer)
		if err != nil {
			return fmt.Errorf("append a broadcast: %w", err)
		}
		if b.at[o.partition] == 0 {
			keys = append(keys, log.keys.streams[o.partition])
			b.at[o.partition] = len(keys)
		}
		kind, number := "r", broadcast.Revision
		if number == 0 {
			kind, number = "p", broadcast.Parcel
		}
		b.arguments = append(b.arguments, b.at[o.partition], o.partition, kind, number, again, field, value, body)
	}
	b.keys = keys
	return nil
}

// send appends a batch. An error is Redis' not answering; what it has lost is
// brought to it by the next one.
func (a *appender) send(ctx context.Context, b *batch) error {
	if err := a.encode(b); err != nil {
		return err
	}
	log := a.log
	b.began = time.Now()
	short, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	reply, err := log.scripts.append.Run(short, log.client, b.keys, b.arguments...).StringSlice()
	switch {
	case err != nil:
		log.suspect(err)
		return fmt.Errorf("append broadcasts: %w", err)
	case len(reply) == 1 && reply[0] == "emptied":
		return a.relearn(ctx, b.epoch)
	case len(reply) == 2 && reply[0] == "lost":
		return a.goBack(b, reply[1])
	case len(reply) == 2 && reply[0] == "appended":
		return a.sent(b, strings.Fields(reply[1]))
	}
	return fmt.Errorf("append broadcasts: %w", errUnexpected)
}

// relearn asks for the epoch, and waits a moment for it.
func (a *appender) relearn(ctx context.Context, epoch string) error {
	a.log.heart.hurry()
	a.mu.Lock()
	known := a.epoch != epoch
	a.mu.Unlock()
	if !known {
		pause(ctx, notSooner)
	}
	return nil
}

// goBack goes on behind the last call that Redis has. It has none beyond the
// batch's: a number is used for one batch only.
func (a *appender) goBack(b *batch, call string) error {
	last, err := strconv.ParseInt(call, 10, 64)
	if err != nil || last > b.call {
		return fmt.Errorf("append broadcasts: redis has call %.20q, this is %d: does another replica have the same id?", call, b.call)
	}
	a.lost(b.epoch, last)
	return nil
}

// sent notes what Redis has taken.
func (a *appender) sent(b *batch, ids []string) error {
	if len(ids) != len(b.list) {
		return fmt.Errorf("append broadcasts: %w", errUnexpected)
	}
	parsed := make([]streamID, len(ids))
	for i := range ids {
		id, err := parseID(ids[i])
		if err != nil {
			return fmt.Errorf("append broadcasts: %w", err)
		}
		parsed[i] = id
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.trying != b {
		return nil // it was lost as soon as it was there
	}
	a.trying = nil
	for i, o := range b.list {
		o.call, o.id = b.call, parsed[i]
		o.letGo()
		a.there[o.partition].list = append(a.there[o.partition].list, o)
	}
	a.call = b.call
	a.next = b.list[len(b.list)-1].next
	a.waits -= len(b.list)
	a.heard(time.Since(b.began), mostAppended)
	return nil
}
