package catalog

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"busbar/ocpi"
)

// unheard is a catalog whose committer hangs.
func unheard() *Catalog {
	c := New(Config{})
	c.loaded = true
	return c
}

// room is the body of all pushes: it is never looked at.
var room = sync.OnceValue(func() []byte { return make([]byte, maxWaitingBytes+1) })

// pushOf is a push of n bytes.
func pushOf(sender string, n int) *waiter {
	return &waiter{push: &push{
		Write: Write{Method: "PUT", Module: ocpi.ModuleLocations, Sender: sender, Body: room()[:n]},
	}}
}

func (c *Catalog) takes(t *testing.T, pushes ...*waiter) {
	t.Helper()
	for _, w := range pushes {
		if refusal := c.enqueue(w); refusal != nil {
			t.Fatal(refusal)
		}
	}
}

func (c *Catalog) refuses(t *testing.T, w *waiter, reason string) {
	t.Helper()
	refusal := c.enqueue(w)
	if refusal == nil || refusal.Status != ocpi.HubError || !strings.Contains(refusal.Message, reason) {
		t.Errorf("a push beyond the bound: %v, want %q", refusal, reason)
	}
}

// TestS5_TooManyPushesWait: one platform's fill half of the room.
func TestS5_TooManyPushesWait(t *testing.T) {
	t.Parallel()
	c := unheard()
	for range maxWaiting / 2 {
		c.takes(t, pushOf("a", 0))
	}
	_, err := c.Apply(t.Context(), Write{
		Method: "PUT", Module: ocpi.ModuleLocations, Sender: "a", Owner: ocpi.PartyKey{'N', 'L', 'C', 'P', 'A'}, ID: "L", Body: []byte(`{"id":"L"}`),
	})
	if err == nil || !strings.Contains(err.Error(), "4000: ") ||
		!strings.Contains(err.Error(), "5000 pushes with 5000 bytes of your platform are waiting already, which is its share") {
		t.Error(err)
	}
	for i := range maxWaiting / 2 {
		c.takes(t, pushOf(fmt.Sprint("other ", i), 0))
	}
	c.refuses(t, pushOf("one more", 0), "10000 pushes with 10000 bytes are waiting already")
}

// TestS5_TooManyBytesWait: what waits is bounded in bytes too, and gives its room
// back when it was committed.
func TestS5_TooManyBytesWait(t *testing.T) {
	t.Parallel()
	c := unheard()
	const half = maxWaitingBytes / 2
	c.takes(t, pushOf("a", half))
	c.refuses(t, pushOf("a", 1), "1 pushes with 134217728 bytes of your platform are waiting already")
	c.takes(t, pushOf("b", half))
	c.refuses(t, pushOf("c", 1), "2 pushes with 268435456 bytes are waiting already")
	batch, done := c.queue.batch()
	if len(batch) != 1 {
		t.Errorf("%d pushes in a batch, want the first alone: it is large enough", len(batch))
	}
	c.refuses(t, pushOf("c", 1), "are waiting already") // what is being committed takes room
	done()
	c.takes(t, pushOf("c", 1))
}

// TestS5_OneLargePushIsTaken: the bound is for many.
func TestS5_OneLargePushIsTaken(t *testing.T) {
	t.Parallel()
	c := unheard()
	c.takes(t, pushOf("a", maxWaitingBytes+1))
	c.refuses(t, pushOf("b", 1), "are waiting already")
}

// batches are who sent what is committed together, until nothing waits.
func (c *Catalog) batches() (senders [][]string) {
	for {
		batch, done := c.queue.batch()
		if len(batch) == 0 {
			return senders
		}
		var of []string
		for _, w := range batch {
			of = append(of, w.Sender)
		}
		senders = append(senders, of)
		done()
	}
}

// TestS5_ALargePusherLetsASmallOneGoFirst: whatever waits of it, small pushes wait
// for the batch that is under way and no more.
func TestS5_ALargePusherLetsASmallOneGoFirst(t *testing.T) {
	t.Parallel()
	const large = 12 << 20
	c := unheard()
	for range 4 {
		c.takes(t, pushOf("noisy", large))
	}
	_, done := c.queue.batch()
	for range 10 {
		c.takes(t, pushOf("quiet", 300))
	}
	c.takes(t, pushOf("calm", 300))
	done()
	got := c.batches()
	if len(got) != 4 || len(got[0]) != 11 || slices.Contains(got[0], "noisy") {
		t.Errorf("committed together: %v; want the small ones first, then the large ones, each by itself", got)
	}
}

