package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"busbar/ocpi"
	"busbar/parties"
	"busbar/routing"
)

// codec writes and reads segments. A body is JSON lines, one for each record, so
// that later versions can read what they know of it, packed by zstd or, in a
// hurry, by S2. Its seal is for one goroutine, its reading for any number.
type codec struct {
	hub    ocpi.PartyKey
	packer *zstd.Encoder
	opener *zstd.Decoder

	last   int64 // the time of the last ID, in microseconds
	lines  []byte
	hashes []uint64
	seen   map[uint64]struct{}
}

// openMost bounds a body that is taken apart, in bytes.
const openMost = 256 << 20

func newCodec(hub ocpi.PartyKey) *codec {
	// The options are valid, so neither fails.
	packer, _ := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(512<<10), zstd.WithLowerEncoderMem(true))
	opener, _ := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(openMost))
	return &codec{hub: hub, packer: packer, opener: opener, seen: make(map[uint64]struct{})}
}

// seal makes a segment of a batch.
func (c *codec) seal(b batch, now time.Time) Segment {
	c.lines, c.hashes = c.lines[:0], c.hashes[:0]
	clear(c.seen)
	s := Segment{Records: b.size}
	for i := range b.messages {
		m := &b.messages[i]
		s.span(m.Time)
		c.message(m)
	}
	for i := range b.legs {
		l := &b.legs[i]
		s.span(l.Time)
		c.legs(l)
	}
	s.ID = c.id(now, s.Last)
	s.Filter, s.Body = newFilter(c.hashes), c.pack(b.size >= batchSize)
	return s
}

// pack packs the lines. A batch that was full before its second had passed is
// one of many: then processor time is what is short, and S2 takes a third of
// zstd's for twice the room (58 and 118 bytes a message).
func (c *codec) pack(hurry bool) []byte {
	if hurry {
		return s2.Encode(nil, c.lines)
	}
	return c.packer.EncodeAll(c.lines, nil)
}

// zstdMagic begins a zstd frame (RFC 8878, 3.1.1), and cannot begin an S2 block
// of this size.
var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// unpack reverses pack.
func (c *codec) unpack(body []byte) ([]byte, error) {
	if bytes.HasPrefix(body, zstdMagic) {
		return c.opener.DecodeAll(body, nil)
	}
	if n, err := s2.DecodedLen(body); err != nil || n > openMost {
		return nil, fmt.Errorf("it unpacks to %d bytes: %w", n, errors.Join(err, s2.ErrCorrupt))
	}
	return s2.Decode(nil, body)
}

func (s *Segment) span(t time.Time) {
	if s.First.IsZero() || t.Before(s.First) {
		s.First = t
	}
	if t.After(s.Last) {
		s.Last = t
	}
}

// id is a new ID, whose time lies behind that of every record in the segment:
// that is what a search in the order of time relies on.
func (c *codec) id(now, last time.Time) string {
	c.last = max(c.last, now.UnixMicro(), last.UnixMicro()) + 1
	return fmt.Sprintf("%016d-%08x", c.last, rand.Uint32())
}

// sealedAt is the time of an ID.
func (s *Segment) sealedAt() time.Time {
	if len(s.ID) >= 16 {
		if n, err := strconv.ParseInt(s.ID[:16], 10, 64); err == nil {
			return time.UnixMicro(n)
		}
	}
	return s.Last
}

// message appends a line, and what is searched for to the keys. The time comes
// first, so that a line outside of a search is passed by without reading it.
func (c *codec) message(m *routing.Message) {
	b := append(c.lines, timePrefix...)
	b = strconv.AppendInt(b, m.Time.UnixNano(), 10)
	b = c.key(append(b, `,"correlation_id":`...), keyCorrelation, m.CorrelationID)
	b = c.key(append(b, `,"request_id":`...), keyRequest, m.RequestID)
	b = appendString(append(b, `,"method":`...), m.Method)
	b = appendString(append(b, `,"module":`...), string(m.Module))
	b = appendString(append(b, `,"interface":`...), string(m.Interface))
	b = appendString(append(b, `,"path":`...), m.Path)
	if m.Module == ocpi.ModuleTokens {
		c.once(hashKey(keyToken, []byte(pseudonymIn(m.Path))))
	}
	b = c.party(append(b, `,"from":`...), keyFrom, m.From)
	b = c.party(append(b, `,"to":`...), keyTo, m.To)
	b = appendString(append(b, `,"plan":`...), string(m.Plan))
	b = appendString(append(b, `,"outcome":`...), string(m.Outcome))
	b = strconv.AppendInt(append(b, `,"http_status":`...), int64(m.HTTPStatus), 10)
	b = strconv.AppendInt(append(b, `,"ocpi_status":`...), int64(m.OCPIStatus), 10)
	b = strconv.AppendInt(append(b, `,"duration":`...), int64(m.Duration), 10)
	b = strconv.AppendInt(append(b, `,"peer":`...), int64(m.Peer), 10)
	if m.Detail != "" {
		b = appendString(append(b, `,"detail":`...), m.Detail)
	}
	c.lines = append(b, '}', '\n')
}

const timePrefix, legsPrefix = `{"time":`, `{"legs":`

// key appends a string, and its JSON form to the keys of the filter.
func (c *codec) key(b []byte, kind byte, value string) []byte {
	start := len(b)
	b = appendString(b, value)
	c.hashes = append(c.hashes, hashKey(kind, b[start:]))
	return b
}

