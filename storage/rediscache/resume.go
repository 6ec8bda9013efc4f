package rediscache

import (
	"context"
	"errors"
	"strconv"
)

// errLost says that another replica has the partition.
var errLost = errors.New("the lease of the partition is lost")

// resume hands over again, in order, what was taken before and has not ended:
// by former owners, or by a try of this one whose answer was lost. done tells that
// nothing is left of it.
func (h *hold) resume() (done bool, err error) {
	n := 0
	err = h.pending(func(e *entry, newest int64) bool {
		n++
		h.hand(e, true, newest)
		return h.takes() && h.count() < h.log.cfg.MostUnderWay
	})
	if err != nil || !h.takes() {
		return false, err
	}
	if h.from != "" {
		h.log.metrics.takenOver.Inc()
		h.log.cfg.Logger.Info("took a partition over from a replica that is dead",
			"partition", h.partition, "from", string(h.from), "entries", n)
		h.from = ""
	}
	return h.count() < h.log.cfg.MostUnderWay, nil
}

// pending calls each with the entries that were taken behind the highest that
// this hold has handed over, as long as it says yes. Those that have ended, which
// Redis need not know yet, are passed over.
func (h *hold) pending(each func(e *entry, newest int64) bool) error {
	b := h.log
	// Before Redis is asked: what it is told meanwhile is no longer among these.
	ended := b.acks.of(h.partition)
	from := "-"
	if h.highest != (streamID{}) {
		from = "(" + h.highest.String()
	}
	for {
		asked := h.most
		reply, err := h.call(func(ctx context.Context) ([]any, error) {
			keys := []string{b.keys.leases, b.keys.streams[h.partition], b.keys.newest}
			return b.scripts.pending.Run(ctx, b.client, keys, h.partition, h.lease, group, from, asked).Slice()
		})
		if err != nil {
			return err
		}
		entries, err := readEntries(reply[1])
		if err != nil || len(reply) != 3 {
			return errors.Join(err, errUnexpected)
		}
		text, _ := reply[2].(string)
		newest, _ := strconv.ParseInt(text, 10, 64)
		for i := range entries {
			e := &entries[i]
			from = "(" + e.id.String()
			if !ended[e.id] && !each(e, newest) {
				return nil
			}
		}
		if len(entries) < asked {
			return nil
		}
	}
}
