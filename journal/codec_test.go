package journal

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"busbar/ocpi"
	"busbar/routing"
)

// A record reads the same from a segment as from memory, whatever is in it.
func TestCodec_RoundTrip(t *testing.T) {
	t.Parallel()
	m := passed(t, "c", "NLCPA", "DEMSP")
	for _, text := range []string{"", "a b", `"\`, "\x00\x1f\x7f\n\t", "é 漢 \u2028", "😀", "</script>"} {
		m.CorrelationID, m.RequestID, m.Path, m.Detail = text, text+"r", "/"+text, text
		got, err := readMessage(line(t, &m))
		if err != nil || !got.Time.Equal(m.Time) {
			t.Fatalf("%q: %v", text, err)
		}
		if got.Time = m.Time; got != m {
			t.Errorf("%q: %+v, want %+v", text, got, m)
		}
		if placeOf(&got) != placeOf(&m) {
			t.Errorf("%q has another place", text)
		}
	}
	// What is not UTF-8 stays in its place, too.
	m.CorrelationID = "a\xff\xfeb"
	if got, err := readMessage(line(t, &m)); err != nil || got.CorrelationID != "a��b" || placeOf(&got) != placeOf(&m) {
		t.Errorf("%q, %v", got.CorrelationID, err)
	}
}

func line(t *testing.T, m *routing.Message) []byte {
	t.Helper()
	c := newCodec(ocpi.PartyKey{})
	var lines []byte
	segment := c.seal(batch{messages: []routing.Message{*m}, size: 1}, time.Now())
	if err := c.open(segment, func(l []byte) bool { lines = append(lines, l...); return true }); err != nil {
		t.Fatal(err)
	}
	return lines
}

// Whether a batch was packed in a hurry or at leisure, it opens to the same; what
// is damaged is an error.
func TestCodec_PacksAtLeisureAndInAHurry(t *testing.T) {
	t.Parallel()
	m := passed(t, "c", "NLCPA", "DEMSP")
	for _, size := range []int{1, batchSize - 1, batchSize, batchSize + 7} {
		c := newCodec(ocpi.PartyKey{})
		segment := c.seal(batch{messages: slices.Repeat([]routing.Message{m}, size), size: size}, time.Now())
		if hurried := !bytes.HasPrefix(segment.Body, zstdMagic); hurried != (size >= batchSize) {
			t.Errorf("%d records: packed in a hurry: %v", size, hurried)
		}
		n := 0
		if err := c.open(segment, func([]byte) bool { n++; return true }); err != nil || n != size {
			t.Errorf("%d records: %d lines, %v", size, n, err)
		}
		segment.Body = segment.Body[:len(segment.Body)/2]
		if c.open(segment, func([]byte) bool { return true }) == nil {
			t.Errorf("%d records: half a body opens", size)
		}
		segment.Body = nil
		if c.open(segment, func([]byte) bool { return true }) == nil {
			t.Errorf("%d records: no body opens", size)
		}
	}
}

func TestSearch_SkipsWhatTheFilterExcludes(t *testing.T) {
	t.Parallel()
	hashes := make([]uint64, 3000)
	for i := range hashes {
		hashes[i] = hashKey(keyCorrelation, fmt.Append(nil, i))
	}
	f := newFilter(hashes)
	wrong := 0
	for i := range hashes {
		if !f.mayHold(hashes[i]) {
			t.Fatalf("key %d is in it", i)
		}
		if f.mayHold(hashKey(keyRequest, fmt.Append(nil, i))) {
			wrong++
		}
	}
	if wrong > len(hashes)/50 {
		t.Errorf("%d of %d others are let through", wrong, len(hashes))
	}
	if !filter(nil).mayHold(1) || !filter("\x07").mayHold(1) {
		t.Error("a filter that says nothing excludes something")
	}
}
