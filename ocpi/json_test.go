package ocpi_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"busbar/ocpi"
)

// jsonSeeds are documents on both sides of the grammar's edges.
var jsonSeeds = []string{
	``, ` `, `null`, `true`, `false`, `tru`, `nulll`, `nul`, `True`, `"x"`, `"`, `"\"`, `"\u00e9"`, `"\u00e"`, `"\u00eg"`, `"\x"`, `"\`, `"\u`,
	"\"\x00\"", "\"\x1f\"", "\"\x7f\"", "\"\xff\xfe\"", "\"a\nb\"", `"\b\f\n\r\t\/\\\""`,
	`0`, `-0`, `-`, `+1`, `01`, `-01`, `1.`, `.5`, `1.5`, `1e5`, `1E+5`, `1e-5`, `1e`, `1e+`, `1.e1`, `0x1`, `NaN`, `Infinity`, `1 2`, `12`, `1.10`,
	`{}`, `[]`, `{ }`, `[ ]`, `{`, `[`, `}`, `]`, `{]`, `[}`, `[1,2]`, `[1,]`, `[,1]`, `[1 2]`, `[,]`, `[[],{}]`, `[[]`,
	`{"a":1}`, `{"a":1,}`, `{,"a":1}`, `{"a"}`, `{"a":}`, `{"a" 1}`, `{a:1}`, `{1:1}`, `{"a":1 "b":2}`, `{"a":1,"a":2}`, `{"a":{"b":[{}]}}`, `{"a":1]`, `[{"a":1}`,
	"\ufeff{}", "{}\x00", " {\r\n\t} ", "\v{}", "{}\u00a0", `{}{}`, `{} x`, `/**/{}`, `'a'`,
	`{"very long text with ünïcode and \"escapes\"":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\u20acaaaaaaaaa\\"}`,
}

// disagree tells where CheckJSON and encoding/json differ, but for the depth.
func disagree(body []byte) bool {
	err := ocpi.CheckJSON(body)
	if err != nil && strings.Contains(err.Error(), "deeper than") {
		return false
	}
	return (err == nil) != json.Valid(body)
}

func TestS1_CheckJSON(t *testing.T) {
	t.Parallel()
	for _, body := range jsonSeeds {
		// Also with everything in one array, where another branch goes on.
		for _, b := range []string{body, "[" + body + "]", `{"a":` + body + `}`, body + body, body + " "} {
			if disagree([]byte(b)) {
				t.Errorf("%q: %v, encoding/json says %v", b, ocpi.CheckJSON([]byte(b)), json.Valid([]byte(b)))
			}
		}
	}
}

func TestCheckJSONSaysWhere(t *testing.T) {
	t.Parallel()
	for body, fault := range map[string]string{
		"": "it is empty", " \n": "it is empty", "{": "it ends unexpectedly", `{"a":"b`: "it ends unexpectedly",
		`{"a":1}x`: "unexpected data after the value, at byte 7", `{"a":x}`: "unexpected character at byte 5",
		"[\"a\x00\"]":              "unexpected character at byte 3",
		`{"a":1,}`:                 "unexpected character at byte 7",
		`[1}`:                      "unexpected character at byte 2",
		strings.Repeat("[", 513):   "nested deeper than 512 levels",
		strings.Repeat("[[{", 171): "unexpected character at byte 3",
	} {
		if err := ocpi.CheckJSON([]byte(body)); err == nil || err.Error() != fault {
			t.Errorf("%.20q: %v, want %q", body, err, fault)
		}
	}
}

