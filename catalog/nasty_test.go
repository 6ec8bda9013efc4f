package catalog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busbar/ocpi"
)

// What real peers and hostile ones write. Everything outside of what is pushed
// stays as it is, byte by byte.
func TestF5_MergesIntoOddDocuments(t *testing.T) {
	t.Parallel()
	const ts, at = `"last_updated":"2026-01-02T00:00:00Z"`, `"2026-01-02T00:00:00Z"`
	for _, tt := range []struct {
		name, old string
		push      Write
		want      string
	}{
		{"of two EVSEs with one uid the first is meant", `{"evses":[{"uid":"E1","n":1,` + ts + `},{"uid":"E1","n":2}],` + ts + `}`,
			to("PATCH", "LOC1/E1", `{"n":3,`+ts+`}`), `{"evses":[{"uid":"E1","n":3,` + ts + `},{"uid":"E1","n":2}],` + ts + `}`},
		{"a uid written with escapes", `{"evses":[{"uid":"\u0045\/1","n":1,` + ts + `}],` + ts + `}`,
			to("PATCH", "LOC1/e%2F1", `{"n":2,`+ts+`}`), `{"evses":[{"uid":"\u0045\/1","n":2,` + ts + `}],` + ts + `}`},
		{"keys written with escapes", `{"\u0065vses":[{"\u0075id":"E1","\u006e":1,"last\u005fupdated":"x"}],"last_\u0075pdated":1}`,
			to("PATCH", "LOC1/E1", `{"n":2,`+ts+`}`), `{"\u0065vses":[{"\u0075id":"E1","\u006e":2,"last\u005fupdated":` + at + `}],"last_\u0075pdated":` + at + `}`},
		{"keys of the push written with escapes", `{"evses":[{"uid":"E1","n":1,` + ts + `}],` + ts + `}`,
			to("PATCH", "LOC1/E1", `{"\u006e":2,"last\u005fupdated":`+at+`}`), `{"evses":[{"uid":"E1","n":2,` + ts + `}],` + ts + `}`},
		{"a key with another case is another key", `{"Evses":[{"uid":"E1"}],"LAST_UPDATED":1,` + ts + `}`,
			to("PUT", "LOC1/E1", `{"uid":"E1",`+ts+`}`), `{"Evses":[{"uid":"E1"}],"LAST_UPDATED":1,` + ts + `,"evses":[{"uid":"E1",` + ts + `}]}`},
		{"brackets and quotes in texts", `{"name":"]}\"{[","evses":[{"a":"\\","uid":"E1","b":"}]",` + ts + `}],` + ts + `}`,
			to("PATCH", "LOC1/E1", `{"b":"\"]}","c":"{",`+ts+`}`), `{"name":"]}\"{[","evses":[{"a":"\\","uid":"E1","b":"\"]}",` + ts + `,"c":"{"}],` + ts + `}`},
		{"a uid in a deeper object is not the EVSE's", `{"evses":[{"x":{"uid":"E1"},"uid":"E0"},{"x":[{"uid":"E1"}],"uid":"E1","n":1,` + ts + `}],` + ts + `}`,
			to("PATCH", "LOC1/E1", `{"n":2,`+ts+`}`), `{"evses":[{"x":{"uid":"E1"},"uid":"E0"},{"x":[{"uid":"E1"}],"uid":"E1","n":2,` + ts + `}],` + ts + `}`},
		{"a last_updated in a deeper object is not the Location's", `{"opening_times":{"last_updated":1},"evses":[{"uid":"E1","y":{"last_updated":2}}]}`,
			to("PATCH", "LOC1/E1", `{`+ts+`}`), `{"opening_times":{"last_updated":1},"evses":[{"uid":"E1","y":{"last_updated":2},` + ts + `}],` + ts + `}`},
		{"space everywhere", " \n{ \"evses\" : [ { \"uid\" : \"E1\" , \"connectors\" : [ ] } ] \t, " + ts + " } ",
			to("PUT", "LOC1/E1/1", "\n{ \"id\" : \"1\" , "+ts+" }\n"), " \n{ \"evses\" : [ { \"uid\" : \"E1\" , \"connectors\" : [{ \"id\" : \"1\" , " + ts + " } ]," + ts + " } ] \t, " + ts + " } "},
		{"a first Connector replaces null", `{"evses":[{"uid":"E1","connectors":null,` + ts + `}],` + ts + `}`,
			to("PUT", "LOC1/E1/1", `{"id":"1",`+ts+`}`), `{"evses":[{"uid":"E1","connectors":[{"id":"1",` + ts + `}],` + ts + `}],` + ts + `}`},
		{"an EVSE is put with a uid of another case", `{"evses":[{"uid":"E1","n":1,` + ts + `},{"uid":"E2"}],` + ts + `}`,
			to("PUT", "LOC1/e1", `{"uid":"e1",`+ts+`}`), `{"evses":[{"uid":"e1",` + ts + `},{"uid":"E2"}],` + ts + `}`},
		{"a Connector with an integer id", `{"evses":[{"uid":"E1","connectors":[{"id":1,"n":1,` + ts + `}],` + ts + `}],` + ts + `}`,
			to("PATCH", "LOC1/E1/1", `{"n":2,`+ts+`}`), `{"evses":[{"uid":"E1","connectors":[{"id":1,"n":2,` + ts + `}],` + ts + `}],` + ts + `}`},
		{"a parent of the same time keeps its spelling", `{"evses":[{"uid":"E1",` + ts + `}],"last_updated":"2026-01-02 00:00:00.000"}`,
			to("PATCH", "LOC1/E1", `{"n":1,`+ts+`}`), `{"evses":[{"uid":"E1",` + ts + `,"n":1}],"last_updated":"2026-01-02 00:00:00.000"}`},
		{"a patch takes the EVSEs away", `{"evses":[{"uid":"E1"}],` + ts + `}`,
			to("PATCH", "LOC1", `{"evses":null,`+ts+`}`), `{"evses":null,` + ts + `}`},
		{"an EVSE without a uid and one of null", `{"evses":[{},{"uid":null},{"uid":{}},[],"E1",{"uid":"E1",` + ts + `}],` + ts + `}`,
			to("PATCH", "LOC1/E1", `{"n":1,`+ts+`}`), `{"evses":[{},{"uid":null},{"uid":{}},[],"E1",{"uid":"E1",` + ts + `,"n":1}],` + ts + `}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.push.EVSE = strings.ReplaceAll(tt.push.EVSE, "%2F", "/")
			m, refusal := mergeInto(tt.old, tt.push)
			if refusal != nil {
				t.Fatal(refusal)
			}
			if diff := cmp.Diff(tt.want, string(m.document)); diff != "" {
				t.Errorf("document (-want +got):\n%s", diff)
			}
			if err := ocpi.CheckJSON(m.document); err != nil {
				t.Error(err)
			}
		})
	}
	for name, tt := range map[string]struct {
		old  string
		push Write
		text string
	}{
		"connectors that are no array":   {`{"evses":[{"uid":"E1","connectors":"none"}]}`, to("PUT", "LOC1/E1/1", `{"id":"1",`+ts+`}`), "field connectors of the EVSE is no array"},
		"connectors that are an object":  {`{"evses":[{"uid":"E1","connectors":{"id":"1"}}]}`, to("PATCH", "LOC1/E1/1", `{`+ts+`}`), `no connector "1"`},
		"EVSEs that are a text":          {`{"evses":"E1"}`, to("PATCH", "LOC1/E1", `{`+ts+`}`), `no EVSE "E1"`},
		"an EVSE that is its uid":        {`{"evses":["E1"]}`, to("PATCH", "LOC1/E1", `{`+ts+`}`), `no EVSE "E1"`},
		"one key in two spellings":       {``, to("PUT", "LOC1", `{"evses":[],"\u0065vses":[]}`), "field evses stands twice"},
		"one key twice in a Connector":   {``, to("PUT", "LOC1", `{"evses":[{"connectors":[{},{"a":1,"\u0061":1}]}]}`), "field a stands twice in the connector"},
		"a body that is cut off":         {``, to("PUT", "LOC1", `{"id":"LOC1"`), "not valid JSON"},
		"two bodies":                     {``, to("PUT", "LOC1", `{}{}`), "not valid JSON"},
		"a lone surrogate as an id":      {``, to("PUT", "LOC1", `{"id":"\ud800"}`), "field id"},
		"an id of an object":             {``, to("PUT", "LOC1", `{"id":{}}`), "field id must be a string"},
		"a Location that is no location": {`[1]`, to("PATCH", "LOC1/E1", `{`+ts+`}`), "cannot read its copy"},
	} {
		if _, refusal := mergeInto(tt.old, tt.push); refusal == nil || !strings.Contains(refusal.Message, tt.text) {
			t.Errorf("%s: %v, want …%s…", name, refusal, tt.text)
		}
	}
}