func (c *codec) party(b []byte, kind byte, p ocpi.PartyKey) []byte {
	b = append(b, '"')
	n := len(b)
	for _, char := range p {
		if char != 0 {
			b = append(b, char)
		}
	}
	if len(b) > n {
		c.once(hashKey(kind, b[n:]))
	}
	return append(b, '"')
}

// once adds the key of a party, which many records of a batch share.
func (c *codec) once(hash uint64) {
	if _, ok := c.seen[hash]; !ok {
		c.seen[hash] = struct{}{}
		c.hashes = append(c.hashes, hash)
	}
}

// legs appends a line. A broadcast was addressed to the hub: whoever searches
// for what was, must find its legs.
func (c *codec) legs(l *routing.Legs) {
	b := appendString(nil, l.CorrelationID)
	c.hashes = append(c.hashes, hashKey(keyCorrelation, b))
	c.once(hashKey(keyFrom, []byte(l.From.String())))
	c.once(hashKey(keyTo, []byte(c.hub.String())))
	for i := range l.Failed {
		c.hashes = append(c.hashes, hashKey(keyRequest, appendString(nil, l.Failed[i].RequestID)))
	}
	line, err := json.Marshal(legsLine(l))
	if err != nil {
		return // strings and numbers only
	}
	c.lines = append(append(append(c.lines, legsPrefix...), line...), '}', '\n')
}

// open takes a body apart and hands its lines out until visit is false.
func (c *codec) open(s Segment, visit func(line []byte) bool) error {
	raw, err := c.unpack(s.Body)
	if err != nil {
		return fmt.Errorf("journal segment %s: %w", s.ID, err)
	}
	for line := range bytes.Lines(raw) {
		if !visit(line) {
			break
		}
	}
	return nil
}

// appendString writes a JSON string; what is not UTF-8 becomes U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		size := 1
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
		}
		i += size
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

type messageRecord struct {
	Time          int64              `json:"time"`
	CorrelationID string             `json:"correlation_id"`
	RequestID     string             `json:"request_id"`
	Method        string             `json:"method"`
	Module        ocpi.ModuleID      `json:"module"`
	Interface     ocpi.InterfaceRole `json:"interface"`
	Path          string             `json:"path"`
	From          ocpi.PartyKey      `json:"from"`
	To            ocpi.PartyKey      `json:"to"`
	Plan          routing.PlanKind   `json:"plan"`
	Outcome       routing.Outcome    `json:"outcome"`
	HTTPStatus    int                `json:"http_status"`
	OCPIStatus    ocpi.StatusCode    `json:"ocpi_status"`
	Duration      time.Duration      `json:"duration"`
	Peer          time.Duration      `json:"peer"`
	Detail        string             `json:"detail"`
}

func readMessage(line []byte) (routing.Message, error) {
	var m messageRecord
	err := json.Unmarshal(line, &m)
	return routing.Message{
		Time: time.Unix(0, m.Time), CorrelationID: m.CorrelationID, RequestID: m.RequestID, Method: m.Method,
		Module: m.Module, Interface: m.Interface, Path: m.Path, From: m.From, To: m.To, Plan: m.Plan,
		Outcome: m.Outcome, HTTPStatus: m.HTTPStatus, OCPIStatus: m.OCPIStatus, Detail: m.Detail,
		Duration: m.Duration, Peer: m.Peer,
	}, err
}

type legsRecord struct {
	Time          int64          `json:"time"`
	Duration      time.Duration  `json:"duration"`
	CorrelationID string         `json:"correlation_id"`
	Method        string         `json:"method"`
	Module        ocpi.ModuleID  `json:"module"`
	From          ocpi.PartyKey  `json:"from"`
	Total         int            `json:"total"`
	OK            int            `json:"ok"`
	Superseded    int            `json:"superseded"`
	Failed        []failedRecord `json:"failed,omitempty"`
}

type failedRecord struct {
	To         ocpi.PartyKey      `json:"to"`
	Platform   parties.PlatformID `json:"platform"`
	RequestID  string             `json:"request_id"`
	Outcome    routing.Outcome    `json:"outcome"`
	HTTPStatus int                `json:"http_status"`
	OCPIStatus ocpi.StatusCode    `json:"ocpi_status"`
	Detail     string             `json:"detail,omitempty"`
	Duration   time.Duration      `json:"duration"`
}

func legsLine(l *routing.Legs) legsRecord {
	out := legsRecord{
		Time: l.Time.UnixNano(), Duration: l.Duration, CorrelationID: l.CorrelationID, Method: l.Method,
		Module: l.Module, From: l.From, Total: l.Total, OK: l.OK, Superseded: l.Superseded,
	}
	for _, f := range l.Failed {
		out.Failed = append(out.Failed, failedRecord(f))
	}
	return out
}

func readLegs(line []byte) (routing.Legs, error) {
	var record struct {
		Legs legsRecord `json:"legs"`
	}
	err := json.Unmarshal(line, &record)
	l := record.Legs
	out := routing.Legs{
		Time: time.Unix(0, l.Time), Duration: l.Duration, CorrelationID: l.CorrelationID, Method: l.Method,
		Module: l.Module, From: l.From, Total: l.Total, OK: l.OK, Superseded: l.Superseded,
	}
	for _, f := range l.Failed {
		out.Failed = append(out.Failed, routing.FailedLeg(f))
	}
	return out, err
}
