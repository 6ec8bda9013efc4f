package ocpi_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busbar/ocpi"
)

func TestF1_ReadEnvelope(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		body   string
		status ocpi.StatusCode
		data   string
		ok     bool
	}{
		{`{"data":[1, 2],"status_code":1000,"timestamp":"x"}`, 1000, `[1, 2]`, true},
		{` { "status_code" : "2001" , "data" : null } `, 2001, `null`, true},
		{`{"status_code":1000}`, 1000, ``, true},
		{`{"data":1,"status_code":2000,"data":{"data":3},"status_code":1000}`, 1000, `{"data":3}`, true},
		{`{"data":[]}`, 0, `[]`, false},
		{`{"data":[],"status_code":1000`, 1000, `[]`, false},
		{`{"data":[1,],"status_code":1000}`, 0, ``, false},
		{`[]`, 0, ``, false},
		{``, 0, ``, false},
	} {
		status, data, ok := ocpi.ReadEnvelope([]byte(test.body))
		if ok != test.ok || ok && (status != test.status || string(data) != test.data) {
			t.Errorf("%s: %d %s %v", test.body, status, data, ok)
		}
	}
}

// elements are the elements as text.
func elements(b string) ([]string, bool) {
	found := []string{}
	ok := ocpi.Elements([]byte(b), func(start, end int) { found = append(found, b[start:end]) })
	return found, ok
}

func TestElements(t *testing.T) {
	t.Parallel()
	for list, want := range map[string][]string{
		`[]`: {}, ` [ ] `: {}, ``: {}, ` `: {}, `null`: {}, ` null `: {},
		`[1]`: {"1"}, `[ {"a":[1,2]} , "x,]" ,null]`: {`{"a":[1,2]}`, `"x,]"`, "null"}, `[[1,2],[]]`: {"[1,2]", "[]"},
		`{"id":"A"}`: {`{"id":"A"}`}, ` {} `: {`{}`},
	} {
		got, ok := elements(list)
		if diff := cmp.Diff(want, got); diff != "" || !ok {
			t.Errorf("%q: %v %s", list, ok, diff)
		}
	}
	for _, list := range []string{
		`[1,]`, `[,1]`, `[1 2]`, `[1`, `[`, `]`, `[1]]`, `[1] x`, `nul`, `nullx`, `null null`, `{`, `{}{}`, `{"a"}`, `1`, `"x"`, `true`,
		strings.Repeat("[", 600), `[` + strings.Repeat("[", 513) + strings.Repeat("]", 513) + `]`,
	} {
		if got, ok := elements(list); ok {
			t.Errorf("%.40q is a list of %v", list, got)
		}
	}
}

func FuzzElements(f *testing.F) {
	for _, seed := range jsonSeeds {
		f.Add([]byte(seed))
		f.Add([]byte("[" + seed + "]"))
		f.Add([]byte("[" + seed + "," + seed + "]"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var got []string
		if !ocpi.Elements(b, func(start, end int) { got = append(got, string(b[start:end])) }) {
			return
		}
		var list []json.RawMessage
		trimmed := strings.Trim(string(b), " \t\r\n")
		switch {
		case trimmed == "":
		case trimmed[0] == '{':
			list = []json.RawMessage{json.RawMessage(trimmed)}
			if !json.Valid(b) {
				t.Errorf("%q is no JSON", b)
			}
		default:
			if err := json.Unmarshal(b, &list); err != nil {
				t.Fatalf("%q: %v", b, err)
			}
		}
		want := make([]string, len(list))
		for i, e := range list {
			want[i] = string(e)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", b, got, want)
		}
	})
}
