package journal

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	"busbar/ocpi"
	"busbar/routing"
)

// Second is what passed this replica in one second.
type Second struct {
	Time             time.Time
	Messages, Failed int
	// Hub is the time that messages spent in the hub, Peer the time that they
	// waited for receivers, Lag the time from the acceptance of a broadcast to
	// the end of its last leg.
	Hub, Peer, Lag Quantiles
}

// Quantiles of a duration, to within a tenth; zero when there was nothing.
type Quantiles struct{ P50, P99 time.Duration }

// Failing is a receiver that messages or legs did not reach.
type Failing struct {
	Party  ocpi.PartyKey
	Failed int
	// Last is how the last one ended.
	Last routing.Outcome
}

// Minute is the last minute of this replica.
type Minute struct {
	// Seconds are 60, the oldest first; the last one has just ended.
	Seconds []Second
	// Total is all of them together.
	Total Second
	// Failing are the receivers of most failures, the worst first, ten at most.
	Failing []Failing
}

// LastMinute is what passed this replica in the last minute; Figures are those of
// all.
func (r *Recorder) LastMinute() Minute { return r.pulse.minute(time.Now()) }

const (
	pulseSeconds = 60
	// failingMost bounds the receivers that are counted in one second: who is
	// addressed is the sender's choice.
	failingMost = 100
	failingTop  = 10
)

// pulse counts by the second in which messages ended.
type pulse struct {
	mu sync.Mutex
	// seconds is a ring, by Unix time. It has room for those that still change.
	seconds [pulseSeconds + 4]beat
}

func newPulse() *pulse { return &pulse{} }

type beat struct {
	unix             int64
	messages, failed int
	hub, peer, lag   histogram
	failing          blamed
}

// at is the beat of a time; now holds back what lies in the future.
func (p *pulse) at(t, now time.Time) *beat {
	if t.After(now) || now.Sub(t) > 2*time.Second {
		t = now
	}
	b := &p.seconds[t.Unix()%int64(len(p.seconds))]
	if b.unix != t.Unix() {
		*b = beat{unix: t.Unix()}
	}
	return b
}

// failed tells the outcomes that mean that something does not work. A receiver
// that says no, to an unknown token for example, works.
func failed(o routing.Outcome) bool {
	switch o {
	case routing.OutcomeOK, routing.OutcomeClientError, routing.OutcomeCancelled, routing.OutcomeSuperseded:
		return false
	}
	return true
}

// receiverFailed tells the outcomes that are the receiver's.
func receiverFailed(o routing.Outcome) bool {
	return failed(o) && o != routing.OutcomeRefused && o != routing.OutcomeUnknown
}

func (p *pulse) message(m *routing.Message, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.at(m.Time.Add(m.Duration), now)
	b.messages++
	b.hub.add(m.Duration - m.Peer)
	if m.Peer > 0 {
		b.peer.add(m.Peer)
	}
	if failed(m.Outcome) {
		b.failed++
	}
	if receiverFailed(m.Outcome) {
		b.blame(m.To, m.Outcome)
	}
}

func (p *pulse) legs(l *routing.Legs, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.at(l.Time.Add(l.Duration), now)
	b.lag.add(l.Duration)
	for i := range l.Failed {
		if receiverFailed(l.Failed[i].Outcome) {
			b.blame(l.Failed[i].To, l.Failed[i].Outcome)
		}
	}
}

func (b *beat) blame(party ocpi.PartyKey, o routing.Outcome) {
	f, known := b.failing[party]
	if !known && len(b.failing) >= failingMost {
		return
	}
	if b.failing == nil {
		b.failing = make(blamed)
	}
	b.failing[party] = Failing{party, f.Failed + 1, o}
}

func (p *pulse) minute(now time.Time) Minute {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := Minute{Seconds: make([]Second, pulseSeconds)}
	var total beat
	failing := make(blamed)
	for i := range m.Seconds {
		unix := now.Unix() - int64(pulseSeconds-i)
		b := &p.seconds[unix%int64(len(p.seconds))]
		if b.unix != unix {
			b = &beat{unix: unix}
		}
		m.Seconds[i] = b.second()
		total.add(b)
		failing.add(b.failing)
	}
	m.Total = total.second()
	m.Total.Time = m.Seconds[0].Time
	m.Failing = failing.worst(failingTop)
	return m
}

// blamed are the receivers that failed.
type blamed map[ocpi.PartyKey]Failing

func (b blamed) add(o blamed) {
	for party, f := range o {
		b[party] = Failing{party, b[party].Failed + f.Failed, f.Last}
	}
}

// worst are those of most failures, the worst first.
func (b blamed) worst(most int) []Failing {
	var list []Failing
	for _, f := range b {
		list = append(list, f)
	}
	slices.SortFunc(list, func(a, b Failing) int {
		return cmp.Or(cmp.Compare(b.Failed, a.Failed), cmp.Compare(a.Party.String(), b.Party.String()))
	})
	return list[:min(len(list), most)]
}

func (b *beat) second() Second {
	return Second{
		Time: time.Unix(b.unix, 0).UTC(), Messages: b.messages, Failed: b.failed,
		Hub: b.hub.quantiles(), Peer: b.peer.quantiles(), Lag: b.lag.quantiles(),
	}
}

func (b *beat) add(o *beat) {
	b.messages += o.messages
	b.failed += o.failed
	b.hub.merge(&o.hub)
	b.peer.merge(&o.peer)
	b.lag.merge(&o.lag)
}

// histogram counts durations in steps of a quarter of an octave, from a
// microsecond to about an hour.
type histogram struct {
	count int
	steps [128]uint32
}

func (h *histogram) add(d time.Duration) {
	step := 0
	if us := d.Microseconds(); us > 0 {
		step = min(int(math.Log2(float64(us))*4)+1, len(h.steps)-1)
	}
	h.steps[step]++
	h.count++
}

func (h *histogram) merge(o *histogram) {
	h.count += o.count
	for i, n := range o.steps {
		h.steps[i] += n
	}
}

func (h *histogram) quantiles() Quantiles { return Quantiles{h.quantile(.5), h.quantile(.99)} }

// quantile is the middle of the step that the quantile falls into.
func (h *histogram) quantile(q float64) time.Duration {
	rank := int(math.Ceil(q * float64(h.count)))
	for step, seen := 0, 0; step < len(h.steps); step++ {
		if seen += int(h.steps[step]); seen >= rank && rank > 0 {
			if step == 0 {
				return 500 * time.Nanosecond
			}
			return time.Duration(math.Exp2((float64(step)-.5)/4) * float64(time.Microsecond))
		}
	}
	return 0
}
