package catalog

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"unicode/utf8"

	"busbar/ocpi"
)

// folded is a name as names are compared here. It is not bytes.EqualFold, to which
// "İ" is no "i".
func folded(name []byte) string { return string(bytes.ToLower(name)) }

// decodeOnce reads an object whose names all stand once, in one case; otherwise
// what it means is not defined, and encoding/json is no reference. Nor is it for
// what is not UTF-8, which the catalog does not keep: there all wrong bytes are one
// name.
func decodeOnce(t *testing.T, document []byte) (map[string]any, bool) {
	t.Helper()
	if !utf8.Valid(document) {
		return nil, false
	}
	w := ocpi.Walk(document, 0)
	if !w.Open('{') {
		return nil, false
	}
	n := 0
	names := make(map[string]bool)
	for {
		quoted, ok := w.Member()
		if !ok {
			break
		}
		n++
		names[folded(ocpi.Unquote(quoted))] = true
		w.Value()
	}
	if !w.Done() || len(names) != n {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber() // numbers stay as they are written
	var object map[string]any
	if err := d.Decode(&object); err != nil {
		t.Fatalf("%q is walked over, but encoding/json says %v", document, err)
	}
	return object, true
}

// FuzzMergeLikeMaps patches a Location or Tariff, and the same object as a map:
// members of the body take the place of those in the object, and nothing else
// changes but last_updated, which has rules of its own (F5).
func FuzzMergeLikeMaps(f *testing.F) {
	sample, err := os.ReadFile("../ocpi/testdata/location.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sample, []byte(`{"name":"a","evses":[],"last_updated":"2026-01-01T00:00:00Z"}`))
	for _, seed := range []struct{ old, body string }{
		{own + `,"name":"a","x":[1, 2.50]}`, `{"name":null,"y":{"a":1e3},"last_updated":"2026-01-01T00:00:00Z"}`},
		{own + `,"last_updated":"2027-01-01T00:00:00Z"}`, `{"\u006eame":"é","last_updated":"2026-01-01T00:00:00Z"}`},
		{`{ }`, ` {"last_updated" : "2026-01-01T00:00:00" , "a" : "\ud83d\ude00"} `},
		{own + `,"a":1}`, `{"A":2,"last_updated":"2026-01-01T00:00:00Z"}`},
		{own + `,"i":1}`, `{"İ":2,"last_updated":"2026-01-01T00:00:00Z"}`},
		{own + ",\"\xff\":1}", `{"\ufffd":2,"last_updated":"2026-01-01T00:00:00Z"}`},
		{own + `,"\ud800":1}`, `{"\ufffd":2,"\udfff":3,"last_updated":"2026-01-01T00:00:00Z"}`},
		{own + `,"\ud800":1}`, `{"\ufffd":2,"last_updated":"2026-01-01T00:00:00Z"}`},
	} {
		f.Add([]byte(seed.old), []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, old, body []byte) {
		want, defined := decodeOnce(t, old)
		patch, also := decodeOnce(t, body)
		for _, w := range []Write{to("PATCH", "LOC1", string(body)), tariff("PATCH", "LOC1", string(body))} {
			m, refusal := mergeInto(string(old), w)
			if refusal != nil || !defined || !also {
				continue
			}
			merged := make(map[string]any)
			for name, value := range want {
				merged[name] = value
			}
			for name, value := range patch {
				merged[name] = value
			}
			got, once := decodeOnce(t, m.document)
			if !once {
				if collides(want, patch) {
					continue // "a" in the object and "A" in the patch are two members
				}
				t.Fatalf("%q + %q = %q: no object, or a member twice", old, body, m.document)
			}
			delete(merged, "last_updated")
			delete(got, "last_updated")
			if !reflect.DeepEqual(got, merged) {
				t.Fatalf("%q + %q = %q, maps say %v", old, body, m.document, merged)
			}
		}
	})
}

// collides tells names that are the same but for their case.
func collides(a, b map[string]any) bool {
	for name := range a {
		for other := range b {
			if name != other && folded([]byte(name)) == folded([]byte(other)) {
				return true
			}
		}
	}
	return false
}
