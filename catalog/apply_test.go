package catalog

import (
	"strings"
	"testing"

	"busbar/ocpi"
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

// TestTooManyBytesWait: what waits is bounded in bytes too, and gives its room
// back when it was committed.
func TestTooManyBytesWait(t *testing.T) {
	t.Parallel()
	c := New(Config{})
	c.loaded = true
	body := make([]byte, maxWaitingBytes/2)
	push := func(size int) *waiter { return &waiter{push: &push{Write: Write{Body: body[:size]}}} }
	for range 2 {
		if refusal := c.enqueue(push(len(body))); refusal != nil {
			t.Fatal(refusal)
		}
	}
	refusal := c.enqueue(push(1))
	if refusal == nil || refusal.Status != ocpi.HubError || !strings.Contains(refusal.Message, "268435456 bytes of pushes are waiting") {
		t.Errorf("a push beyond the bound: %v", refusal)
	}
	batch, done := c.batch(<-c.waiting)
	if len(batch) != 1 {
		t.Errorf("%d pushes in a batch, want the first alone: it is large enough", len(batch))
	}
	if c.enqueue(push(1)) == nil {
		t.Error("what is being committed takes no room")
	}
	done()
	if refusal := c.enqueue(push(1)); refusal != nil {
		t.Errorf("after the commit: %v", refusal)
	}
}

// TestOneLargePushIsTaken: the bound is for many.
func TestOneLargePushIsTaken(t *testing.T) {
	t.Parallel()
	c := New(Config{})
	c.loaded = true
	if refusal := c.enqueue(&waiter{push: &push{Write: Write{Body: make([]byte, maxWaitingBytes+1)}}}); refusal != nil {
		t.Error(refusal)
	}
}
