package simulator

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"busbar/ocpi"
)

// owned is a Receiver interface of Client Owned Objects: {country_code}/
// {party_id}/{id} (2.2.1 transport_and_format, Client Owned Object Push).
type owned struct {
	docs *shelf
	// id is the field of the object that holds its id.
	id string
	// methods are those that the module has.
	methods []string
	// parts is how many more ids may follow: EVSE and Connector.
	parts int
	// appends is a list to which a PATCH adds instead of replacing it.
	appends string
	// variant is a query parameter that is part of the key, with its default.
	variant, variantDefault string
	// unknown is the status for an object that is not there.
	unknown ocpi.StatusCode
	now     func() time.Time
}

func (o owned) handle(in inbound) reply {
	if !slices.Contains(o.methods, in.method) {
		return notAllowed(in.method)
	}
	if n := len(in.segments); n < 3 || n > 3+o.parts {
		return invalid("URL must be {country_code}/{party_id}/{%s}", o.id)
	}
	owner, err := ocpi.ParsePartyKey(in.segments[0], in.segments[1])
	if err != nil {
		return invalid("URL: %v", err)
	}
	key := fold(owner.String(), in.segments[2])
	if o.variant != "" {
		kind := in.query.Get(o.variant)
		if kind == "" {
			kind = o.variantDefault
		}
		key = fold(key, kind)
	}
	switch in.method {
	case http.MethodGet:
		return o.get(in, key)
	case http.MethodPut:
		return o.put(in, key, owner)
	case http.MethodPatch:
		return o.patch(in, key)
	}
	if !o.docs.remove(key) {
		return o.absent(key)
	}
	return answer(nil)
}

func (o owned) absent(key string) reply {
	return missing(o.unknown, "no such object: %s", key)
}

func (o owned) get(in inbound, key string) reply {
	d, ok := o.docs.get(key)
	if !ok {
		return o.absent(key)
	}
	body, err := part(d.body, branches(in.segments[3:]))
	if err != nil {
		return o.absent(key)
	}
	return answer(body)
}

// put stores an object, or one of its parts. What the body says of itself must
// be what the URL says (2.2.1 transport_and_format, Errors: 2001).
func (o owned) put(in inbound, key string, owner ocpi.PartyKey) reply {
	body, err := readObject(in.body)
	if err != nil {
		return invalid("body must be a JSON object")
	}
	ids := in.segments[2:]
	field := o.id
	if len(ids) > 1 {
		field = branches(ids[1:])[len(ids)-2].field
	} else if stated, err := ocpi.ParsePartyKey(body.text("country_code"), body.text("party_id")); err != nil || stated != owner {
		return invalid("fields country_code and party_id must be those of the URL")
	}
	if got := body.text(field); !strings.EqualFold(got, ids[len(ids)-1]) {
		return invalid("field %s is %q, the URL says %q", field, got, ids[len(ids)-1])
	}
	if body.get("last_updated") == nil {
		return invalid("Missing required field: last_updated")
	}
	if len(ids) == 1 {
		o.docs.put(key, document{body: in.body, updated: o.updated(body), from: in.from.Party})
		return answer(nil)
	}
	return o.change(in, key, func(json.RawMessage) (json.RawMessage, error) { return in.body, nil })
}

// patch changes the fields that are given (2.2.1 transport_and_format, PATCH).
func (o owned) patch(in inbound, key string) reply {
	body, err := readObject(in.body)
	if err != nil {
		return invalid("body must be a JSON object")
	}
	if body.get("last_updated") == nil {
		// Required by each module that has PATCH.
		return invalid("Missing required field: last_updated")
	}
	return o.change(in, key, func(doc json.RawMessage) (json.RawMessage, error) {
		if doc == nil {
			return nil, errNoChild{"the Location", in.segments[len(in.segments)-1]}
		}
		return o.merge(doc, body)
	})
}

func (o owned) merge(doc json.RawMessage, patch object) (json.RawMessage, error) {
	merged, err := readObject(doc)
	if err != nil {
		return nil, err
	}
	for _, m := range patch {
		if m.name == o.appends {
			var have, more []json.RawMessage
			if err := json.Unmarshal(m.value, &more); err != nil {
				return nil, err
			}
			if old := merged.get(m.name); old != nil {
				if err := json.Unmarshal(old, &have); err != nil {
					return nil, err
				}
			}
			m.value = joinArray(append(have, more...))
		}
		merged.set(m.name, m.value)
	}
	return merged.bytes(), nil
}

// change edits the object, or the part of it that the URL names.
func (o owned) change(in inbound, key string, change func(json.RawMessage) (json.RawMessage, error)) reply {
	known, err := o.docs.edit(key, func(d document) (document, error) {
		body, err := editPart(d.body, branches(in.segments[3:]), change)
		if err != nil {
			return d, err
		}
		whole, err := readObject(body)
		return document{body: body, updated: o.updated(whole), audience: d.audience, from: in.from.Party}, err
	})
	switch {
	case !known || errors.As(err, new(errNoChild)):
		return o.absent(key)
	case err != nil:
		return invalid("body does not fit the object: %v", err)
	}
	return answer(nil)
}

// updated is the object's own last_updated, so that what is pulled can be told
// from what is newer.
func (o owned) updated(body object) time.Time {
	if t := looseTime(body.text("last_updated")); !t.IsZero() {
		return t
	}
	return o.now()
}
