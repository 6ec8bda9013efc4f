package ocpi_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"busbar/ocpi"
)

// retold writes what a Walker finds: names and values as they stand, without
// the space between them; it steps into every object and array.
func retold(w *ocpi.Walker, b []byte, out *strings.Builder) {
	switch w.Next() {
	case '{':
		w.Open('{')
		out.WriteByte('{')
		for n := 0; ; n++ {
			name, ok := w.Member()
			if !ok {
				break
			}
			if n > 0 {
				out.WriteByte(',')
			}
			fmt.Fprintf(out, "%s:", name)
			retold(w, b, out)
		}
		out.WriteByte('}')
	case '[':
		w.Open('[')
		out.WriteByte('[')
		for n := 0; w.Element(); n++ {
			if n > 0 {
				out.WriteByte(',')
			}
			retold(w, b, out)
		}
		out.WriteByte(']')
	default:
		start, end := w.Value()
		out.Write(b[start:end])
	}
}

// TestWalker compares with encoding/json on both sides of the grammar's edges.
func TestWalker(t *testing.T) {
	t.Parallel()
	for _, seed := range jsonSeeds {
		for _, text := range []string{seed, "[" + seed + "]", `{"a":` + seed + `}`, seed + seed, seed + " "} {
			b := []byte(text)
			w := ocpi.Walk(b, 0)
			var out strings.Builder
			retold(&w, b, &out)
			if w.Done() != json.Valid(b) {
				t.Errorf("%q: %v, encoding/json says %v", text, w.Done(), json.Valid(b))
			}
			if !w.Done() {
				continue
			}
			var got, want any
			if json.Unmarshal([]byte(out.String()), &got) != nil || json.Unmarshal(b, &want) != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%q is read as %s", text, &out)
			}
		}
	}
}

func TestWalkerDoesNotAllocate(t *testing.T) {
	body := location(t)
	if n := testing.AllocsPerRun(100, func() {
		w := ocpi.Walk(body, 0)
		w.Open('{')
		for {
			name, ok := w.Member()
			if !ok {
				return
			}
			ocpi.Unquote(name)
			w.Value()
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestUnquote(t *testing.T) {
	t.Parallel()
	for quoted, want := range map[string]string{`""`: "", `"a b"`: "a b", `"\u0061\"\\"`: `a"\`, `"\ud800"`: "\ufffd"} {
		if got := string(ocpi.Unquote([]byte(quoted))); got != want {
			t.Errorf("%s: %q", quoted, got)
		}
	}
}
