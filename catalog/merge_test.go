package catalog

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"busbar/ocpi"
)

var (
	tnm      = party("NL", "TNM")
	received = time.Date(2026, 6, 7, 12, 0, 0, 0, time.UTC)
)

func party(country, id string) ocpi.PartyKey {
	k, err := ocpi.ParsePartyKey(country, id)
	if err != nil {
		panic(err)
	}
	return k
}

// to makes a push of NL/TNM like `PUT LOC1/E1`.
func to(method, path, body string) Write {
	ids := append(strings.Split(path, "/"), "", "")
	return Write{Method: method, Module: ocpi.ModuleLocations, Owner: tnm, ID: ids[0], EVSE: ids[1], Connector: ids[2],
		Body: []byte(body), Received: received}
}

func tariff(method, id, body string) Write {
	return Write{Method: method, Module: ocpi.ModuleTariffs, Owner: tnm, ID: id, Body: []byte(body), Received: received}
}

// mergeInto checks a push and merges it; old is empty when there is no object.
func mergeInto(old string, w Write) (merged, *ocpi.Error) {
	p, refusal := check(w)
	if refusal != nil {
		return merged{}, refusal
	}
	var document []byte
	if old != "" {
		document = []byte(old)
	}
	m, refusal := p.merge(document)
	if string(document) != old {
		return merged{}, ocpi.Errorf(ocpi.HubError, "merge changed its input")
	}
	return m, refusal
}

// own is the beginning of every document here.
const own = `{"country_code":"NL","party_id":"TNM","id":"LOC1"`

