package rediscache

import (
	"crypto/rand"
	"errors"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// sign makes the arguments of a beat.
func (h *heart) sign() []any {
	b := h.log
	arguments := []any{string(b.cfg.Replica), writeSign(h.beats, b.works()), rand.Text(), h.settles(), b.keys.channel}
	for id, beat := range b.fleet.longDead() {
		arguments = append(arguments, string(id), beat)
	}
	return arguments
}

// settles is the epoch in which nobody can hold anything of before any more: one
// that this replica has watched for a term. A hub that never accepted anything has
// no former owners at all.
func (h *heart) settles() string {
	term := h.log.cfg.Pace.Fence
	switch {
	case h.epoch == "" && h.log.cfg.Fresh && h.clock() < term:
		return "*"
	case h.epoch != "" && h.clock()-h.since >= term:
		return h.epoch
	}
	return ""
}

// writeSign is a beat: its number, and the format of the streams that the replica
// works, or - when it works none.
func writeSign(n int64, works bool) string {
	if works {
		return strconv.FormatInt(n, 10) + " " + logFormat
	}
	return strconv.FormatInt(n, 10) + " -"
}

func readSign(beat string) (n int64, works string) {
	number, works, _ := strings.Cut(beat, " ")
	n, _ = strconv.ParseInt(number, 10, 64)
	return n, works
}

// view is what a beat is answered.
type view struct {
	epoch, before string
	settled       bool
	beats, leases map[string]string
	// taken are the partitions whose leases it took.
	taken []string
}

func readView(told *redis.Cmd) (v view, err error) {
	reply, err := told.Slice()
	if err != nil {
		return v, err
	}
	if len(reply) != 5 {
		return v, errUnexpected
	}
	v.epoch, _ = reply[0].(string)
	v.before, _ = reply[1].(string)
	v.settled = reply[2] == int64(1)
	beats, err1 := readPairs(reply[3])
	leases, err2 := readPairs(reply[4])
	v.beats, v.leases = beats, leases
	return v, errors.Join(err1, err2)
}
