package parties

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"busbar/ocpi"
)

type metrics struct{ handshakes *prometheus.CounterVec }

func newMetrics(reg prometheus.Registerer, d *Directory) *metrics {
	m := &metrics{handshakes: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "busbar_handshakes_total",
		Help: "Registrations by outcome: ok, or the OCPI status code of the refusal.",
	}, []string{"outcome"})}
	m.handshakes.WithLabelValues("ok")
	if reg != nil {
		reg.MustRegister(m.handshakes, &statusCollector{d, prometheus.NewDesc(
			"busbar_platforms", "Platforms by connection status.", []string{"status"}, nil)})
	}
	return m
}

func (m *metrics) handshake(err error) {
	outcome := "ok"
	if refusal, ok := ocpi.AsError(err); ok {
		outcome = strconv.Itoa(int(refusal.Status))
	} else if err != nil {
		outcome = "error"
	}
	m.handshakes.WithLabelValues(outcome).Inc()
}

// statusCollector counts when it is asked: the directory is in memory.
type statusCollector struct {
	directory *Directory
	desc      *prometheus.Desc
}

func (c *statusCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

func (c *statusCollector) Collect(ch chan<- prometheus.Metric) {
	counts := map[ocpi.ConnectionStatus]int{ocpi.Connected: 0, ocpi.Offline: 0, ocpi.Planned: 0, ocpi.Suspended: 0}
	for _, e := range c.directory.Snapshot().byID {
		counts[e.Platform.Status]++
	}
	for status, n := range counts {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(n), string(status))
	}
}
