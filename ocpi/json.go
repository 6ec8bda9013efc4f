package ocpi

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
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

func (s *scanner) space() { s.i = spaceAt(s.b, s.i) }

func (s *scanner) eat(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scanner) string() (ok bool) {
	s.i, ok = stringAt(s.b, s.i)
	return ok
}

func (s *scanner) literal(word string) (ok bool) {
	s.i, ok = literalAt(s.b, s.i, word)
	return ok
}

// value walks one value of any depth.
func (s *scanner) value() (ok bool) {
	var n nesting
	s.i, ok = valueAt(s.b, s.i, &n)
	s.tooDeep = n.tooDeep
	return ok
}

// nesting holds the kind of each open bracket, one bit a level: set for an
// object.
type nesting struct {
	open    [MaxNesting / 64]uint64
	depth   int
	tooDeep bool
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

// What follows walks what it names from b[i] on and answers where that ends, or
// where the fault is. The place is passed from one to the next, and not kept in
// the scanner, since that is in memory and this runs over every body.

func spaceAt(b []byte, i int) int {
	if i < len(b) && b[i] <= ' ' { // seldom: peers send JSON compact
		return spacesAt(b, i)
	}
	return i
}

func spacesAt(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r') {
		i++
	}
	return i
}

func valueAt(b []byte, i int, n *nesting) (_ int, ok bool) {
	for opened := true; opened; {
		if i, opened, ok = beginAt(b, i, n); !ok {
			return i, false
		}
		if !opened {
			if i, opened, ok = endAt(b, i, n); !ok {
				return i, false
			}
		}
	}
	return i, true
}

// beginAt walks a scalar, or into an object or array that is not empty: opened
// tells that another value begins there.
func beginAt(b []byte, i int, n *nesting) (_ int, opened, ok bool) {
	if i >= len(b) {
		return i, false, false
	}
	switch c := b[i]; c {
	case '"':
		i, ok = stringAt(b, i)
	case '{', '[':
		if n.depth == MaxNesting {
			n.tooDeep = true
			return i, false, false
		}
		i = spaceAt(b, i+1)
		if i < len(b) && b[i] == c+2 { // '{'+2 is '}', '['+2 is ']'
			return i + 1, false, true
		}
		n.push(c == '{')
		if c == '[' {
			return i, true, true
		}
		i, ok = memberAt(b, i)
		return i, true, ok
	case 't':
		i, ok = literalAt(b, i, "true")
	case 'f':
		i, ok = literalAt(b, i, "false")
	case 'n':
		i, ok = literalAt(b, i, "null")
	default:
		i, ok = numberAt(b, i)
	}
	return i, false, ok
}

// endAt closes what closes behind a value; more tells that a comma, and another
// value, follows.
func endAt(b []byte, i int, n *nesting) (_ int, more, ok bool) {
	for n.depth > 0 {
		if i = spaceAt(b, i); i >= len(b) {
			return i, false, false
		}
		object := n.inObject()
		switch c := b[i]; {
		case c == ',' && !object:
			return spaceAt(b, i+1), true, true
		case c == ',':
			i, ok = memberAt(b, spaceAt(b, i+1))
			return i, true, ok
		case object && c != '}' || !object && c != ']':
			return i, false, false
		}
		i++
		n.depth--
	}
	return i, false, true
}

// memberAt walks a member's name and colon, up to its value.
func memberAt(b []byte, i int) (int, bool) {
	i, ok := stringAt(b, i)
	if !ok {
		return i, false
	}
	if i = spaceAt(b, i); i >= len(b) || b[i] != ':' {
		return i, false
	}
	return spaceAt(b, i+1), true
}

func literalAt(b []byte, i int, word string) (int, bool) {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return i, false
	}
	return i + len(word), true
}

// special marks the bytes of w, by their highest bits, that no string holds as
// they are: control characters, quotes and backslashes. The lowest mark is right;
// those above it may be of a byte that the subtraction borrowed from.
func special(w uint64) uint64 {
	const each = 0x0101010101010101
	quote, backslash := w^each*'"', w^each*'\\'
	return ((w-each*0x20)&^w | (quote-each)&^quote | (backslash-each)&^backslash) & (each * 0x80)
}

func stringAt(b []byte, i int) (_ int, ok bool) {
	if i >= len(b) || b[i] != '"' {
		return i, false
	}
	for i++; i < len(b); {
		if len(b)-i >= 8 {
			marks := special(binary.LittleEndian.Uint64(b[i:]))
			if marks == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(marks) / 8
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, true
		case c == '\\':
			if i, ok = escapeAt(b, i); !ok {
				return i, false
			}
		case c < 0x20:
			return i, false
		default:
			i++ // near the end
		}
	}
	return i, false
}

// escapeAt walks one backslash sequence.
func escapeAt(b []byte, i int) (int, bool) {
	i++
	if i >= len(b) {
		return i, false
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1, true
	case 'u':
		for k := 1; k <= 4; k++ {
			if i+k >= len(b) || unhex(b[i+k]) < 0 {
				return i, false
			}
		}
		return i + 5, true
	}
	return i, false
}

func numberAt(b []byte, i int) (_ int, ok bool) {
	if i < len(b) && b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i, ok = digitsAt(b, i); !ok {
		return i, false
	}
	if i < len(b) && b[i] == '.' {
		if i, ok = digitsAt(b, i+1); !ok {
			return i, false
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return digitsAt(b, i)
	}
	return i, true
}

func digitsAt(b []byte, i int) (int, bool) {
	start := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	return i, i > start
}
