package catalog

import (
	"strings"
	"testing"
)

// TestTooManyPushesWait fills the queue of a catalog whose committer hangs.
func TestTooManyPushesWait(t *testing.T) {
	t.Parallel()
	c := New(Config{})
	c.loaded = true
	for range maxWaiting {
		c.waiting <- nil
	}
	_, err := c.Apply(t.Context(), to("PUT", "LOC1", `{"id":"LOC1"}`))
	if err == nil || !strings.Contains(err.Error(), "4000: ") || !strings.Contains(err.Error(), "10000 pushes are waiting") {
		t.Error(err)
	}
}
