package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/klauspost/compress/s2"

	"busbar/ocpi"
	"busbar/parties"
	"busbar/routing"
)

// reportRecord is a report as it is passed on: JSON, so that later versions can
// read what they know of it, packed by S2. A busy minute takes some ten kilobytes.
type reportRecord struct {
	At      int64                      `json:"at"`
	Since   int64                      `json:"since"`
	Beats   []beatRecord               `json:"beats"`
	Failing []failingRecord            `json:"failing,omitempty"`
	Lanes   map[parties.PlatformID]int `json:"lanes,omitempty"`
}

type beatRecord struct {
	Unix     int64       `json:"t"`
	Messages int         `json:"m"`
	Failed   int         `json:"f"`
	Hub      stepsRecord `json:"hub,omitempty"`
	Peer     stepsRecord `json:"peer,omitempty"`
	Lag      stepsRecord `json:"lag,omitempty"`
}

// stepsRecord is a histogram: of each step that is not empty, its number and how
// many are in it.
type stepsRecord []uint32

type failingRecord struct {
	Party  ocpi.PartyKey   `json:"party"`
	Failed int             `json:"failed"`
	Last   routing.Outcome `json:"last"`
}

// reportMost bounds a report that is read, in bytes.
const reportMost = 4 << 20

func (p report) pack() []byte {
	record := reportRecord{At: p.at.UnixMilli(), Since: p.since.UnixMilli(), Lanes: p.lanes, Beats: []beatRecord{}}
	for i := range p.beats {
		b := &p.beats[i]
		record.Beats = append(record.Beats, beatRecord{b.unix, b.messages, b.failed, b.hub.record(), b.peer.record(), b.lag.record()})
	}
	for _, f := range p.failing.worst(failingMost) {
		record.Failing = append(record.Failing, failingRecord(f))
	}
	raw, err := json.Marshal(record)
	if err != nil {
		return nil // strings and numbers only
	}
	return s2.Encode(nil, raw)
}

func readReport(packed []byte) (report, error) {
	if n, err := s2.DecodedLen(packed); err != nil || n > reportMost {
		return report{}, fmt.Errorf("a report of %d bytes: %w", n, errors.Join(err, s2.ErrCorrupt))
	}
	raw, err := s2.Decode(nil, packed)
	if err != nil {
		return report{}, fmt.Errorf("a report: %w", err)
	}
	var record reportRecord
	if err := json.Unmarshal(raw, &record); err != nil {
		return report{}, fmt.Errorf("a report: %w", err)
	}
	out := report{
		at: time.UnixMilli(record.At), since: time.UnixMilli(record.Since), lanes: record.Lanes, failing: make(blamed),
	}
	for _, b := range record.Beats {
		out.beats = append(out.beats, beat{
			unix: b.Unix, messages: b.Messages, failed: b.Failed,
			hub: b.Hub.histogram(), peer: b.Peer.histogram(), lag: b.Lag.histogram(),
		})
	}
	for _, f := range record.Failing {
		out.failing[f.Party] = Failing(f)
	}
	return out, nil
}

func (h *histogram) record() (steps stepsRecord) {
	for step, n := range h.steps {
		if n > 0 {
			steps = append(steps, uint32(step), n)
		}
	}
	return steps
}

// histogram reverses record. What lies beyond the steps counts in the last.
func (s stepsRecord) histogram() (h histogram) {
	for i := 0; i+1 < len(s); i += 2 {
		step := min(int(s[i]), len(h.steps)-1)
		h.steps[step] += s[i+1]
		h.count += int(s[i+1])
	}
	return h
}