func TestF6_Merge(t *testing.T) {
	t.Parallel()
	const evse = `{"uid":"E1","status":"AVAILABLE","connectors":[{"id":"1","max_voltage":230,"last_updated":"2026-01-01T00:00:00Z"}],"last_updated":"2026-01-02T00:00:00Z"}`
	const loc = own + `,"name":"A", "x_unknown":1.50,"evses":[` + evse + `],"last_updated":"2026-01-03T00:00:00Z"}`
	for _, tt := range []struct {
		name      string
		old       string
		push      Write
		want      string
		updated   string
		unchanged bool
	}{
		{name: "a PUT is kept byte for byte", push: to("PUT", "LOC1", own+`, "n" : 1.50 ,"last_updated":"2026-01-01 00:00:00"} `),
			want: own + `, "n" : 1.50 ,"last_updated":"2026-01-01 00:00:00"}`, updated: "2026-01-01T00:00:00Z"},
		{name: "a PUT without required fields is completed", push: to("PUT", "LOC1", `{"id":"LOC1"}`),
			want: `{"id":"LOC1","country_code":"NL","party_id":"TNM","last_updated":"2026-06-07T12:00:00.000Z"}`, updated: "2026-06-07T12:00:00Z"},
		{name: "an owner of empty strings is the URL's", push: to("PUT", "LOC1", `{"country_code":"","party_id" : "","id":"LOC1"}`),
			want: `{"country_code":"NL","party_id" : "TNM","id":"LOC1","last_updated":"2026-06-07T12:00:00.000Z"}`, updated: "2026-06-07T12:00:00Z"},
		{name: "nulls of required fields are completed", push: to("PUT", "LOC1", `{"id":"LOC1","party_id": null ,"a":null}`),
			want:    `{"id":"LOC1","party_id": "TNM" ,"a":null,"country_code":"NL","last_updated":"2026-06-07T12:00:00.000Z"}`,
			updated: "2026-06-07T12:00:00Z"},
		{name: "a PUT resets what it does not name", old: loc, push: to("PUT", "LOC1", own+`,"last_updated":"2026-02-01T00:00:00Z"}`),
			want: own + `,"last_updated":"2026-02-01T00:00:00Z"}`, updated: "2026-02-01T00:00:00Z"},
		{name: "a PUT of the same with another last_updated changes nothing", old: loc, unchanged: true,
			push: to("PUT", "LOC1", strings.ReplaceAll(loc, "2026-01", "2026-03")), want: strings.ReplaceAll(loc, "2026-01", "2026-03"), updated: "2026-03-03T00:00:00Z"},
		{name: "an integer id and another case are the same id", push: to("PUT", "249", `{"country_code":"nl","party_id":"tnm","id":249,"last_updated":"2026-01-01T00:00:00Z"}`),
			want: `{"country_code":"nl","party_id":"tnm","id":249,"last_updated":"2026-01-01T00:00:00Z"}`, updated: "2026-01-01T00:00:00Z"},

		{name: "a PATCH replaces values and appends members", old: loc, push: to("PATCH", "LOC1", `{"name": null,"city":"B","last_updated":"2026-01-04T00:00:00Z"}`),
			want: own + `,"name":null, "x_unknown":1.50,"evses":[` + evse + `],"last_updated":"2026-01-04T00:00:00Z","city":"B"}`, updated: "2026-01-04T00:00:00Z"},
		{name: "a PATCH of last_updated alone changes nothing", old: loc, unchanged: true, push: to("PATCH", "loc1", `{"last_updated":"2026-01-04T00:00:00Z"}`),
			want: strings.Replace(loc, "2026-01-03", "2026-01-04", 1), updated: "2026-01-04T00:00:00Z"},
		{name: "a PATCH with the same value changes nothing", old: loc, unchanged: true, push: to("PATCH", "LOC1/E1", `{"status":"AVAILABLE","last_updated":"2026-01-04T00:00:00Z"}`),
			want: strings.NewReplacer("2026-01-02", "2026-01-04", "2026-01-03", "2026-01-04").Replace(loc), updated: "2026-01-04T00:00:00Z"},
		{name: "names are compared when escapes are undone", old: `{"id":"LOC1","n\u0061me":"A","last_updated":"2026-01-03T00:00:00Z"}`,
			push: to("PATCH", "LOC1", `{"\u006eame":"B","last_updated":"2026-01-04T00:00:00Z"}`),
			want: `{"id":"LOC1","n\u0061me":"B","last_updated":"2026-01-04T00:00:00Z"}`, updated: "2026-01-04T00:00:00Z"},

		{name: "an EVSE is patched in its place", old: loc, push: to("PATCH", "LOC1/e1", `{"status":"CHARGING","last_updated":"2026-01-02T12:00:00Z"}`),
			want:    strings.NewReplacer("AVAILABLE", "CHARGING", "2026-01-02T00", "2026-01-02T12").Replace(loc),
			updated: "2026-01-03T00:00:00Z"}, // R6: the Location's is later and stays
		{name: "an EVSE with an integer uid is found", old: own + `,"evses":[{"uid":7},null,3,{"uid":8}],"last_updated":"2026-01-03T00:00:00Z"}`,
			push: to("PATCH", "LOC1/8", `{"last_updated":"2026-01-02T00:00:00Z"}`), unchanged: true,
			want: own + `,"evses":[{"uid":7},null,3,{"uid":8,"last_updated":"2026-01-02T00:00:00Z"}],"last_updated":"2026-01-03T00:00:00Z"}`, updated: "2026-01-03T00:00:00Z"},
		{name: "an EVSE is replaced", old: loc, push: to("PUT", "LOC1/E1", `{"uid":"E1"}`),
			want: own + `,"name":"A", "x_unknown":1.50,"evses":[{"uid":"E1","last_updated":"2026-06-07T12:00:00.000Z"}],"last_updated":"2026-06-07T12:00:00.000Z"}`, updated: "2026-06-07T12:00:00Z"},
		{name: "an EVSE that is put as it was changes nothing", old: loc, unchanged: true, push: to("PUT", "LOC1/E1", strings.ReplaceAll(evse, "2026-01-02", "2026-01-01")),
			want: strings.Replace(loc, "2026-01-02", "2026-01-01", 1), updated: "2026-01-03T00:00:00Z"},
		{name: "a new EVSE is appended", old: loc, push: to("PUT", "LOC1/E2", `{"uid":"E2","last_updated":"2026-01-02T00:00:00Z"}`),
			want: own + `,"name":"A", "x_unknown":1.50,"evses":[` + evse + `,{"uid":"E2","last_updated":"2026-01-02T00:00:00Z"}],"last_updated":"2026-01-03T00:00:00Z"}`, updated: "2026-01-03T00:00:00Z"},
		{name: "a first EVSE makes the array", old: own + `,"last_updated":"2026-01-03T00:00:00Z"}`, push: to("PUT", "LOC1/E2", `{"uid":"E2","last_updated":"2026-01-02T00:00:00Z"}`),
			want: own + `,"last_updated":"2026-01-03T00:00:00Z","evses":[{"uid":"E2","last_updated":"2026-01-02T00:00:00Z"}]}`, updated: "2026-01-03T00:00:00Z"},
		{name: "a first EVSE replaces null", old: own + `,"evses":null,"last_updated":"2026-01-03T00:00:00Z"}`, push: to("PUT", "LOC1/E2", `{"uid":"E2","last_updated":"2026-01-02T00:00:00Z"}`),
			want: own + `,"evses":[{"uid":"E2","last_updated":"2026-01-02T00:00:00Z"}],"last_updated":"2026-01-03T00:00:00Z"}`, updated: "2026-01-03T00:00:00Z"},
		{name: "a first EVSE goes into an empty array", old: own + `,"evses":[ ],"last_updated":"2026-01-03T00:00:00Z"}`, push: to("PUT", "LOC1/E2", `{"uid":"E2","last_updated":"2026-01-02T00:00:00Z"}`),
			want: own + `,"evses":[{"uid":"E2","last_updated":"2026-01-02T00:00:00Z"} ],"last_updated":"2026-01-03T00:00:00Z"}`, updated: "2026-01-03T00:00:00Z"},
		{name: "array and last_updated are both made", old: own + `}`, push: to("PUT", "LOC1/E2", `{"uid":"E2","last_updated":"2026-01-02T00:00:00Z"}`),
			want: own + `,"last_updated":"2026-01-02T00:00:00Z","evses":[{"uid":"E2","last_updated":"2026-01-02T00:00:00Z"}]}`, updated: "2026-01-02T00:00:00Z"},

		{name: "a Connector's patch lifts both parents", old: loc, push: to("PATCH", "LOC1/E1/1", `{"max_voltage":400,"last_updated":"2026-01-05T00:00:00Z"}`),
			want: strings.NewReplacer("230", "400", "2026-01-01", "2026-01-05", "2026-01-02", "2026-01-05", "2026-01-03", "2026-01-05").Replace(loc), updated: "2026-01-05T00:00:00Z"},
		{name: "a Connector's last_updated lifts only what is older", old: loc, push: to("PATCH", "LOC1/E1/1", `{"max_voltage":400,"last_updated":"2026-01-02T06:00:00Z"}`),
			want: strings.NewReplacer("230", "400", "2026-01-01T00", "2026-01-02T06", "2026-01-02T00", "2026-01-02T06").Replace(loc), updated: "2026-01-03T00:00:00Z"},
		{name: "a Connector is put", old: loc, push: to("PUT", "LOC1/E1/2", `{"id":"2","last_updated":"2026-01-01T00:00:00Z"}`),
			want: strings.Replace(loc, `Z"}],`, `Z"},{"id":"2","last_updated":"2026-01-01T00:00:00Z"}],`, 1), updated: "2026-01-03T00:00:00Z"},
		{name: "a parent whose last_updated cannot be read is lifted", old: own + `,"evses":[{"uid":"E1"}],"last_updated":"soon"}`, unchanged: true,
			push: to("PATCH", "LOC1/E1", `{"last_updated":1767225600}`),
			want: own + `,"evses":[{"uid":"E1","last_updated":1767225600}],"last_updated":1767225600}`, updated: "2026-01-01T00:00:00Z"},

		{name: "a Tariff is put", push: tariff("PUT", "T1", `{"country_code":"NL","party_id":"TNM","id":"T1"}`),
			want: `{"country_code":"NL","party_id":"TNM","id":"T1","last_updated":"2026-06-07T12:00:00.000Z"}`, updated: "2026-06-07T12:00:00Z"},
		{name: "a Tariff is patched", old: `{"id":"T1","currency":"EUR"}`, push: tariff("PATCH", "T1", `{"currency":"SEK","last_updated":"2026-01-01T00:00:00Z"}`),
			want: `{"id":"T1","currency":"SEK","last_updated":"2026-01-01T00:00:00Z"}`, updated: "2026-01-01T00:00:00Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, refusal := mergeInto(tt.old, tt.push)
			if refusal != nil {
				t.Fatal(refusal)
			}
			if diff := cmp.Diff(tt.want, string(m.document)); diff != "" {
				t.Errorf("document (-want +got):\n%s", diff)
			}
			if got := m.updated.time().Format(time.RFC3339); got != tt.updated {
				t.Errorf("updated %s, want %s", got, tt.updated)
			}
			if m.changed == tt.unchanged {
				t.Errorf("changed is %v", m.changed)
			}
		})
	}
}

