package catalog

import "busbar/ocpi"

// Patched writes a PATCH into a document that the catalog does not keep, like a
// Token: each of its members takes the place of the document's, as a whole (2.2.1
// transport_and_format, PATCH), or stands behind them. Of the two last_updated the
// later stays: a receiver that goes by it must not take the result for old. Neither
// changes. It is false when one of them is no JSON object.
func Patched(document, patch []byte) (patched []byte, ok bool) {
	p := push{Write: Write{Body: patch}}
	w := ocpi.Walk(patch, 0)
	if w.Next() != '{' {
		return nil, false
	}
	r := reader{b: patch, shapes: []shape{{name: "object"}}}
	if r.object(&w, objectDepth); !w.Done() || r.twice != "" {
		return nil, false
	}
	p.setMembers(r.members[objectDepth])
	if w := ocpi.Walk(document, 0); w.Next() != '{' {
		return nil, false
	}
	s := splicer{doc: document}
	whole := span{0, len(document)}
	p.keepLater(document, s.survey(whole, shape{}, shape{}, "").updated)
	s.patch(whole, &p)
	if s.broken {
		return nil, false
	}
	return s.splice(), true
}

// keepLater keeps the document's last_updated, unless the push's is as late.
func (p *push) keepLater(document []byte, updated span) {
	i := p.find([]byte("last_updated"))
	if i < 0 || updated == (span{}) {
		return
	}
	has := document[updated.start:updated.end]
	at, ok := readInstant(has)
	if mine, mineOK := readInstant(p.members[i].value); ok && mineOK && mine < at {
		p.members[i].value = has
	}
}
