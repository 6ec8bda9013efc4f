package journal

import (
	"context"
	"log/slog"
	"slices"
	"time"
)

const (
	// saveTimeout bounds one attempt to store a segment.
	saveTimeout = 10 * time.Second
	// After a failure the next attempt waits, longer each time up to a bound.
	retryFirst, retryMost = 500 * time.Millisecond, 15 * time.Second
	// endTimeout bounds what is stored when the hub stops.
	endTimeout = 10 * time.Second
)

// write stores waiting segments, the oldest first, until ended is closed and
// none is left.
func (r *Recorder) write(ended <-chan struct{}) {
	if r.cfg.Store == nil {
		<-ended
		return
	}
	var f failures
	for {
		again := r.writeNext(context.Background(), &f)
		written := r.written
		var pause <-chan time.Time
		if f.wait > 0 {
			written, pause = nil, time.After(f.wait)
		} else if again {
			notify(r.written)
		}
		select {
		case <-ended:
			r.writeRest()
			return
		case <-written:
		case <-pause:
		}
	}
}

// failures of the store, one after the other.
type failures struct{ wait time.Duration }

// writeNext stores the oldest segment; it is false when there is none.
func (r *Recorder) writeNext(ctx context.Context, f *failures) bool {
	r.mu.Lock()
	if len(r.waiting) == 0 {
		r.mu.Unlock()
		return false
	}
	next := r.waiting[0]
	r.mu.Unlock()

	saving, cancel := context.WithTimeout(ctx, saveTimeout)
	err := r.cfg.Store.SaveSegment(saving, next)
	cancel()
	if err != nil {
		if f.wait == 0 {
			r.cfg.Logger.Warn("the journal cannot be stored; it is kept in memory meanwhile", "error", err)
		}
		f.wait = min(max(2*f.wait, retryFirst), retryMost)
		return true
	}
	if f.wait > 0 {
		r.cfg.Logger.Info("the journal can be stored again")
		f.wait = 0
	}
	r.stored(next)
	return true
}

// stored takes the segment off the list, if it was not dropped meanwhile.
func (r *Recorder) stored(s Segment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = slices.DeleteFunc(r.waiting, func(w Segment) bool { return w.ID == s.ID })
}

// writeRest stores what is left, while there is time.
func (r *Recorder) writeRest() {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	for f := (failures{}); r.writeNext(ctx, &f); {
		if f.wait > 0 {
			r.mu.Lock()
			lost := 0
			for _, s := range r.waiting {
				lost += s.Records
			}
			r.dropped += int64(lost)
			r.mu.Unlock()
			r.cfg.Logger.Error("the end of the journal is lost", "records", lost)
			return
		}
	}
}

// loss logs an episode in which records are dropped once, and how many they
// were when it is over.
type loss struct {
	reported, before int64
	last             time.Time
	during           bool
}

// lossOver is how long nothing is dropped when an episode is over.
const lossOver = 10 * time.Second

func (l *loss) report(logger *slog.Logger, dropped int64, now time.Time) {
	switch {
	case dropped > l.reported:
		if !l.during {
			l.during, l.before = true, l.reported
			logger.Warn("the journal drops records: they come faster than they can be written")
		}
		l.reported, l.last = dropped, now
	case l.during && now.Sub(l.last) >= lossOver:
		l.during = false
		logger.Warn("the journal drops no more records", "dropped", dropped-l.before)
	}
}