func TestU6_OperatorIsFilledIn(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`,"last_updated":1}`:                             `,"last_updated":1,"operator":{"name":"TNM"}}`,
		`,"operator":null,"last_updated":1}`:             `,"operator":{"name":"TNM"},"last_updated":1}`,
		`,"operator":{"name":"Other"},"last_updated":1}`: `,"operator":{"name":"Other"},"last_updated":1}`,
	} {
		w := to("PUT", "LOC1", own+body)
		w.Operator = []byte(`{"name":"TNM"}`)
		if m, refusal := mergeInto("", w); refusal != nil || string(m.document) != own+want {
			t.Errorf("%s: %s, %v", body, m.document, refusal)
		}
	}
	w := tariff("PUT", "T1", `{"id":"T1","last_updated":1}`)
	w.Operator = []byte(`{}`)
	if m, refusal := mergeInto("", w); refusal != nil || strings.Contains(string(m.document), "operator") {
		t.Errorf("a tariff got one: %s, %v", m.document, refusal)
	}
}

func TestE2_Refusals(t *testing.T) {
	t.Parallel()
	const loc = own + `,"evses":[{"uid":"E1","last_updated":"2026-01-02T00:00:00Z"}],"odd":1,"last_updated":"2026-01-03T00:00:00Z"}`
	const ts = `"last_updated":"2026-01-04T00:00:00Z"`
	for _, tt := range []struct {
		push   Write
		old    string
		http   int
		status ocpi.StatusCode
		text   string
	}{
		{push: to("PUT", "LOC1", `[]`), status: 2001, text: "must be a JSON object"},
		{push: to("PUT", "LOC1", ``), status: 2001, text: "must be a JSON object"},
		{push: to("PUT", "LOC1", `{"a":}`), http: 400, status: 2000, text: "not valid JSON"},
		{push: to("PUT", "LOC1", `{} x`), http: 400, status: 2000, text: "not valid JSON"},
		{push: to("PUT", "LOC1", "{\"a\":\"\xff\"}"), http: 400, status: 2000, text: "UTF-8"},
		{push: to("PUT", "LOC1", `{"id":"LOC2"}`), status: 2001, text: `field id is "LOC2", but the URL says "LOC1"`},
		{push: to("PUT", "LOC1", `{"id":1.5}`), status: 2001, text: "field id must be a string"},
		{push: to("PUT", "LOC1", `{"name":"A"}`), status: 2001, text: "field id is missing: a PUT has the whole location"},
		{push: to("PUT", "LOC1", `{"id":null}`), status: 2001, text: "field id is missing"},
		{push: to("PUT", "LOC1/E1", `{"uid":null}`), old: loc, status: 2001, text: "field uid is missing: a PUT has the whole EVSE"},
		{push: to("PUT", "LOC1/E1/1", `{}`), old: loc, status: 2001, text: "field id is missing: a PUT has the whole connector"},
		{push: tariff("PUT", "T1", `{}`), status: 2001, text: "field id is missing: a PUT has the whole tariff"},
		{push: to("PUT", "LOC1", `{"country_code":"DE"}`), status: 2001, text: `field country_code is "DE", but the URL says "NL"`},
		{push: to("PUT", "LOC1", `{"party_id":"XXX"}`), status: 2001, text: `field party_id is "XXX"`},
		{push: to("PUT", "LOC1/E1", `{"uid":"E2"}`), old: loc, status: 2001, text: `field uid is "E2"`},
		{push: to("PUT", "LOC1/E1/1", `{"id":2}`), old: loc, status: 2001, text: `field id is "2"`},
		{push: to("PATCH", "LOC1", `{"id":"LOC2",`+ts+`}`), old: loc, status: 2001, text: "field id"},
		{push: to("PATCH", "LOC1", `{"id":null,`+ts+`}`), old: loc, status: 2001, text: "field id"},
		{push: to("PATCH", "LOC1", `{"name":"B"}`), old: loc, status: 2001, text: "field last_updated is missing"},
		{push: to("PATCH", "LOC1/E1", `{"last_updated":null}`), old: loc, status: 2001, text: "field last_updated is missing"},
		{push: to("PUT", "LOC1", `{"id":"LOC1","last_updated":"soon"}`), status: 2001, text: "field last_updated is"},
		{push: to("PUT", "LOC1", `{"id":"LOC1","last_updated":{}}`), status: 2001, text: "field last_updated is"},
		{push: to("PUT", "LOC1", `{"a":1,"\u0061":2}`), status: 2001, text: "field a stands twice in the location"},
		{push: to("PUT", "LOC1", `{"evses":[{"b":1,"b":2}]}`), status: 2001, text: "field b stands twice in the EVSE"},
		{push: to("PUT", "LOC1", `{"evses":[{"connectors":[{"c":1,"c":2}]}]}`), status: 2001, text: "field c stands twice in the connector"},
		{push: to("PATCH", "LOC1", `{`+ts+`,`+ts+`}`), old: loc, status: 2001, text: "field last_updated stands twice"},
		{push: to("PUT", "LOC1", manyTwice), status: 2001, text: "field f7 stands twice"},

		{push: to("PATCH", "LOC1", `{`+ts+`}`), http: 404, status: 2003, text: "PUT the whole object first"},
		{push: to("PUT", "LOC1/E1", `{"uid":"E1",`+ts+`}`), http: 404, status: 2003, text: `no location "LOC1"`},
		{push: to("PUT", "LOC1/E1/1", `{"id":"1",`+ts+`}`), http: 404, status: 2003, text: `no location "LOC1"`},
		{push: to("PATCH", "LOC1/E9", `{`+ts+`}`), old: loc, http: 404, status: 2003, text: `no EVSE "E9"`},
		{push: to("PUT", "LOC1/E9/1", `{"id":"1",`+ts+`}`), old: loc, http: 404, status: 2003, text: `no EVSE "E9"`},
		{push: to("PATCH", "LOC1/E1/1", `{`+ts+`}`), old: loc, http: 404, status: 2003, text: `no connector "1"`},
		{push: to("PUT", "LOC1/E1", `{"uid":"E1",`+ts+`}`), old: own + `,"evses":{}}`, status: 2001, text: "field evses of the location is no array"},
		{push: to("PATCH", "LOC1/E1", `{`+ts+`}`), old: own + `,"evses":[`, status: 4000, text: "cannot read its copy"},
		{push: tariff("PATCH", "T1", `{`+ts+`}`), http: 404, status: 2001, text: "PUT the whole object first"},

		{push: to("DELETE", "LOC1", ``), old: loc, http: 405, status: 2001, text: "REMOVED"},
		{push: to("POST", "LOC1", `{}`), old: loc, http: 405, status: 2001, text: "use PUT or PATCH"},
		{push: tariff("POST", "T1", `{}`), http: 405, status: 2001, text: "use PUT or PATCH"},
		{push: Write{Method: "PUT", Module: "cdrs", Owner: tnm, ID: "1"}, status: 2001, text: `no objects of module "cdrs"`},
		{push: Write{Method: "PUT", Module: "locations", ID: "1"}, status: 2001, text: "names no object"},
		{push: to("PUT", "LOC1//1", `{}`), status: 2001, text: "names no object"},
		{push: to("PUT", strings.Repeat("x", 256), `{}`), status: 2001, text: "at most 255"},
		{push: to("PUT", "LOC1/E2", `{"uid":"E2",`+ts+`,"a":`+strings.Repeat("[", 511)+strings.Repeat("]", 511)+`}`), old: loc, status: 2001, text: "nested deeper"},
	} {
		_, refusal := mergeInto(tt.old, tt.push)
		if refusal == nil || refusal.HTTP != tt.http || refusal.Status != tt.status || !strings.Contains(refusal.Message, tt.text) {
			t.Errorf("%s %s/%s/%s %.60s: %+v, want %d %d %q", tt.push.Method, tt.push.ID, tt.push.EVSE, tt.push.Connector, tt.push.Body, refusal, tt.http, tt.status, tt.text)
		}
	}
}

