package journal

import (
	"context"
	"maps"
	"slices"
	"time"

	"busbar/parties"
	"busbar/routing"
)

// Figures are those of the last minute, of all replicas.
type Figures struct {
	Minute
	// Replicas are those that the figures are of, this one first.
	Replicas []Replica
	// Partial tells that the others could not be asked: the figures are this
	// replica's.
	Partial bool
}

// Replica is what one replica tells of itself.
type Replica struct {
	ID routing.ReplicaID
	// Since is when it started.
	Since time.Time
	// Own is its part of the total.
	Own Second
	// Lanes are the legs that wait at it, by platform.
	Lanes map[parties.PlatformID]int
}

const (
	// figuresTimeout bounds how long the others are asked.
	figuresTimeout = time.Second
	// figuresLate is how much earlier the minute ends when there are several
	// replicas: what passed another one is shown there a tenth of a second late,
	// reported within a second, and then on its way.
	figuresLate = 2 * time.Second
)

// Figures are the last minute of all replicas. One that does not answer for five
// seconds is no longer counted.
func (r *Recorder) Figures(ctx context.Context) Figures {
	now := time.Now()
	own := r.report(now)
	reports, err := r.reports(ctx)
	if len(reports) == 0 {
		minute := r.LastMinute()
		return Figures{Minute: minute, Replicas: []Replica{own.replica(r.cfg.Replica, minute.Total)}, Partial: err != nil}
	}
	at := now.Add(-figuresLate)
	all, failing := newPulse(), make(blamed)
	all.absorb(own, now)
	failing.add(own.failing)
	out := Figures{Replicas: []Replica{own.replica(r.cfg.Replica, own.total(now, at))}}
	for _, id := range slices.Sorted(maps.Keys(reports)) {
		other := reports[id]
		all.absorb(other, now)
		failing.add(other.failing)
		out.Replicas = append(out.Replicas, other.replica(id, other.total(now, at)))
	}
	out.Minute = all.minute(at)
	out.Failing = failing.worst(failingTop)
	return out
}

// reports are what the other replicas have left. One that cannot be read is of a
// later version, and left out.
func (r *Recorder) reports(ctx context.Context) (map[routing.ReplicaID]report, error) {
	if r.exchange == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, figuresTimeout)
	defer cancel()
	packed, err := r.exchange.feed.Reports(ctx)
	if err != nil {
		return nil, err
	}
	reports := make(map[routing.ReplicaID]report)
	for id, raw := range packed {
		if other, err := readReport(raw); err == nil && id != r.cfg.Replica {
			reports[id] = other
		}
	}
	return reports, nil
}

// report is what a replica tells the others of its last minute.
type report struct {
	// at is when it was made, by the replica's own clock.
	at, since time.Time
	beats     []beat // without failing
	failing   blamed
	lanes     map[parties.PlatformID]int
}

// report is this replica's.
func (r *Recorder) report(now time.Time) report {
	out := report{at: now, since: r.since}
	out.beats, out.failing = r.pulse.beats(now)
	if r.cfg.Lanes != nil {
		out.lanes = r.cfg.Lanes()
	}
	return out
}

func (p report) replica(id routing.ReplicaID, own Second) Replica {
	return Replica{ID: id, Since: p.since, Own: own, Lanes: p.lanes}
}

// total is the minute of one replica that ended at a time.
func (p report) total(now, at time.Time) Second {
	alone := newPulse()
	alone.absorb(p, now)
	return alone.minute(at).Total
}

// beats are the seconds in which something passed, the oldest first, and who
// failed in them.
func (p *pulse) beats(now time.Time) (list []beat, failing blamed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	failing = make(blamed)
	for unix := now.Unix() - int64(len(p.seconds)) + 1; unix <= now.Unix(); unix++ {
		b := p.seconds[unix%int64(len(p.seconds))]
		if b.unix != unix {
			continue
		}
		failing.add(b.failing)
		b.failing = nil
		list = append(list, b)
	}
	return list, failing
}

// Clocks that agree to within clockSlack are taken for the same. A report may be
// up to reportAge old when it is read.
const clockSlack, reportAge = 2 * time.Second, 6 * time.Second

// absorb adds a report. That of a clock that is wrong is moved to where it was
// made by this one's.
func (p *pulse) absorb(from report, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	move := now.Unix() - from.at.Unix()
	if d := now.Sub(from.at); d >= -clockSlack && d <= clockSlack+reportAge {
		move = 0
	}
	for i := range from.beats {
		unix := from.beats[i].unix + move
		if unix > now.Unix() || unix <= now.Unix()-int64(len(p.seconds)) {
			continue
		}
		b := &p.seconds[unix%int64(len(p.seconds))]
		b.unix = unix
		b.add(&from.beats[i])
	}
}
