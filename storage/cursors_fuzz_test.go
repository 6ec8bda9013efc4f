package storage

import (
	"testing"

	"busbar/storage/seal"
	"busbar/storage/storagetest"
)

// FuzzOpenCursor: only what this hub sealed for the context opens.
func FuzzOpenCursor(f *testing.F) {
	sealer, err := seal.New([]string{storagetest.Secret(0)})
	if err != nil {
		f.Fatal(err)
	}
	c := cursors{sealer}
	sealed, err := c.Seal("plain", "context")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{sealed, "", "A", sealed[:20], sealed + "A", "%%%%"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		plain, err := c.Open(text, "context")
		if (err == nil) != (text == sealed) || err == nil && plain != "plain" {
			t.Errorf("%q opens as %q, %v", text, plain, err)
		}
	})
}
