package catalog

import (
	"bytes"
	"net/http"
	"unicode/utf8"

	"busbar/ocpi"
)

// depth is what a push writes: the object itself, an EVSE of a Location, or a
// Connector of an EVSE.
type depth int

const (
	objectDepth depth = iota
	evseDepth
	connectorDepth
)

// shape names the fields by which objects of a depth are merged.
type shape struct{ name, id, children string }

var (
	locationShapes = [...]shape{{"location", "id", "evses"}, {"EVSE", "uid", "connectors"}, {"connector", "id", ""}}
	tariffShapes   = [...]shape{{"tariff", "id", ""}}
)

func shapes(m ocpi.ModuleID) []shape {
	if m == ocpi.ModuleTariffs {
		return tariffShapes[:]
	}
	return locationShapes[:]
}

// push is a Write that was checked by itself, without regard to what is kept.
type push struct {
	Write
	key   Key
	depth depth
	// ids are ID, EVSE and Connector.
	ids [3]string
	// members are the body's; byName finds them when they are many.
	members []member
	byName  map[string]int
	// whole is a PUT's object with what GET All needs of it.
	whole []byte
	// updated is the new last_updated, as JSON and to compare.
	updated   []byte
	updatedAt instant
}

// member is one of the body's: its name unquoted, its value as JSON, and where
// that stands.
type member struct {
	name, value []byte
	at          span
}

// check refuses what the sender did wrong, and reads the rest.
func check(w Write) (*push, *ocpi.Error) {
	p := &push{Write: w, key: Key{Module: w.Module, Owner: w.Owner, ID: foldID(w.ID)}, ids: [3]string{w.ID, w.EVSE, w.Connector}}
	if refusal := p.checkTarget(); refusal != nil {
		return nil, refusal
	}
	if w.Method == http.MethodDelete {
		return p, nil
	}
	if !utf8.Valid(w.Body) {
		return nil, ocpi.HTTPErrorf(http.StatusBadRequest, ocpi.ClientError, "the body is not valid JSON: it must be UTF-8") // S1
	}
	tail, refusal := p.readBody()
	if refusal != nil {
		return nil, refusal
	}
	if refusal := p.checkBody(); refusal != nil {
		return nil, refusal
	}
	if w.Method == http.MethodPut {
		p.whole = p.complete(tail)
	}
	return p, nil
}

// checkTarget reads what is written, and how. Locations are never deleted, and
// neither module knows POST (2.2.1 mod_locations, mod_tariffs, Receiver
// Interface); a PATCH of a Tariff comes from 2.1.1.
func (p *push) checkTarget() *ocpi.Error {
	switch {
	case !Keeps(p.Module):
		return notKept(p.Module)
	case p.Owner.IsZero() || p.ID == "":
		return ocpi.Errorf(ocpi.InvalidParameters, "the URL names no object")
	case p.Module == ocpi.ModuleTariffs && (p.EVSE != "" || p.Connector != ""), p.EVSE == "" && p.Connector != "":
		return ocpi.Errorf(ocpi.InvalidParameters, "the URL names no object of module %s", p.Module)
	case p.Connector != "":
		p.depth = connectorDepth
	case p.EVSE != "":
		p.depth = evseDepth
	}
	for d, id := range p.ids {
		if refusal := checkID(locationShapes[d].name+" "+locationShapes[d].id, id); refusal != nil {
			return refusal
		}
	}
	switch p.Method {
	case http.MethodPut, http.MethodPatch:
		return nil
	case http.MethodDelete:
		if p.Module == ocpi.ModuleTariffs {
			return nil
		}
		return ocpi.HTTPErrorf(http.StatusMethodNotAllowed, ocpi.InvalidParameters,
			"locations are not deleted: set the status of their EVSEs to REMOVED")
	}
	return ocpi.HTTPErrorf(http.StatusMethodNotAllowed, ocpi.InvalidParameters,
		"module %s is not written by %.16q: use PUT or PATCH", p.Module, p.Method)
}

func (p *push) shape() shape { return shapes(p.Module)[p.depth] }

// readBody reads the members of the body; tail is the offset behind the last.
func (p *push) readBody() (tail int, refusal *ocpi.Error) {
	w := ocpi.Walk(p.Body, 0)
	if w.Next() != '{' {
		return 0, ocpi.Errorf(ocpi.InvalidParameters, "the body must be a JSON object: the %s", p.shape().name)
	}
	r := reader{b: p.Body, shapes: shapes(p.Module)}
	tail = r.object(&w, p.depth)
	if !w.Done() {
		return 0, ocpi.HTTPErrorf(http.StatusBadRequest, ocpi.ClientError, "the body is not valid JSON") // S1
	}
	if r.twice != "" {
		return 0, ocpi.Errorf(ocpi.InvalidParameters, "field %.64s stands twice in the %s", r.twice, r.in)
	}
	p.setMembers(r.members[p.depth])
	return tail, nil
}

func (p *push) setMembers(members []member) {
	if p.members = members; len(members) > manyMembers {
		p.byName = make(map[string]int, len(members))
		for i, m := range members {
			p.byName[string(m.name)] = i
		}
	}
}

// find is the place of a member of the body; -1 when there is none.
func (p *push) find(name []byte) int {
	if p.byName != nil {
		if i, ok := p.byName[string(name)]; ok {
			return i
		}
		return -1
	}
	for i := range p.members {
		if bytes.Equal(p.members[i].name, name) {
			return i
		}
	}
	return -1
}

