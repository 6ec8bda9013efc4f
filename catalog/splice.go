package catalog

import (
	"bytes"
	"slices"

	"busbar/ocpi"
)

// span is a range of a document.
type span struct{ start, end int }

// object is what is needed of an object in a document to write into it.
type object struct {
	// tail is the offset behind the last member, or behind the bracket when the
	// object is empty.
	tail  int
	empty bool
	// updated is the value of last_updated; zero when there is none.
	updated span
}

// parent is an object with an array of children.
type parent struct {
	object
	// array is the array's value and kind its first byte, 0 when it is absent;
	// arrayTail is the offset behind its last element.
	array     span
	kind      byte
	arrayTail int
	children  int
	// child is the element that was looked for; zero when it is not there.
	child span
}

// splicer collects edits of a document. Every byte that no edit covers stays.
type splicer struct {
	doc   []byte
	edits []edit
	// broken tells that the document is no sound JSON: nothing that the hub
	// wrote.
	broken bool
}

type edit struct {
	span
	text []byte
}

func (s *splicer) replace(at span, text []byte) { s.edits = append(s.edits, edit{at, text}) }

// insert appends a member to the object.
func (s *splicer) insert(into *object, name string, value []byte) {
	key := quote(name)
	text := make([]byte, 0, len(key)+len(value)+2)
	if !into.empty {
		text = append(text, ',')
	}
	text = append(append(append(text, key...), ':'), value...)
	into.empty = false
	s.replace(span{into.tail, into.tail}, text)
}

// splice makes the edited document, in memory of its own.
func (s *splicer) splice() []byte {
	// Stable: what is inserted at one place stays in its order.
	slices.SortStableFunc(s.edits, func(a, b edit) int { return a.start - b.start })
	size := len(s.doc)
	for _, e := range s.edits {
		size += len(e.text) - (e.end - e.start)
	}
	out, done := make([]byte, 0, size), 0
	for _, e := range s.edits {
		out = append(append(out, s.doc[done:e.start]...), e.text...)
		done = e.end
	}
	return append(out, s.doc[done:]...)
}

// survey looks in one pass, over what the hub wrote itself, where an object's last_updated stands, its array of
// children, and the first child with the id.
func (s *splicer) survey(within span, of, child shape, id string) (p parent) {
	w := ocpi.Walk(s.doc, within.start)
	w.Open('{')
	p.tail, p.empty = w.At(), true
	wanted := []byte(id)
	for {
		quoted, ok := w.Member()
		if !ok {
			s.broken = s.broken || !w.Good()
			return p
		}
		name, start := ocpi.Unquote(quoted), w.At()
		isArray := string(name) == of.children
		if isArray {
			p.kind = w.Next()
		}
		if isArray && p.kind == '[' {
			p.surveyArray(&w, s.doc, child.id, wanted)
		} else {
			w.Skip()
		}
		p.tail, p.empty = w.At(), false
		switch {
		case isArray:
			p.array = span{start, p.tail}
		case string(name) == "last_updated":
			p.updated = span{start, p.tail}
		}
	}
}

func (p *parent) surveyArray(w *ocpi.Walker, doc []byte, idName string, wanted []byte) {
	w.Open('[')
	p.arrayTail = w.At()
	for w.Element() {
		start, found := w.At(), false
		if p.child == (span{}) && w.Next() == '{' {
			found = hasID(w, doc, idName, wanted)
		} else {
			w.Skip()
		}
		p.arrayTail = w.At()
		p.children++
		if found {
			p.child = span{start, p.arrayTail}
		}
	}
}

// hasID walks an object and tells whether it is the one with the id.
func hasID(w *ocpi.Walker, doc []byte, idName string, wanted []byte) bool {
	w.Open('{')
	for {
		quoted, ok := w.Member()
		if !ok {
			return false
		}
		start, end := w.Skip()
		if string(ocpi.Unquote(quoted)) == idName {
			id, ok := idText(doc[start:end])
			w.Leave()
			return ok && bytes.EqualFold(id, wanted)
		}
	}
}

// sameButTime tells whether two documents differ in nothing but last_updated,
// theirs and those of the children that the hub merges, and the space between
// their members.
func sameButTime(a, b []byte, shapes []shape) bool {
	if bytes.Equal(a, b) {
		return true
	}
	t := timeless{a: a, b: b, inA: ocpi.Walk(a, 0), inB: ocpi.Walk(b, 0)}
	return t.bothAt('{') && t.object(shapes)
}

// timeless walks through two documents at once, up to where they differ: they may
// be large, and the committer waits.
type timeless struct {
	a, b     []byte
	inA, inB ocpi.Walker
}

func (t *timeless) object(shapes []shape) bool {
	t.inA.Open('{')
	t.inB.Open('{')
	for {
		a, more := nextTimeless(&t.inA)
		b, moreB := nextTimeless(&t.inB)
		switch {
		case more != moreB || !bytes.Equal(a, b):
			return false
		case !more:
			return true
		}
		same := false
		if len(shapes) > 1 && string(ocpi.Unquote(a)) == shapes[0].children && t.bothAt('[') {
			same = t.array(shapes[1:])
		} else {
			same = t.value()
		}
		if !same {
			return false
		}
	}
}

// nextTimeless steps to the next member that is not last_updated.
func nextTimeless(w *ocpi.Walker) (quoted []byte, ok bool) {
	for {
		quoted, ok = w.Member()
		if !ok || string(ocpi.Unquote(quoted)) != "last_updated" {
			return quoted, ok
		}
		w.Skip()
	}
}

func (t *timeless) array(shapes []shape) bool {
	t.inA.Open('[')
	t.inB.Open('[')
	for {
		more, moreB := t.inA.Element(), t.inB.Element()
		switch {
		case more != moreB:
			return false
		case !more:
			return true
		case t.bothAt('{'):
			if !t.object(shapes) {
				return false
			}
		case !t.value():
			return false
		}
	}
}

func (t *timeless) bothAt(first byte) bool { return t.inA.Next() == first && t.inB.Next() == first }

// value compares what both are at. What ends by itself, as all but numbers and
// words do, ends there in the second document, too.
func (t *timeless) value() bool {
	start, end := t.inA.Skip()
	value := t.a[start:end]
	switch t.inB.Next() {
	case '{', '[', '"':
		at := t.inB.At()
		t.inB = ocpi.Walk(t.b, at+len(value))
		return len(value) > 1 && bytes.HasPrefix(t.b[at:], value)
	}
	start, end = t.inB.Skip()
	return bytes.Equal(value, t.b[start:end])
}