// manyTwice has so many members that they are not compared one by one.
var manyTwice = func() string {
	var b strings.Builder
	for i := range 50 {
		fmt.Fprintf(&b, `"f%d":1,`, i)
	}
	return "{" + b.String() + `"f7":2}`
}()

func TestF2_LastUpdatedIsReadLeniently(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`"2026-01-31T12:00:00Z"`: "2026-01-31T12:00:00Z", `"2026-01-31T12:00:00"`: "2026-01-31T12:00:00Z",
		`"2026-01-31T12:00:00.5Z"`: "2026-01-31T12:00:00.5Z", `"2026-01-31 12:00:00.123456"`: "2026-01-31T12:00:00.123456Z",
		`"2026-01-31T14:00:00+02:00"`: "2026-01-31T12:00:00Z", `"2026-01-31 14:00:00 +0200"`: "2026-01-31T12:00:00Z",
		`" 2026-01-31t12:00:00z "`: "2026-01-31T12:00:00Z", `"2026-01-31 12:00:00 UTC"`: "2026-01-31T12:00:00Z",
		`"2026-01-31T12:00"`: "2026-01-31T12:00:00Z", `"2026-01-31"`: "2026-01-31T00:00:00Z",
		`"2026-01-31T12:00:00.123456789Z"`: "2026-01-31T12:00:00.123456Z",
		`1769860800`:                       "2026-01-31T12:00:00Z", `1769860800000`: "2026-01-31T12:00:00Z",
		`"1769860800"`: "2026-01-31T12:00:00Z", `1769860800.5`: "2026-01-31T12:00:00.5Z",
		`"0001-01-01T00:00:00Z"`: "0001-01-01T00:00:00Z", `"9999-12-31T23:59:59Z"`: "9999-12-31T23:59:59Z",
		`"\u0032026-01-31"`: "2026-01-31T00:00:00Z",
		`"0000-12-31"`:      "", `""`: "", `"x"`: "", `true`: "", `{}`: "", `null`: "", `"Inf"`: "", `"0x10"`: "", `1e300`: "", `"2026-13-01"`: "",
		`"` + strings.Repeat("1", 70) + `"`: "", `-99999999999`: "",
	} {
		at, ok := readInstant([]byte(value))
		got := ""
		if ok {
			got = at.time().Format(time.RFC3339Nano)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", value, got, want)
		}
	}
}

