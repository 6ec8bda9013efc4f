package ocpi

import "bytes"

// ReadEnvelope finds status_code and data at the top level of an OCPI response,
// decoding neither. data is nil when it is absent. ok is false for what
// ScanEnvelope refuses.
func ReadEnvelope(b []byte) (status StatusCode, data []byte, ok bool) {
	whole := members(b, func(key []byte, start, end int) {
		switch string(key) { // of two, the last counts
		case `"status_code"`:
			status, ok = parseStatus(bytes.Trim(b[start:end], `"`))
		case `"data"`:
			data = b[start:end]
		}
	})
	return status, data, ok && whole
}

// Elements calls visit with the place of each element of a JSON array, in order.
// It takes what peers send in place of a list: nothing or null is an empty one,
// an object the only element (field-quirks). It answers false, possibly after
// some calls, when b is anything else.
func Elements(b []byte, visit func(start, end int)) bool {
	s := scanner{b: b}
	s.space()
	if s.i == len(b) {
		return true
	}
	switch start := s.i; b[start] {
	case 'n':
		if !s.literal("null") {
			return false
		}
	case '{':
		if !s.value() {
			return false
		}
		visit(start, s.i)
	default:
		if !s.elements(visit) {
			return false
		}
	}
	s.space()
	return s.i == len(b)
}

// elements walks one array.
func (s *scanner) elements(visit func(start, end int)) bool {
	if !s.eat('[') {
		return false
	}
	s.space()
	for more := !s.eat(']'); more; {
		s.space()
		start := s.i
		if !s.value() {
			return false
		}
		visit(start, s.i)
		s.space()
		if more = s.eat(','); !more && !s.eat(']') {
			return false
		}
	}
	return true
}