// value is a member's of the body; nil when it is absent or null.
func (p *push) value(name string) (value []byte, present bool) {
	i := p.find([]byte(name))
	if i < 0 {
		return nil, false
	}
	if v := p.members[i].value; !isNull(v) {
		return v, true
	}
	return nil, true
}

func isNull(value []byte) bool { return len(value) > 0 && value[0] == 'n' }

// isBlank tells an empty string: some peers write their owner so.
func isBlank(value []byte) bool { return string(value) == `""` }

// checkBody compares the body with the URL: 2.2.1 mod_locations and
// mod_tariffs, PUT parameters, "SHALL be the same value" (E2). A PATCH may leave
// the fields out, since it names only what changes. A PUT has the object's own id;
// the owner, which the URL says, and last_updated are what real peers leave out,
// the specification's sample of a Tariff among them: the hub completes its copy.
func (p *push) checkBody() *ocpi.Error {
	if refusal := p.checkSame(p.shape().id, p.ids[p.depth]); refusal != nil {
		return refusal
	}
	if p.depth == objectDepth {
		if refusal := p.checkSame("country_code", p.Owner.CountryCode()); refusal != nil {
			return refusal
		}
		if refusal := p.checkSame("party_id", p.Owner.PartyID()); refusal != nil {
			return refusal
		}
	}
	if id, _ := p.value(p.shape().id); id == nil && p.Method == http.MethodPut {
		return ocpi.Errorf(ocpi.InvalidParameters, "field %s is missing: a PUT has the whole %s", p.shape().id, p.shape().name)
	}
	updated, _ := p.value("last_updated")
	if updated == nil && p.Method == http.MethodPatch {
		// 2.2.1 mod_locations, PATCH: "SHALL contain the last_updated field" (F6).
		return ocpi.Errorf(ocpi.InvalidParameters, "field last_updated is missing: a PATCH must have it")
	}
	if updated == nil {
		received := p.Received
		if received.IsZero() {
			received = now()
		}
		updated = quote(ocpi.FormatTime(received))
	}
	at, ok := readInstant(updated)
	if !ok {
		return ocpi.Errorf(ocpi.InvalidParameters,
			"field last_updated is %.40q: it must be a UTC date and time like 2026-01-31T12:00:00Z", updated)
	}
	p.updated, p.updatedAt = updated, at
	return nil
}

func (p *push) checkSame(field, want string) *ocpi.Error {
	value, present := p.value(field)
	if !present || p.Method == http.MethodPut && (value == nil || isBlank(value) && field != p.shape().id) {
		return nil // a PUT's owner is completed
	}
	got, ok := idText(value)
	if !ok {
		return ocpi.Errorf(ocpi.InvalidParameters, "field %s must be a string, the URL says %.64q", field, want)
	}
	if !bytes.EqualFold(got, []byte(want)) {
		return ocpi.Errorf(ocpi.InvalidParameters, "field %s is %.64q, but the URL says %.64q", field, got, want)
	}
	return nil
}

// idText is an id's text. Some peers send whole numbers.
func idText(value []byte) ([]byte, bool) {
	if len(value) == 0 {
		return nil, false
	}
	if value[0] == '"' {
		return ocpi.Unquote(value), true
	}
	for i, c := range value {
		if (c < '0' || c > '9') && (i > 0 || c != '-') {
			return nil, false
		}
	}
	return value, true
}

// manyMembers is up to how many members are compared one by one.
const manyMembers = 32

// reader reads the members of a body, and of what the hub merges inside it.
type reader struct {
	b      []byte
	shapes []shape
	// members are of the object last read at each depth.
	members [len(locationShapes)][]member
	// twice is a name that stands twice in one object: a receiver may read
	// either, and a patch would replace one of them.
	twice, in string
}

// object reads the object that w is at; tail is the offset behind its last
// member.
func (r *reader) object(w *ocpi.Walker, d depth) (tail int) {
	w.Open('{')
	tail = w.At()
	members := r.members[d][:0]
	for {
		quoted, ok := w.Member()
		if !ok {
			break
		}
		name, start := ocpi.Unquote(quoted), w.At()
		if children := r.shapes[d].children; children != "" && string(name) == children && w.Next() == '[' {
			r.array(w, d+1)
		} else {
			w.Value()
		}
		tail = w.At()
		members = append(members, member{name, r.b[start:tail], span{start, tail}})
	}
	r.members[d] = members
	if twice := findTwice(members); twice != nil && r.twice == "" {
		r.twice, r.in = string(twice), r.shapes[d].name
	}
	return tail
}

func (r *reader) array(w *ocpi.Walker, d depth) {
	w.Open('[')
	for w.Element() {
		if w.Next() == '{' {
			r.object(w, d)
		} else {
			w.Value()
		}
	}
}

func findTwice(members []member) []byte {
	if len(members) > manyMembers {
		seen := make(map[string]struct{}, len(members))
		for _, m := range members {
			if _, ok := seen[string(m.name)]; ok {
				return m.name
			}
			seen[string(m.name)] = struct{}{}
		}
		return nil
	}
	for i := range members {
		for k := range i {
			if bytes.Equal(members[i].name, members[k].name) {
				return members[i].name
			}
		}
	}
	return nil
}
