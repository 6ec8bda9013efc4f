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
	// The processes that fuzz seal the same text differently.
	f.Fuzz(func(t *testing.T, text string) {
		plain, err := c.Open(text, "context")
		if err == nil && plain != "plain" {
			t.Errorf("%q opens as %q", text, plain)
		}
		if _, err := c.Open(text, "another"); err == nil {
			t.Errorf("%q opens in another context", text)
		}
		for i := 0; err == nil && i < len(text); i++ {
			changed := []byte(text)
			changed[i] ^= 1
			if _, err := c.Open(string(changed), "context"); err == nil {
				t.Errorf("%q opens, and so does %q", text, changed)
			}
		}
	})
}
