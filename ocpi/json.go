package ocpi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// MaxNesting is the deepest JSON that the hub accepts, in brackets. OCPI's own
// objects need eight.
const MaxNesting = 512

// CheckJSON tells whether b is one JSON value (RFC 8259). It neither allocates
// nor recurses: it runs over every body that passes the hub.
func CheckJSON(b []byte) error {
	s := scanner{b: b}
	s.space()
	if s.i == len(b) {
		return fmt.Errorf("it is empty")
	}
	if !s.value() {
		return s.fault()
	}
	s.space()
	if s.i != len(b) {
		return fmt.Errorf("unexpected data after the value, at byte %d", s.i)
	}
	return nil
}

// ScanEnvelope finds the top-level status_code of an OCPI response without
// decoding the data. It is lenient about what peers do: the code may be a
// string of digits. ok is false when b is no JSON object or has no code of four
// digits.
func ScanEnvelope(b []byte) (status StatusCode, ok bool) {
	whole := members(b, func(key []byte, start, end int) {
		if string(key) == `"status_code"` { // of two, the last counts
			status, ok = parseStatus(bytes.Trim(b[start:end], `"`))
		}
	})
	return status, ok && whole
}

// FindMember finds the members of a JSON object, at its top level, whose name
// is name when case and escapes are not regarded: a receiver may read any of
// them.
func FindMember(b []byte, name string) (found []Member) {
	members(b, func(key []byte, start, end int) {
		decoded := string(key[1 : len(key)-1])
		if bytes.IndexByte(key, '\\') >= 0 && json.Unmarshal(key, &decoded) != nil {
			return
		}
		if strings.EqualFold(decoded, name) {
			found = append(found, Member{Start: start, End: end, Exact: string(key) == `"`+name+`"`})
		}
	})
	return found
}

// Member is where the value of a member stands.
type Member struct {
	Start, End int
	// Exact tells that the name is written as it should be.
	Exact bool
}

// members calls visit for every member of a JSON object, with its quoted name
// and the place of its value. It answers false, possibly after some calls, when
// b is not one JSON object.
func members(b []byte, visit func(key []byte, start, end int)) bool {
	s := scanner{b: b}
	s.space()
	if !s.eat('{') {
		return false
	}
	s.space()
	for more := !s.eat('}'); more; {
		s.space()
		keyStart := s.i
		if !s.string() {
			return false
		}
		key := b[keyStart:s.i]
		s.space()
		if !s.eat(':') {
			return false
		}
		s.space()
		start := s.i
		if !s.value() {
			return false
		}
		visit(key, start, s.i)
		s.space()
		if more = s.eat(','); !more && !s.eat('}') {
			return false
		}
	}
	s.space()
	return s.i == len(b)
}

func parseStatus(digits []byte) (StatusCode, bool) {
	if len(digits) != 4 {
		return 0, false
	}
	n := 0
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return StatusCode(n), true
}

// scanner walks JSON text. Its methods move i past what they name and answer
// false, leaving i at the fault, when it is not there.
type scanner struct {
	b       []byte
	i       int
	tooDeep bool
}

func (s *scanner) fault() error {
	switch {
	case s.tooDeep:
		return fmt.Errorf("nested deeper than %d levels", MaxNesting)
	case s.i >= len(s.b):
		return fmt.Errorf("it ends unexpectedly")
	default:
		return fmt.Errorf("unexpected character at byte %d", s.i)
	}
}

func (s *scanner) space() {
	if s.i < len(s.b) && s.b[s.i] <= ' ' { // seldom: peers send JSON compact
		s.spaces()
	}
}

func (s *scanner) spaces() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) eat(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

// value walks one value of any depth.
func (s *scanner) value() bool {
	var n nesting
	for {
		opened, ok := s.begin(&n)
		if !ok {
			return false
		}
		if opened {
			continue
		}
		if more, ok := s.end(&n); !more {
			return ok
		}
	}
}

// nesting holds the kind of each open bracket, one bit a level: set for an
// object.
type nesting struct {
	open  [MaxNesting / 64]uint64
	depth int
}

func (n *nesting) push(object bool) {
	bit := uint64(1) << (n.depth % 64)
	if object {
		n.open[n.depth/64] |= bit
	} else {
		n.open[n.depth/64] &^= bit
	}
	n.depth++
}

func (n *nesting) inObject() bool { return n.open[(n.depth-1)/64]&(1<<((n.depth-1)%64)) != 0 }

// begin walks a scalar, or into an object or array that is not empty: opened
// tells that another value begins there.
func (s *scanner) begin(n *nesting) (opened, ok bool) {
	if s.i >= len(s.b) {
		return false, false
	}
	switch c := s.b[s.i]; c {
	case '"':
		return false, s.string()
	case '{', '[':
		if n.depth == MaxNesting {
			s.tooDeep = true
			return false, false
		}
		s.i++
		s.space()
		if s.eat(c + 2) { // '{'+2 is '}', '['+2 is ']'
			return false, true
		}
		n.push(c == '{')
		return true, c == '[' || s.member()
	case 't':
		return false, s.literal("true")
	case 'f':
		return false, s.literal("false")
	case 'n':
		return false, s.literal("null")
	default:
		return false, s.number()
	}
}

// end closes what closes behind a value; more tells that a comma, and another
// value, follows.
func (s *scanner) end(n *nesting) (more, ok bool) {
	for n.depth > 0 {
		s.space()
		if s.i >= len(s.b) {
			return false, false
		}
		object := n.inObject()
		switch c := s.b[s.i]; {
		case c == ',':
			s.i++
			s.space()
			return !object || s.member(), false
		case object && c != '}' || !object && c != ']':
			return false, false
		}
		s.i++
		n.depth--
	}
	return false, true
}

// member walks a member's name and colon, up to its value.
func (s *scanner) member() bool {
	if !s.string() {
		return false
	}
	s.space()
	if !s.eat(':') {
		return false
	}
	s.space()
	return true
}

func (s *scanner) literal(word string) bool {
	if len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		return false
	}
	s.i += len(word)
	return true
}

// plain marks the bytes that a string may hold as they are.
var plain = func() (t [256]bool) {
	for c := 0x20; c < 256; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

func (s *scanner) string() bool {
	if !s.eat('"') {
		return false
	}
	b, i := s.b, s.i
	for i < len(b) {
		c := b[i]
		if plain[c] {
			i++
			continue
		}
		if c == '"' {
			s.i = i + 1
			return true
		}
		s.i = i
		if c != '\\' || !s.escape() {
			return false
		}
		i = s.i
	}
	s.i = i
	return false
}

// escape walks one backslash sequence.
func (s *scanner) escape() bool {
	s.i++
	if s.i >= len(s.b) {
		return false
	}
	switch s.b[s.i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i++
		return true
	case 'u':
		for k := 1; k <= 4; k++ {
			if s.i+k >= len(s.b) || unhex(s.b[s.i+k]) < 0 {
				return false
			}
		}
		s.i += 5
		return true
	}
	return false
}

func (s *scanner) number() bool {
	s.eat('-')
	if !s.eat('0') && !s.digits() {
		return false
	}
	if s.eat('.') && !s.digits() {
		return false
	}
	if s.eat('e') || s.eat('E') {
		if !s.eat('+') {
			s.eat('-')
		}
		return s.digits()
	}
	return true
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}
