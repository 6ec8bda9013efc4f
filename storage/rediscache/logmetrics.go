package rediscache

import "github.com/prometheus/client_golang/prometheus"

// logMetrics counts what the log does.
type logMetrics struct{ again, takenOver, unreadable, unawaited prometheus.Counter }

func newLogMetrics(b *Broadcasts, reg prometheus.Registerer) *logMetrics {
	m := &logMetrics{
		again: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "busbar_log_appended_again_total",
			Help: "Broadcasts that Redis had lost and was given again.",
		}),
		takenOver: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "busbar_log_taken_over_total", Help: "Partitions that were taken over from dead replicas.",
		}),
		unreadable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "busbar_log_unreadable_total",
			Help: "Broadcasts that were dropped since they could not be read, as for want of a secret.",
		}),
		unawaited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "busbar_log_unawaited_total",
			Help: "Broadcasts that nobody waited for until Redis had them, since it did not keep up.",
		}),
	}
	if reg == nil {
		return m
	}
	gauge := func(name, help string, value func() int) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return float64(value()) }))
	}
	reg.MustRegister(m.again, m.takenOver, m.unreadable, m.unawaited, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "busbar_log_beat_seconds",
		Help: "How long the last sign of life to Redis was under way. At two seconds and more partitions cannot be held.",
	}, func() float64 {
		took, _ := b.heart.health.last()
		return took.Seconds()
	}))
	gauge("busbar_log_open", "Broadcasts accepted here that have not ended.", b.appender.count)
	gauge("busbar_log_waiting", "Of them, those that Redis does not have.", b.appender.waiting)
	gauge("busbar_log_partitions", "Partitions that this replica works.", func() int { n, _ := b.working(); return n })
	gauge("busbar_log_under_way", "Broadcasts that this replica is sending.", func() int { _, n := b.working(); return n })
	return m
}

// working is how many partitions are held, and what is under way in them.
func (b *Broadcasts) working() (held, underWay int) {
	r := b.current()
	if r == nil {
		return 0, 0
	}
	for p := range partitions {
		if h := r.hold(p); h != nil && h.held() {
			held++
			underWay += h.count()
		}
	}
	return held, underWay
}