// TestF6_PatchedAtOnceOrFieldByField: the order in which members come does not
// matter.
func TestF6_PatchedAtOnceOrFieldByField(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		path := rapid.SampledFrom([]string{"LOC1", "LOC1/E1", "LOC1/E1/1"}).Draw(t, "path")
		old := drawLocation(t)
		fields := rapid.MapOfN(rapid.SampledFrom([]string{"name", "b", "status", "new", "ümläut", `q"`}), drawValue(), 1, 4).Draw(t, "fields")
		const ts = `"last_updated":"2026-05-05T00:00:00Z"`
		atOnce, one := "", old
		for name, value := range fields {
			field := string(quote(name)) + ":" + value
			atOnce += field + ","
			m, refusal := mergeInto(one, to("PATCH", path, "{"+field+","+ts+"}"))
			if refusal != nil {
				t.Fatal(refusal)
			}
			one = string(m.document)
		}
		m, refusal := mergeInto(old, to("PATCH", path, "{"+atOnce+ts+"}"))
		if refusal != nil {
			t.Fatal(refusal)
		}
		if diff := cmp.Diff(decoded(t, string(m.document)), decoded(t, one)); diff != "" {
			t.Fatalf("at once and one by one differ:\n%s", diff)
		}
	})
}

// TestF5_SpliceChangesNothingElse compares with the same patch by maps, and
// that all other bytes stay.
func TestF5_SpliceChangesNothingElse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		old := drawLocation(t)
		path := rapid.SampledFrom([]string{"LOC1", "LOC1/E1", "LOC1/E1/1"}).Draw(t, "path")
		name := rapid.SampledFrom([]string{"name", "status", "new"}).Draw(t, "field")
		// Longer than anything in old, so that it can be cut out again.
		const mark = `"<the value that was put in its place>"`
		m, refusal := mergeInto(old, to("PATCH", path, `{"`+name+`":`+mark+`,"last_updated":"2000-01-01T00:00:00Z"}`))
		if refusal != nil {
			t.Fatal(refusal)
		}
		if err := ocpi.CheckJSON(m.document); err != nil {
			t.Fatalf("%s: %v", m.document, err)
		}
		before, after, ok := strings.Cut(string(m.document), mark)
		if !ok {
			t.Fatalf("%s: the value is not there", m.document)
		}
		// What stands before and behind is old's, but for the member's name when
		// it was appended, and the target's own last_updated.
		before = strings.TrimSuffix(before, `,"`+name+`":`)
		before, after = withoutTimes(before), withoutTimes(after)
		was := withoutTimes(old)
		if !strings.HasPrefix(was, before) || !strings.HasSuffix(was, after) || len(before)+len(after) > len(was) {
			t.Fatalf("old %s\nnew %s\nother bytes changed", old, m.document)
		}
	})
}

