package journal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"busbar/ocpi"
	"busbar/routing"
)

// Filter picks messages. What is zero picks all.
type Filter struct {
	From, To      ocpi.PartyKey
	Module        ocpi.ModuleID
	CorrelationID string
	// Status is an HTTP status, an OCPI status code, or an outcome.
	Status string
	// Tokens are pseudonyms of a driver's token, of which one stands in the path:
	// see routing.Discreet.
	Tokens []string
}

// Query asks for a page of messages.
type Query struct {
	Filter
	// Since is inclusive, Until exclusive; zero is open.
	Since, Until time.Time
	// Limit is the most items in the page, 1 to 1000; zero is 100.
	Limit int
	// Cursor is Page.Next of the page before.
	Cursor string
}

// Page is a part of the journal, the newest message first.
type Page struct {
	Items []Item
	// Next is the cursor of the next page; empty when there is none. A page can
	// be short, or empty, and have a next one: a search is bounded.
	Next string
}

// Item is a message, and the legs of a broadcast if they have ended.
type Item struct {
	routing.Message
	Legs *routing.Legs
}

// ErrCursor says that a cursor is not one of Page.Next.
var ErrCursor = errors.New("is not one that this API gave")

// place is where a message stands in the order of the journal: by time and, for
// two at one time, by a hash. It is the same in memory and in a segment.
type place struct {
	nano int64
	hash uint64
}

func (p place) compare(o place) int {
	switch {
	case p.nano != o.nano && p.nano < o.nano, p.nano == o.nano && p.hash < o.hash:
		return -1
	case p == o:
		return 0
	}
	return 1
}

// nanoOf is the time of a query, which may lie beyond the years 1678 to 2262 that
// nanoseconds reach.
func nanoOf(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

func placeOf(m *routing.Message) place {
	ids := appendString(appendString(make([]byte, 0, 128), m.CorrelationID), m.RequestID)
	return place{m.Time.UnixNano(), xxhash.Sum64(ids)}
}

// cursor says that all from the place on has been shown.
func (p place) cursor() string {
	text := strconv.FormatInt(p.nano, 36) + " " + strconv.FormatUint(p.hash, 36)
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

func readCursor(s string) (place, error) {
	if s == "" {
		return place{math.MaxInt64, math.MaxUint64}, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	nano, hash, _ := strings.Cut(string(raw), " ")
	n, nanoErr := strconv.ParseInt(nano, 36, 64)
	h, hashErr := strconv.ParseUint(hash, 36, 64)
	if err != nil || nanoErr != nil || hashErr != nil {
		return place{}, ErrCursor
	}
	return place{n, h}, nil
}

// matcher is a Filter that is ready to be asked often.
type matcher struct {
	Filter
	status int
	// keys must be in a segment's filter, texts in a message's line; of tokens one.
	keys   []uint64
	texts  [][]byte
	tokens []uint64
}

func newMatcher(f Filter) matcher {
	m := matcher{Filter: f, status: -1}
	if n, err := strconv.Atoi(f.Status); err == nil {
		m.status = n
	}
	if f.CorrelationID != "" {
		text := appendString(nil, f.CorrelationID)
		m.keys = append(m.keys, hashKey(keyCorrelation, text))
		m.texts = append(m.texts, text)
	}
	for _, p := range []struct {
		kind  byte
		name  string
		party ocpi.PartyKey
	}{{keyFrom, `"from":`, f.From}, {keyTo, `"to":`, f.To}} {
		if !p.party.IsZero() {
			m.keys = append(m.keys, hashKey(p.kind, []byte(p.party.String())))
			m.texts = append(m.texts, appendString([]byte(p.name), p.party.String()))
		}
	}
	if f.Module != "" {
		m.texts = append(m.texts, appendString([]byte(`"module":`), string(f.Module)))
	}
	if f.Status != "" && m.status < 0 {
		m.texts = append(m.texts, appendString([]byte(`"outcome":`), f.Status))
	}
	for _, token := range f.Tokens {
		m.tokens = append(m.tokens, hashKey(keyToken, []byte(token)))
	}
	return m
}

// segment tells whether the filter picks anything of a segment.
func (m *matcher) segment(s *Segment) bool {
	for _, key := range m.keys {
		if !filter(s.Filter).mayHold(key) {
			return false
		}
	}
	return len(m.tokens) == 0 || slices.ContainsFunc(m.tokens, filter(s.Filter).mayHold)
}

// line is false for a message's line that is certainly not picked.
func (m *matcher) line(line []byte) bool {
	for _, text := range m.texts {
		if !bytes.Contains(line, text) {
			return false
		}
	}
	return len(m.Tokens) == 0 ||
		slices.ContainsFunc(m.Tokens, func(token string) bool { return bytes.Contains(line, []byte(token)) })
}

// token tells whether a path has one of the pseudonyms.
func (m *matcher) token(path string) bool {
	return len(m.Tokens) == 0 || slices.Contains(m.Tokens, pseudonymIn(path))
}

// pseudonymIn is the segment of a path that begins with a tilde.
func pseudonymIn(path string) string {
	_, found, ok := strings.Cut(path, "/~")
	if !ok {
		return ""
	}
	found, _, _ = strings.Cut(found, "/")
	return "~" + found
}

func (m *matcher) message(msg *routing.Message) bool {
	return (m.From.IsZero() || m.From == msg.From) && (m.To.IsZero() || m.To == msg.To) &&
		(m.Module == "" || m.Module == msg.Module) &&
		(m.CorrelationID == "" || m.CorrelationID == msg.CorrelationID) &&
		m.token(msg.Path) && (m.Status == "" || m.status == msg.HTTPStatus || m.status == int(msg.OCPIStatus) ||
		m.Status == string(msg.Outcome))
}

// legs tells whether the broadcast that the legs are of may be picked.
func (m *matcher) legs(l *routing.Legs) bool {
	return len(m.Tokens) == 0 && (m.From.IsZero() || m.From == l.From) && (m.Module == "" || m.Module == l.Module) &&
		(m.CorrelationID == "" || m.CorrelationID == l.CorrelationID)
}
