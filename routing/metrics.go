package routing

import (
	"github.com/prometheus/client_golang/prometheus"

	"busbar/ocpi"
)

// metrics counts messages. The children of every label combination are bound
// once, so that counting looks nothing up but a small map.
type metrics struct {
	requests map[requestLabels]prometheus.Counter
	duration map[durationLabels]prometheus.Observer
	hub      prometheus.Observer
	// unchanged are the broadcasts of objects that are kept, by module.
	unchanged map[ocpi.ModuleID]unchangedCounters
}

type requestLabels struct {
	module  ocpi.ModuleID
	plan    PlanKind
	outcome Outcome
}

type durationLabels struct {
	module ocpi.ModuleID
	plan   PlanKind
}

// customModule is the label of all modules that are not OCPI's own, whose
// number is not bounded.
const customModule ocpi.ModuleID = "custom"

func newMetrics(reg prometheus.Registerer) *metrics {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "busbar_requests_total",
		Help: "Messages of functional modules by module, plan and outcome.",
	}, []string{"module", "plan", "outcome"})
	buckets := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "busbar_request_duration_seconds",
		Help: "Time from the arrival of a message to its answer, the receiver's time included.", Buckets: buckets,
	}, []string{"module", "plan"})
	hub := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "busbar_hub_duration_seconds",
		Help:    "Time that a message spent in the hub itself, without the receiver.",
		Buckets: []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .05, .25},
	})
	m := &metrics{
		requests: make(map[requestLabels]prometheus.Counter),
		duration: make(map[durationLabels]prometheus.Observer), hub: hub, unchanged: newUnchanged(reg),
	}
	for _, module := range append(ocpi.FunctionalModules[:len(ocpi.FunctionalModules):len(ocpi.FunctionalModules)], customModule) {
		for _, plan := range [...]PlanKind{PlanDirect, PlanBroadcast, PlanOpen, PlanCatalog, PlanRefused} {
			m.duration[durationLabels{module, plan}] = duration.WithLabelValues(string(module), string(plan))
			for _, outcome := range [...]Outcome{
				OutcomeOK, OutcomeClientError, OutcomeServerError, OutcomeRefused, OutcomeUnknown,
				OutcomeTimeout, OutcomeUnreachable, OutcomeBadAnswer, OutcomeCancelled,
			} {
				m.requests[requestLabels{module, plan, outcome}] =
					requests.WithLabelValues(string(module), string(plan), string(outcome))
			}
		}
	}
	if reg != nil {
		reg.MustRegister(requests, duration, hub)
	}
	return m
}

func (m *metrics) count(msg *Message) {
	module := msg.Module
	if !module.IsStandard() {
		module = customModule
	}
	m.requests[requestLabels{module, msg.Plan, msg.Outcome}].Inc()
	m.duration[durationLabels{module, msg.Plan}].Observe(msg.Duration.Seconds())
	m.hub.Observe((msg.Duration - msg.Peer).Seconds())
}