// TestS5_SendersShareTheCommitterByBytes
func TestS5_SendersShareTheCommitterByBytes(t *testing.T) {
	t.Parallel()
	c := unheard()
	for range 40 {
		c.takes(t, pushOf("a", 1<<20))
	}
	for range 160 {
		c.takes(t, pushOf("b", 1<<18))
	}
	had := make(map[string]int)
	for len(had) == 0 || had["a"]+had["b"] < 32<<20 {
		batch, done := c.queue.batch()
		bytes := 0
		for _, w := range batch {
			had[w.Sender] += len(w.Body)
			bytes += len(w.Body)
		}
		done()
		if bytes > maxBatchBytes {
			t.Fatalf("%d bytes are one batch", bytes)
		}
		if apart := had["a"] - had["b"]; apart > 2<<20 || apart < -2<<20 {
			t.Fatalf("they had %v", had)
		}
	}
}

// TestS5_NobodySavesUpTurns: who was quiet for long does not shut the others out.
func TestS5_NobodySavesUpTurns(t *testing.T) {
	t.Parallel()
	c := unheard()
	for range 100 {
		c.takes(t, pushOf("busy", 1<<20))
	}
	for range 20 {
		_, done := c.queue.batch()
		done()
	}
	for range 20 {
		c.takes(t, pushOf("late", 1<<20))
	}
	if next := c.batches(); !slices.Contains(next[0], "busy") || !slices.Contains(next[0], "late") {
		t.Errorf("the next batch is of %v", next[0])
	}
}

// TestR3_ASendersPushesKeepTheirOrder, whatever their sizes.
func TestR3_ASendersPushesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	c := unheard()
	pushed := make(map[string][]*waiter)
	for i := range 300 {
		sender := fmt.Sprint(i * 7 % 3)
		w := pushOf(sender, 1+i*7919%(2<<18))
		pushed[sender] = append(pushed[sender], w)
		c.takes(t, w)
	}
	for {
		batch, done := c.queue.batch()
		if len(batch) == 0 {
			break
		}
		for _, w := range batch {
			if pushed[w.Sender][0] != w {
				t.Fatalf("a push of %s overtook another", w.Sender)
			}
			pushed[w.Sender] = pushed[w.Sender][1:]
		}
		done()
	}
}

// TestS5_WhoDoesNotWaitTakesNoTurn: an abandoned push is dropped and gives its room
// back.
func TestS5_WhoDoesNotWaitTakesNoTurn(t *testing.T) {
	t.Parallel()
	c := unheard()
	gone := pushOf("a", 100<<20)
	c.takes(t, gone, pushOf("b", 1), pushOf("a", 1))
	gone.claim.Store(abandoned)
	if got := c.batches(); len(got) != 1 || len(got[0]) != 2 {
		t.Errorf("committed together: %v", got)
	}
	if q := c.queue; q.load != (load{}) || len(q.lines) != 0 || len(q.active) != 0 {
		t.Errorf("%+v, %d lines when nothing waits", q.load, len(q.lines))
	}
}

// TestS5_APartOfALargeObjectIsALargePush, since the record writes the whole.
func TestS5_APartOfALargeObjectIsALargePush(t *testing.T) {
	t.Parallel()
	c := unheard()
	w := pushOf("noisy", 100)
	w.key = Key{Module: w.Module, Owner: ocpi.PartyKey{'N', 'L', 'C', 'P', 'A'}, ID: "l"}
	c.publish([]Row{{Key: w.key, Seq: 1, Revision: 1, Document: make([]byte, 3<<20)}})
	for range 3 {
		patch := *w.push
		patch.Method = "PATCH"
		c.takes(t, &waiter{push: &patch})
	}
	c.takes(t, pushOf("quiet", 300))
	if got := c.batches(); len(got) != 3 || !slices.Contains(got[0], "quiet") {
		t.Errorf("committed together: %v", got)
	}
}
