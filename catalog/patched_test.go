package catalog

import "testing"

func TestPatched_AMemberThatIsGivenReplacesTheOldOne(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ document, patch, want string }{
		"a member":                      {`{"a":1,"b":2}`, `{"b":3}`, `{"a":1,"b":3}`},
		"one that is new":               {`{"a":1}`, `{"b":{"c":[1]}}`, `{"a":1,"b":{"c":[1]}}`},
		"an object, as a whole":         {`{"a":{"x":1,"y":2}}`, `{"a":{"x":3}}`, `{"a":{"x":3}}`},
		"null, as it stands":            {`{"a":1}`, `{"a":null}`, `{"a":null}`},
		"of an empty object":            {`{ }`, `{"a":1,"b":2}`, `{"a":1,"b":2 }`},
		"nothing":                       {` {"a" : 1} `, `{}`, ` {"a" : 1} `},
		"a name that is escaped":        {`{"\u0061":1}`, `{"a":2}`, `{"\u0061":2}`},
		"a later last_updated":          {`{"last_updated":"2026-01-01T00:00:00Z"}`, `{"last_updated":"2026-01-02T00:00:00Z"}`, `{"last_updated":"2026-01-02T00:00:00Z"}`},
		"an earlier last_updated stays": {`{"last_updated":"2026-01-02T00:00:00Z"}`, `{"a":1,"last_updated":"2026-01-01T00:00:00Z"}`, `{"last_updated":"2026-01-02T00:00:00Z","a":1}`},
		"one that cannot be read":       {`{"last_updated":"soon"}`, `{"last_updated":"2026-01-01T00:00:00Z"}`, `{"last_updated":"2026-01-01T00:00:00Z"}`},
		"no object":                     {`{"a":1}`, `[]`, ""},
		"no JSON":                       {`{"a":1}`, `{"a":`, ""},
		"a member twice":                {`{"a":1}`, `{"a":2,"a":3}`, ""},
		"of no object":                  {`[]`, `{"a":1}`, ""},
		"of no JSON":                    {`{"b":`, `{"a":1}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := Patched([]byte(test.document), []byte(test.patch))
			if string(got) != test.want || ok != (test.want != "") {
				t.Errorf("%s, %t, want %s", got, ok, test.want)
			}
		})
	}
}
