package storagetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"busbar/parties"
)

// TestNews runs the part of the conformance suite of parties.Cache that is
// about Watch, which a cache that keeps no copy must pass as well.
func TestNews(t *testing.T, open func(*testing.T) parties.Cache) {
	t.Helper()
	tests := map[string]func(*testing.T, parties.Cache){
		"a watcher first hears that it may have missed news": watchBegins,
		"every watcher hears every change in order":          watchersHear,
		"a watcher that ended hears nothing":                 watchEnds,
		"a change may be told without an id":                 newsWithoutID,
		"a change of agreements is told":                     newsOfAgreements,
	}
	for name, test := range tests {
		t.Run("news: "+name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func watchBegins(t *testing.T, c parties.Cache) {
	p := Platform("before")
	announce(t, c, 1, p.ID, &p)
	heard := Watch(t, c)
	heard.Want(parties.Change{})
	announce(t, c, 2, p.ID, &p)
	heard.Want(parties.Change{Revision: 2, ID: p.ID})
}

func watchersHear(t *testing.T, c parties.Cache) {
	first, second := Watch(t, c), Watch(t, c)
	first.Want(parties.Change{})
	second.Want(parties.Change{})
	fill(t, c, 0)
	list := many(50)
	for i := range list {
		change := parties.Change{Revision: int64(i + 1), ID: list[i].ID}
		announce(t, c, change.Revision, change.ID, &list[i])
	}
	announce(t, c, 51, list[0].ID, nil)
	announce(t, c, 3, list[2].ID, nil) // old for the copy, told all the same
	for _, heard := range []*Heard{first, second} {
		for i := range list {
			heard.Want(parties.Change{Revision: int64(i + 1), ID: list[i].ID})
		}
		heard.Want(parties.Change{Revision: 51, ID: list[0].ID})
		heard.Want(parties.Change{Revision: 3, ID: list[2].ID})
	}
}

func watchEnds(t *testing.T, c parties.Cache) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	calls := 0
	go func() {
		ended <- c.Watch(ctx, func(parties.Change) {
			calls++
			cancel()
		})
	}()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch ended with %v, want the context's error", err)
	}
	p := Platform("after")
	announce(t, c, 1, p.ID, &p)
	if calls != 1 {
		t.Errorf("news was called %d times, want once", calls)
	}
}

func newsWithoutID(t *testing.T, c parties.Cache) {
	fill(t, c, 1)
	heard := Watch(t, c)
	heard.Want(parties.Change{})
	announce(t, c, 9, "", nil)
	heard.Want(parties.Change{Revision: 9})
}

// Heard are the news that a watcher was told and that no Want has taken.
type Heard struct {
	t    *testing.T
	news chan parties.Change
}

// Watch watches a cache until the test ends, and checks how Watch then returns.
func Watch(t *testing.T, c parties.Cache) *Heard {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	heard := &Heard{t: t, news: make(chan parties.Change, 1000)}
	ended := make(chan error, 1)
	go func() {
		ended <- c.Watch(ctx, func(change parties.Change) { heard.news <- change })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Watch ended with %v, want the context's error", err)
		}
	})
	return heard
}

// Want waits for the next change and checks that it is this one.
func (h *Heard) Want(want parties.Change) {
	h.t.Helper()
	if got := h.next(fmt.Sprint(want)); got != want {
		h.t.Fatalf("heard %+v, want %+v", got, want)
	}
}

func (h *Heard) next(what string) parties.Change {
	h.t.Helper()
	select {
	case got := <-h.news:
		return got
	case <-time.After(patient): // only a failing test waits so long
		h.t.Fatalf("heard nothing, want %s", what)
		return parties.Change{}
	}
}
