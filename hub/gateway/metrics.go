package gateway

import "github.com/prometheus/client_golang/prometheus"

// metrics count what the listener's bounds refused.
type metrics struct {
	refused [len(reasons)]prometheus.Counter
}

func newMetrics(registry prometheus.Registerer) *metrics {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "busbar_refused_total", Help: "Requests and connections that a bound of the OCPI listener refused.",
	}, []string{"reason"})
	registry.MustRegister(vec)
	m := &metrics{}
	for i, name := range reasons {
		m.refused[i] = vec.WithLabelValues(name)
	}
	return m
}
