package ocpi

import (
	"bytes"
	"encoding/json"
)

// Walker reads JSON text from front to back without decoding or allocating, so
// that a caller learns where values stand and may leave the rest as it is. It
// checks the grammar of what it walks over; after a fault every step answers
// false, and Done tells.
type Walker struct {
	s scanner
	// first tells that nothing was read behind the innermost open bracket.
	first, bad bool
}

// Walk begins at the byte at of the text; offsets count from its beginning.
func Walk(b []byte, at int) Walker { return Walker{s: scanner{b: b, i: at}} }

// Next is the first byte of what comes next; 0 at the end.
func (w *Walker) Next() byte {
	w.s.space()
	if w.bad || w.s.i >= len(w.s.b) {
		return 0
	}
	return w.s.b[w.s.i]
}

// At is the offset behind what was read.
func (w *Walker) At() int { return w.s.i }

// Open steps into an object or array; bracket is '{' or '['.
func (w *Walker) Open(bracket byte) bool {
	if w.Next() != bracket {
		w.bad = true
		return false
	}
	w.s.i++
	w.first = true
	return true
}

// Member steps to the value of the open object's next member. The name is in
// its quotes. At the object's end it steps out of it and answers false.
func (w *Walker) Member() (name []byte, ok bool) {
	if !w.more('}') {
		return nil, false
	}
	w.s.space()
	start := w.s.i
	if !w.s.string() {
		w.bad = true
		return nil, false
	}
	name = w.s.b[start:w.s.i]
	w.s.space()
	if !w.s.eat(':') {
		w.bad = true
		return nil, false
	}
	w.s.space()
	return name, true
}

// Element steps to the open array's next element. At the array's end it steps
// out of it and answers false.
func (w *Walker) Element() bool {
	if !w.more(']') {
		return false
	}
	w.s.space()
	return true
}

func (w *Walker) more(end byte) bool {
	next := w.Next()
	first := w.first
	w.first = false
	switch {
	case next == end:
		w.s.i++
		return false
	case first && next != 0:
		return true
	case next == ',':
		w.s.i++
		return true
	}
	w.bad = true
	return false
}

// Value steps over a value and tells where it stands.
func (w *Walker) Value() (start, end int) {
	w.s.space()
	start = w.s.i
	if w.bad || !w.s.value() {
		w.bad = true
	}
	return start, w.s.i
}

// Good tells that nothing read so far was at fault.
func (w *Walker) Good() bool { return !w.bad }

// Done tells that the text is one sound value, and read to its end.
func (w *Walker) Done() bool {
	w.s.space()
	return !w.bad && w.s.i == len(w.s.b)
}

// Unquote is what a JSON string in its quotes holds. It allocates only when
// there are escapes in it.
func Unquote(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return inner
	}
	return []byte(s)
}

// Skip is Value for text that is known to be sound, at about half its cost: it
// looks at strings and brackets only.
func (w *Walker) Skip() (start, end int) {
	switch w.Next() {
	case '{', '[':
		start = w.s.i
		w.s.i++
		w.Leave()
		return start, w.s.i
	}
	return w.Value()
}

// Leave steps out of the open object or array, over all that is left of it,
// which must be known to be sound.
func (w *Walker) Leave() {
	w.first = false
	b, i, depth := w.s.b, w.s.i, 1
	for ; i < len(b) && depth > 0; i++ {
		switch b[i] {
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
	}
	w.s.i = min(i, len(b))
	w.bad = w.bad || depth > 0
}