var times = strings.NewReplacer(`"2000-01-01T00:00:00Z"`, "T", `"2026-01-01T00:00:00Z"`, "T", `"2026-01-02T00:00:00Z"`, "T", `"2026-01-03T00:00:00Z"`, "T")

func withoutTimes(s string) string { return times.Replace(s) }

func decoded(t *rapid.T, document string) any {
	var v any
	if err := json.Unmarshal([]byte(document), &v); err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return v
}

func drawValue() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{`null`, `1.50`, `1E+2`, `"a\u00e9\"}]"`, `[1, 2 ]`, `{"x":{"last_updated":1}}`, `true`, `""`, `[]`, `{ }`})
}

// drawLocation draws one with EVSE E1 and its Connector 1, among others.
func drawLocation(t *rapid.T) string {
	space := func() string { return rapid.SampledFrom([]string{"", "", " ", "\n\t"}).Draw(t, "space") }
	object := func(members ...string) string {
		for _, name := range []string{"a", "name", "status"} {
			if rapid.Bool().Draw(t, "has") {
				members = append(members, fmt.Sprintf(`"%s"%s:%s%s`, name, space(), space(), drawValue().Draw(t, "value")))
			}
		}
		members = rapid.Permutation(members).Draw(t, "order")
		return "{" + space() + strings.Join(members, space()+","+space()) + space() + "}"
	}
	others := func(elements ...string) string {
		elements = append(elements, rapid.SliceOfN(rapid.SampledFrom([]string{`{"uid":"X","id":"X"}`, `null`, `{}`, `{"uid":2,"id":2}`}), 0, 3).Draw(t, "others")...)
		return "[" + space() + strings.Join(rapid.Permutation(elements).Draw(t, "order"), space()+","+space()) + space() + "]"
	}
	connector := object(`"id":"1"`, `"last_updated":"2026-01-01T00:00:00Z"`)
	evse := object(`"uid":"E1"`, `"connectors":`+others(connector), `"last_updated":"2026-01-02T00:00:00Z"`)
	return object(`"id":"LOC1"`, `"evses":`+others(evse), `"last_updated":"2026-01-03T00:00:00Z"`)
}

