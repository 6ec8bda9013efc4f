package journal

import "testing"

// FuzzCursor: whatever a client makes of a cursor, it is a place or refused.
func FuzzCursor(f *testing.F) {
	f.Add(place{1_700_000_000_000_000_000, 42}.cursor())
	f.Add(place{-1, 0}.cursor())
	f.Add("")
	f.Add("IA")
	f.Add("====")
	f.Fuzz(func(t *testing.T, cursor string) {
		at, err := readCursor(cursor)
		if err != nil || cursor == "" {
			return
		}
		if again, err := readCursor(at.cursor()); err != nil || again != at {
			t.Errorf("%q: %+v, written and read again %+v, %v", cursor, at, again, err)
		}
	})
}
