package catalog

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"

	"busbar/ocpi"
)

// complete is the body of a PUT with the required fields that real peers leave
// out, for the hub's own copy: what GET All lists has to say whose it is. tail
// is the offset behind the last member.
func (p *push) complete(tail int) []byte {
	s := splicer{doc: p.Body}
	at := object{tail: tail, empty: len(p.members) == 0}
	fill := func(name string, json []byte) {
		i := p.find([]byte(name))
		switch {
		case i < 0:
			s.insert(&at, name, json)
		case isNull(p.members[i].value):
			s.replace(p.members[i].at, json)
		}
	}
	if p.depth == objectDepth {
		own := func(name, part string) {
			if i := p.find([]byte(name)); i >= 0 && isBlank(p.members[i].value) {
				s.replace(p.members[i].at, quote(part))
				return
			}
			fill(name, quote(part))
		}
		own("country_code", p.Owner.CountryCode())
		own("party_id", p.Owner.PartyID())
	}
	fill("last_updated", p.updated)
	if p.depth == objectDepth && p.Module == ocpi.ModuleLocations && p.Operator != nil {
		fill("operator", p.Operator) // U6
	}
	return bytes.TrimSpace(s.splice())
}

func quote(s string) []byte {
	b, _ := json.Marshal(s) // a string has no way to fail
	return b
}

// merged is an object after a push.
type merged struct {
	document []byte
	updated  instant
	changed  bool
}

// merge writes the push into the object's document; old is nil when the hub has
// no such object. Neither old nor the push change.
func (p *push) merge(old []byte) (merged, *ocpi.Error) {
	switch {
	case p.depth == objectDepth && p.Method == http.MethodPut:
		same := old != nil && sameButTime(old, p.whole, shapes(p.Module))
		return merged{p.whole, p.updatedAt, !same}, p.checkNesting(p.whole)
	case old == nil:
		return merged{}, p.unknown(objectDepth)
	}
	s := splicer{doc: old}
	m := merged{updated: p.updatedAt}
	var refusal *ocpi.Error
	if p.depth == objectDepth {
		m.changed = s.patch(span{0, len(old)}, p)
	} else {
		m.updated, m.changed, refusal = s.descend(p)
	}
	switch {
	case s.broken:
		return merged{}, ocpi.Errorf(ocpi.HubError, "the hub cannot read its copy of %s %.64q of %s: PUT the whole object",
			shapes(p.Module)[0].name, p.ID, p.Owner)
	case refusal != nil:
		return merged{}, refusal
	}
	m.document = s.splice()
	return m, p.checkNesting(m.document)
}

// checkNesting refuses what would be nested too deep where it was put. Few
// bodies have as many brackets at all.
func (p *push) checkNesting(document []byte) *ocpi.Error {
	const levels = 4 // of a Location above its Connectors
	if bytes.Count(p.Body, []byte{'['})+bytes.Count(p.Body, []byte{'{'}) <= ocpi.MaxNesting-levels {
		return nil
	}
	if err := ocpi.CheckJSON(document); err != nil {
		return ocpi.Errorf(ocpi.InvalidParameters, "the %s would be %v", shapes(p.Module)[0].name, err)
	}
	return nil
}

// unknown refuses a push for something that the hub does not have. Without the
// whole there is nothing that GET All could list.
func (p *push) unknown(d depth) *ocpi.Error {
	if p.Module == ocpi.ModuleTariffs {
		return ocpi.HTTPErrorf(http.StatusNotFound, ocpi.InvalidParameters,
			"the hub has no tariff %.64q of %s: PUT the whole object first", p.ID, p.Owner)
	}
	if d == objectDepth {
		return ocpi.HTTPErrorf(http.StatusNotFound, ocpi.UnknownLocation,
			"the hub has no location %.64q of %s: PUT the whole object first", p.ID, p.Owner)
	}
	return ocpi.HTTPErrorf(http.StatusNotFound, ocpi.UnknownLocation,
		"location %.64q of %s has no %s %.64q: PUT the whole object first", p.ID, p.Owner, locationShapes[d].name, p.ids[d])
}

// descend writes an EVSE or a Connector into its Location. updated is the
// Location's last_updated then.
func (s *splicer) descend(p *push) (updated instant, changed bool, refusal *ocpi.Error) {
	within := span{0, len(s.doc)}
	for d := objectDepth; ; d++ {
		parent := s.survey(within, locationShapes[d], locationShapes[d+1], p.ids[d+1])
		at := s.lift(&parent.object, p)
		if d == objectDepth {
			updated = at
		}
		last, child := d+1 == p.depth, parent.child
		switch {
		case child == span{} && (!last || p.Method != http.MethodPut):
			return 0, false, p.unknown(d + 1)
		case child == span{}:
			return updated, true, s.add(&parent, locationShapes[d], p)
		case last && p.Method == http.MethodPut:
			same := sameButTime(s.doc[child.start:child.end], p.whole, locationShapes[p.depth:])
			s.replace(child, p.whole)
			return updated, !same, nil
		case last:
			return updated, s.patch(child, p), nil
		}
		within = child
	}
}

// lift raises a parent's last_updated to the push's, never lowers it (R6; 2.2.1
// mod_locations, PUT and PATCH). It answers what the parent has then.
func (s *splicer) lift(parent *object, p *push) instant {
	if parent.updated == (span{}) {
		s.insert(parent, "last_updated", p.updated)
		return p.updatedAt
	}
	if at, ok := readInstant(s.doc[parent.updated.start:parent.updated.end]); ok && at >= p.updatedAt {
		return at
	}
	s.replace(parent.updated, p.updated)
	return p.updatedAt
}

// add appends the push's object to its parent's array.
func (s *splicer) add(parent *parent, in shape, p *push) *ocpi.Error {
	switch parent.kind {
	case 0:
		s.insert(&parent.object, in.children, slices.Concat([]byte{'['}, p.whole, []byte{']'}))
	case 'n':
		s.replace(parent.array, slices.Concat([]byte{'['}, p.whole, []byte{']'}))
	case '[':
		text := p.whole
		if parent.children > 0 {
			text = slices.Concat([]byte{','}, text)
		}
		s.replace(span{parent.arrayTail, parent.arrayTail}, text)
	default:
		return ocpi.Errorf(ocpi.InvalidParameters, "field %s of the %s is no array: PUT the whole object first", in.children, in.name)
	}
	return nil
}

// patch replaces the values of the members that the push names in the object,
// and appends those that it has not. changed is about everything but
// last_updated.
func (s *splicer) patch(within span, p *push) (changed bool) {
	w := ocpi.Walk(s.doc, within.start)
	w.Open('{')
	target := object{tail: w.At(), empty: true}
	seen := make([]bool, len(p.members))
	for {
		quoted, ok := w.Member()
		if !ok {
			break
		}
		start, end := w.Skip()
		target.tail, target.empty = end, false
		i := p.find(ocpi.Unquote(quoted))
		if i < 0 || seen[i] {
			continue
		}
		seen[i] = true
		if m := p.members[i]; !bytes.Equal(m.value, s.doc[start:end]) {
			s.replace(span{start, end}, m.value)
			changed = changed || string(m.name) != "last_updated"
		}
	}
	for i, m := range p.members {
		if !seen[i] {
			s.insert(&target, string(m.name), m.value)
			changed = changed || string(m.name) != "last_updated"
		}
	}
	s.broken = s.broken || !w.Good()
	return changed
}
