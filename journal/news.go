package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"

	"busbar/ocpi"
	"busbar/routing"
)

// news is what one replica tells those that listen elsewhere. The slices are
// parts of a batch, which never change.
type news struct {
	messages []routing.Message
	legs     []routing.Legs
}

func (n *news) count() int { return len(n.messages) + len(n.legs) }

// newsMost bounds the news of one turn, in bytes before they are packed: about
// 25,000 messages a second.
const newsMost = 1 << 20

// lostLine tells how many events are not in the news, or were not in those before.
type lostLine struct {
	Lost int64 `json:"lost"`
}

const lostPrefix = `{"lost":`

// newsWriter packs news. It is for one goroutine.
type newsWriter struct{ codec *codec }

func newNewsWriter(hub ocpi.PartyKey) *newsWriter {
	return &newsWriter{&codec{hub: hub, seen: make(map[uint64]struct{})}}
}

// pack makes JSON lines, as in a segment, packed by S2. It tells how many events
// had no room.
func (w *newsWriter) pack(n news, lost int64) (packed []byte, left int) {
	c := w.codec
	c.lines, c.hashes = c.lines[:0], c.hashes[:0]
	clear(c.seen)
	for i := range n.messages {
		if left > 0 || !w.fits(func() { c.message(&n.messages[i]) }) {
			left++
		}
	}
	for i := range n.legs {
		if left > 0 || !w.fits(func() { c.legs(&n.legs[i]) }) {
			left++
		}
	}
	if lost += int64(left); lost > 0 {
		line, err := json.Marshal(lostLine{lost})
		if err == nil { // a number only
			c.lines = append(append(c.lines, line...), '\n')
		}
	}
	return s2.Encode(nil, c.lines), left
}

// fits writes a line, and takes it back when it is too much.
func (w *newsWriter) fits(write func()) bool {
	before := len(w.codec.lines)
	write()
	if len(w.codec.lines) > newsMost {
		w.codec.lines = w.codec.lines[:before]
		return false
	}
	return true
}

// readNews reverses pack. It passes by what it cannot read, which is of a later
// version.
func readNews(packed []byte) (events []Event, lost int64, err error) {
	// There is room for the line that tells what was lost.
	if n, err := s2.DecodedLen(packed); err != nil || n > newsMost+64 {
		return nil, 0, fmt.Errorf("news of %d bytes: %w", n, errors.Join(err, s2.ErrCorrupt))
	}
	raw, err := s2.Decode(nil, packed)
	if err != nil {
		return nil, 0, fmt.Errorf("news of another replica: %w", err)
	}
	for line := range bytes.Lines(raw) {
		switch {
		case bytes.HasPrefix(line, []byte(timePrefix)):
			if m, err := readMessage(line); err == nil {
				events = append(events, Event{Message: &m})
			}
		case bytes.HasPrefix(line, []byte(legsPrefix)):
			if l, err := readLegs(line); err == nil {
				events = append(events, Event{Legs: &l})
			}
		case bytes.HasPrefix(line, []byte(lostPrefix)):
			var l lostLine
			if err := json.Unmarshal(line, &l); err == nil && l.Lost > 0 {
				lost += l.Lost
			}
		}
	}
	return events, lost, nil
}