func FuzzMerge(f *testing.F) {
	for _, seed := range []struct{ old, path, method, body string }{
		{own + `,"evses":[{"uid":"E1"}],"last_updated":1}`, "LOC1/E1", "PATCH", `{"status":"X","last_updated":2}`},
		{own + `,"evses":null}`, "LOC1/E1", "PUT", `{"uid":"E1"}`},
		{own + `,"evses":[{"uid":"E1","connectors":[{"id":1}]}]}`, "LOC1/E1/1", "PATCH", `{"last_updated":2}`},
		{``, "LOC1", "PUT", `{"\u0069d":"LOC1","a":1,"a":2}`}, {`{`, "LOC1/E1", "PUT", `{}`}, {`[]`, "LOC1", "PATCH", `{"last_updated":2}`},
		{own + `}`, "LOC1/E1", "PUT", `{"uid":"E1","x":` + strings.Repeat("[", 510) + strings.Repeat("]", 510) + `}`},
		{own + `,"evses":[{"uid":"E1"}]}`, "LOC1/E1/1", "PUT", `{"id":"1","x":` + strings.Repeat("[", 508) + strings.Repeat("]", 508) + `}`},
		{own + `}`, "LOC1", "PUT", own + `}`}, {`{}`, "loc1", "PATCH", `{"last_updated":"2026-01-01"}`},
	} {
		f.Add(seed.old, seed.path, seed.method, seed.body)
	}
	f.Fuzz(func(t *testing.T, old, path, method, body string) {
		m, refusal := mergeInto(old, to(method, path, body))
		if refusal != nil {
			if refusal.Message == "" || strings.Contains(refusal.Message, "changed its input") {
				t.Fatal(refusal)
			}
			return
		}
		if (old == "" || ocpi.CheckJSON([]byte(old)) == nil) && ocpi.CheckJSON(m.document) != nil {
			t.Fatalf("%q + %s %s %q = %q: no JSON", old, method, path, body, m.document)
		}
		// Once more changes nothing.
		if again, refusal := mergeInto(string(m.document), to(method, path, body)); refusal != nil || again.changed && ocpi.CheckJSON([]byte(old)) == nil {
			t.Fatalf("%q + %s %s %q twice: %v, changed %v", old, method, path, body, refusal, again.changed)
		}
	})
}

