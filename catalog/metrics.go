package catalog

import (
	"github.com/prometheus/client_golang/prometheus"

	"busbar/ocpi"
)

// metrics counts what the committer does.
type metrics struct {
	committed, failed, empty prometheus.Counter
	// refused are the pushes that found no room to wait.
	refused prometheus.Counter
	batch   prometheus.Observer
}

func newMetrics(c *Catalog, reg prometheus.Registerer) *metrics {
	commits := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "busbar_catalog_commits_total",
		Help: "Batches of pushes by outcome: ok, failed, or empty when they changed nothing.",
	}, []string{"outcome"})
	batch := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "busbar_catalog_batch_pushes", Help: "Pushes that were committed together.",
		Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500},
	})
	refused := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "busbar_catalog_refused_total", Help: "Pushes that were refused because too many were waiting, or too large ones.",
	})
	if reg != nil {
		reg.MustRegister(commits, batch, refused)
		for _, m := range kept {
			reg.MustRegister(c.gauge(m))
		}
	}
	return &metrics{
		committed: commits.WithLabelValues("ok"), failed: commits.WithLabelValues("failed"),
		empty: commits.WithLabelValues("empty"), batch: batch, refused: refused,
	}
}

func (m *metrics) finished(o *overlay) {
	if len(o.rows) == 0 {
		m.empty.Inc()
	} else {
		m.committed.Inc()
	}
}

// gauge is read when it is scraped.
func (c *Catalog) gauge(m ocpi.ModuleID) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "busbar_catalog_objects", Help: "Objects that the hub holds, by module.",
		ConstLabels: prometheus.Labels{"module": string(m)},
	}, func() float64 {
		c.mu.RLock()
		defer c.mu.RUnlock()
		return float64(c.shelves[m].objects)
	})
}