func TestCheckJSONDepth(t *testing.T) {
	t.Parallel()
	nest := func(open, inner, end string, n int) []byte {
		return []byte(strings.Repeat(open, n) + inner + strings.Repeat(end, n))
	}
	for _, tt := range []struct {
		open, inner, end string
		n                int
		ok               bool
	}{
		{"[", "", "]", 512, true}, {"[", "", "]", 513, false}, {"[", "1", "]", 512, true},
		{`{"a":`, "1", "}", 512, true}, {`{"a":`, "1", "}", 513, false}, {`{"a":`, "{}", "}", 511, true}, {`{"a":`, "{}", "}", 512, false},
		{`[{"a":[1,`, `{}`, `]},2]`, 170, true}, {`[{"a":[1,`, `{}`, `]},2]`, 171, false},
	} {
		if err := ocpi.CheckJSON(nest(tt.open, tt.inner, tt.end, tt.n)); (err == nil) != tt.ok {
			t.Errorf("%d × %s: %v", tt.n, tt.open, err)
		}
	}
	// Refused at the 513th bracket: the rest is not looked at, or this would
	// find the fault behind it.
	for _, bomb := range []string{strings.Repeat("[", 100_000) + "\x00", strings.Repeat(`{"a":`, 100_000), strings.Repeat("[", 100_000)} {
		if err := ocpi.CheckJSON([]byte(bomb)); err == nil || !strings.Contains(err.Error(), "deeper than 512") {
			t.Errorf("100,000 brackets: %v", err)
		}
	}
}

func TestCheckJSONDoesNotAllocate(t *testing.T) {
	body := location(t)
	if n := testing.AllocsPerRun(100, func() { _ = ocpi.CheckJSON(body) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { ocpi.ScanEnvelope(body) }); n != 0 {
		t.Errorf("ScanEnvelope: %v allocations", n)
	}
}

// TestCheckJSONAgreesOnGeneratedDocuments breaks valid documents in one place.
func TestCheckJSONAgreesOnGeneratedDocuments(t *testing.T) {
	t.Parallel()
	alphabet := []byte("{}[]\",:\\u0123456789abcdef-+.eEtrufalsn \n\t\x00\x1f\x7f\x80\xff")
	rapid.Check(t, func(t *rapid.T) {
		body, err := json.MarshalIndent(drawJSON(t, 4), rapid.SampledFrom([]string{"", " "}).Draw(t, "prefix"), rapid.SampledFrom([]string{"", "\t"}).Draw(t, "indent"))
		if err != nil {
			t.Fatal(err)
		}
		if err := ocpi.CheckJSON(body); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		at := rapid.IntRange(0, len(body)-1).Draw(t, "at")
		body[at] = rapid.SampledFrom(alphabet).Draw(t, "byte")
		if cut := rapid.IntRange(0, len(body)).Draw(t, "cut"); disagree(body) || disagree(body[:cut]) {
			t.Fatalf("%q or its first %d bytes: encoding/json does not agree", body, cut)
		}
	})
}

func drawJSON(t *rapid.T, depth int) any {
	kinds := 5
	if depth > 0 {
		kinds = 7
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2:
		return rapid.Float64Range(-1e30, 1e30).Draw(t, "number")
	case 3:
		return rapid.Int().Draw(t, "int")
	case 4:
		return rapid.String().Draw(t, "string")
	case 5:
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "length") {
			list = append(list, drawJSON(t, depth-1))
		}
		return list
	default:
		members := map[string]any{}
		for range rapid.IntRange(0, 3).Draw(t, "members") {
			members[rapid.String().Draw(t, "name")] = drawJSON(t, depth-1)
		}
		return members
	}
}

func FuzzCheckJSON(f *testing.F) {
	for _, body := range jsonSeeds {
		f.Add([]byte(body))
	}
	f.Add(location(f))
	f.Fuzz(func(t *testing.T, body []byte) {
		if disagree(body) {
			t.Errorf("%q: %v, encoding/json says %v", body, ocpi.CheckJSON(body), json.Valid(body))
		}
	})
}

// location is a Location of 2.8 KB, as a CPO would push it.
func location(t testing.TB) []byte {
	t.Helper()
	body, err := os.ReadFile("testdata/location.json")
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func BenchmarkCheckJSON(b *testing.B) {
	body := location(b)
	b.Run("CheckJSON", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if ocpi.CheckJSON(body) != nil {
				b.Fatal("refused")
			}
		}
	})
	b.Run("json.Valid", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			if !json.Valid(body) {
				b.Fatal("refused")
			}
		}
	})
}
