package routing

import (
	"github.com/prometheus/client_golang/prometheus"

	"busbar/ocpi"
)

// legMetrics counts what becomes of broadcasts.
type legMetrics struct {
	modules map[ocpi.ModuleID]*legCounters
	lag     prometheus.Histogram
}

// legCounters are those of one module, bound once. What repeated has is in ended,
// too.
type legCounters struct {
	ended, repeated map[Outcome]prometheus.Counter
}

// count takes note of one leg of a broadcast.
func (c *legCounters) count(o Outcome, b *Broadcast) {
	c.ended[o].Inc()
	if b.Repeated {
		c.repeated[o].Inc()
	}
}

// handedOver counts legs that were left to another replica. It is no Outcome of
// the journal: that replica's are.
const handedOver Outcome = "handed_over"

// owedLater is a leg that ends with a debt of its lane. It is counted by nobody
// before.
const owedLater Outcome = "owed"

func newLegMetrics(reg prometheus.Registerer, queued func() int) *legMetrics {
	legs := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "busbar_broadcast_legs_total",
		Help: "Legs of broadcasts, and of ClientInfo pushes, that ended, by module and outcome.",
	}, []string{"module", "outcome"})
	repeated := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "busbar_broadcast_legs_repeated_total",
		Help: "Of busbar_broadcast_legs_total, those of broadcasts that a replica had begun to send before.",
	}, []string{"module", "outcome"})
	m := &legMetrics{
		modules: make(map[ocpi.ModuleID]*legCounters),
		lag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "busbar_broadcast_lag_seconds",
			Help:    "Time from the acceptance of a broadcast until a receiver answered it, or the attempt failed.",
			Buckets: []float64{.0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}),
	}
	for _, module := range [...]ocpi.ModuleID{
		ocpi.ModuleLocations, ocpi.ModuleTariffs, ocpi.ModuleTokens, ocpi.ModuleHubClientInfo, customModule,
	} {
		counters := &legCounters{ended: make(map[Outcome]prometheus.Counter), repeated: make(map[Outcome]prometheus.Counter)}
		for _, outcome := range [...]Outcome{
			OutcomeOK, OutcomeClientError, OutcomeServerError, OutcomeTimeout, OutcomeUnreachable, OutcomeBadAnswer,
			OutcomeCancelled, OutcomeOffline, OutcomeOverflow, OutcomeSuperseded, handedOver,
		} {
			counters.ended[outcome] = legs.WithLabelValues(string(module), string(outcome))
			counters.repeated[outcome] = repeated.WithLabelValues(string(module), string(outcome))
		}
		m.modules[module] = counters
	}
	queue := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "busbar_broadcast_queue",
		Help: "Legs of broadcasts that are queued or in flight.",
	}, func() float64 { return float64(queued()) })
	if reg != nil {
		reg.MustRegister(legs, repeated, m.lag, queue)
	}
	return m
}

func (m *legMetrics) of(module ocpi.ModuleID) *legCounters {
	if counters := m.modules[module]; counters != nil {
		return counters
	}
	return m.modules[customModule]
}

// showHeld makes a gauge of the bytes of the bodies under way.
func showHeld(reg prometheus.Registerer, held func() int64) {
	if reg == nil {
		return
	}
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "busbar_broadcast_held_bytes",
		Help: "Bytes of the bodies of broadcasts whose legs have not all ended.",
	}, func() float64 { return float64(held()) }))
}

// newUnchanged counts the accepted pushes that changed nothing.
func newUnchanged(reg prometheus.Registerer) map[ocpi.ModuleID]unchangedCounters {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "busbar_broadcast_unchanged_total",
		Help: "Accepted pushes that changed nothing of the stored object but last_updated, and whether they were suppressed.",
	}, []string{"module", "suppressed"})
	counters := make(map[ocpi.ModuleID]unchangedCounters)
	for _, module := range [...]ocpi.ModuleID{ocpi.ModuleLocations, ocpi.ModuleTariffs} {
		counters[module] = unchangedCounters{
			sent:       vec.WithLabelValues(string(module), "false"),
			suppressed: vec.WithLabelValues(string(module), "true"),
		}
	}
	if reg != nil {
		reg.MustRegister(vec)
	}
	return counters
}

type unchangedCounters struct{ sent, suppressed prometheus.Counter }
