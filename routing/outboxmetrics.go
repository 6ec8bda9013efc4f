package routing

import "github.com/prometheus/client_golang/prometheus"

// outboxMetrics counts what was accepted and has not ended.
type outboxMetrics struct{ recovered, refused prometheus.Counter }

func newOutboxMetrics(reg prometheus.Registerer, open func() int) outboxMetrics {
	m := outboxMetrics{recovered: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "busbar_outbox_recovered_total",
		Help: "Broadcasts that were sent again, because the replica that accepted them is gone.",
	}), refused: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "busbar_outbox_refused_total",
		Help: "Pushes that were refused, because too many broadcasts of this replica have not ended.",
	})}
	gauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "busbar_outbox_open",
		Help: "Broadcasts that this replica accepted or adopted and that have not ended, wherever they are delivered.",
	}, func() float64 { return float64(open()) })
	if reg != nil {
		reg.MustRegister(m.recovered, m.refused, gauge)
	}
	return m
}