func TestM2_ReadPath(t *testing.T) {
	t.Parallel()
	type ids = [3]string
	for _, tt := range []struct {
		module ocpi.ModuleID
		path   string
		ids    ids
		text   string
	}{
		{module: "locations", path: "/NL/TNM/LOC1", ids: ids{"LOC1"}},
		{module: "locations", path: "NL/TNM/LOC1", ids: ids{"LOC1"}},
		{module: "locations", path: "/nl/tnm/LOC1/", ids: ids{"LOC1"}},
		{module: "locations", path: "/NL/TNM/LOC1/E1", ids: ids{"LOC1", "E1"}},
		{module: "locations", path: "/NL/TNM/LOC1/E1/1/", ids: ids{"LOC1", "E1", "1"}},
		{module: "locations", path: "/NL/TNM/a%2Fb/%23NA/c%20d", ids: ids{"a/b", "#NA", "c d"}},
		{module: "locations", path: "/NL/TNM/a+b%C3%A9;x", ids: ids{"a+bé;x"}},
		{module: "tariffs", path: "/NL/TNM/T1", ids: ids{"T1"}},
		{module: "locations", path: "", text: "country_code is empty"},
		{module: "locations", path: "/", text: "country_code is empty"},
		{module: "locations", path: "/NL", text: "no party_id"},
		{module: "locations", path: "/NL/TNM", text: "no location id"},
		{module: "locations", path: "/NL/TNM/", text: "location id is empty"},
		{module: "locations", path: "/NL/TNM/LOC1//", text: "EVSE uid is empty"},
		{module: "locations", path: "/NL//LOC1", text: "party_id is empty"},
		{module: "locations", path: "/NLD/TNM/LOC1", text: `country code "NLD"`},
		{module: "locations", path: "/NL/TNMX/LOC1", text: `party id "TNMX"`},
		{module: "locations", path: "/NL/TNM/a%2", text: "location id has a broken percent escape"},
		{module: "locations", path: "/NL/TNM/a/b%00", text: "EVSE uid is not text"},
		{module: "locations", path: "/NL/TNM/%FF", text: "location id is not text"},
		{module: "locations", path: "/NL/TNM/" + strings.Repeat("x", 256), text: "at most 255"},
		{module: "locations", path: "/NL/TNM/a/b/c/d", text: "at most country_code/party_id/location id/EVSE uid/connector id"},
		{module: "tariffs", path: "/NL/TNM/T1/x", text: "at most country_code/party_id/tariff id"},
		{module: "tariffs", path: "/NL/TNM", text: "no tariff id"},
		{module: "cdrs", path: "/NL/TNM/1", text: `module "cdrs"`},
	} {
		w, refusal := ReadPath(tt.module, tt.path)
		switch {
		case tt.text != "" && (refusal == nil || refusal.Status != 2001 || !strings.Contains(refusal.Message, tt.text)):
			t.Errorf("%s%s: %v, want 2001 %q", tt.module, tt.path, refusal, tt.text)
		case tt.text == "" && (refusal != nil || w.Owner != tnm || w.Module != tt.module || ids{w.ID, w.EVSE, w.Connector} != tt.ids):
			t.Errorf("%s%s: %+v, %v", tt.module, tt.path, w, refusal)
		}
	}
}

func FuzzReadPath(f *testing.F) {
	for _, path := range []string{"/NL/TNM/LOC1", "/NL/TNM/a%2Fb/%23NA/1/", "//", "%", "/NL/TNM/%ff"} {
		f.Add("locations", path)
		f.Add("tariffs", path)
	}
	f.Fuzz(func(t *testing.T, module, path string) {
		w, refusal := ReadPath(ocpi.ModuleID(module), path)
		if refusal != nil {
			return
		}
		w.Method, w.Body = http.MethodPatch, []byte(`{"last_updated":1}`)
		if _, err := check(w); err != nil {
			t.Fatalf("%s %q is read but not written: %v", module, path, err)
		}
		if w.EVSE == "" && w.Connector != "" || w.ID == "" {
			t.Fatalf("%+v", w)
		}
	})
}
