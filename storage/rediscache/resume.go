package rediscache

import (
	"context"
	"errors"
	"strconv"

	"busbar/catalog"
	"busbar/routing"
)

// errLost says that another replica has the partition.
var errLost = errors.New("the lease of the partition is lost")

// resume hands over again, in order, what was taken before and has not ended:
// by former owners, or by a try of this one whose answer was lost. done tells that
// nothing is left of it.
func (h *hold) resume() (done bool, err error) {
	n := 0
	pointless, some, err := h.superseded()
	if err == nil && some {
		err = h.pending(func(e *entry, newest int64) bool {
			if pointless[e.id] {
				h.log.acks.add(h.partition, e.id, h.epoch)
				return true
			}
			n++
			h.hand(e, true, newest)
			return h.takes() && h.count() < h.log.cfg.MostUnderWay
		})
	}
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

// superseded are the pending entries about Tokens that a newer pending PUT makes
// pointless. Of what the catalog keeps, whoever sends it finds out. some tells that
// there are pending entries at all.
func (h *hold) superseded() (pointless map[streamID]bool, some bool, err error) {
	type token struct {
		id     streamID
		parcel int64
	}
	of := make(map[string][]token)
	newest := make(map[string]token)
	err = h.pending(func(e *entry, _ int64) bool {
		some = true
		if _, sealed := e.fields[sealedField]; !sealed {
			return h.takes()
		}
		b, err := e.decode(h.partition, h.log.cfg.Sealer)
		if err != nil || catalog.Keeps(b.Module) {
			return h.takes()
		}
		key, t := sameTarget(b), token{e.id, b.Parcel}
		of[key] = append(of[key], t)
		// In the order of the stream; parcels may have been appended in another.
		if last, ok := newest[key]; b.Method == "PUT" && (!ok || b.Parcel >= last.parcel) {
			newest[key] = t
		}
		return h.takes()
	})
	pointless = make(map[streamID]bool)
	for key, put := range newest {
		for _, t := range of[key] {
			if t.parcel < put.parcel || t.parcel == put.parcel && t.id.before(put.id) {
				pointless[t.id] = true
			}
		}
	}
	return pointless, some, err
}

// sameTarget is equal for pushes of which a later PUT replaces the earlier.
func sameTarget(b *routing.Broadcast) string {
	return b.Object + "\x00" + b.Path + "\x00" + b.Query
}
