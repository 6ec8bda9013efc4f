package journal

import "github.com/prometheus/client_golang/prometheus"

// register shows what the journal counts. The figures are read from the
// Recorder when they are asked for, so that counting costs nothing.
func (r *Recorder) register(reg prometheus.Registerer) {
	if reg != nil {
		reg.MustRegister(
			prometheus.NewCounterFunc(prometheus.CounterOpts{
				Name: "busbar_journal_dropped_total",
				Help: "Records that are not in the journal because they could not be written in time.",
			}, func() float64 { r.mu.Lock(); defer r.mu.Unlock(); return float64(r.dropped) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "busbar_journal_waiting_records",
				Help: "Records of the journal that are not yet in the store.",
			}, func() float64 { return float64(r.unwritten()) }),
		)
	}
	if reg != nil && r.exchange != nil {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "busbar_journal_feed_dropped_total",
			Help: "Events that listeners at other replicas were not shown because Redis was slow or gone.",
		}, func() float64 { return float64(r.exchange.dropped.Load()) }))
	}
}

func (r *Recorder) unwritten() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.held
	for _, s := range r.waiting {
		n += s.Records
	}
	return n
}
