package storage_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"busbar/parties"
	"busbar/storage/storagetest"
)

func TestNewsWithinAProcessMeetTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestNews(t, func(t *testing.T) parties.Cache {
		return open(t, settings(t)).Cache
	})
}

func TestTheCacheOfAnEmbeddedHubKeepsNothing(t *testing.T) {
	t.Parallel()
	cache, p := open(t, settings(t)).Cache, storagetest.Platform("p")
	if err := cache.Fill(t.Context(), parties.Record{Platforms: []parties.Platform{p}, Revision: 1}); err != nil {
		t.Error(err)
	}
	if err := cache.Announce(t.Context(), parties.Change{Revision: 2, ID: p.ID}, &p); err != nil {
		t.Error(err)
	}
	if _, ok, err := cache.Load(t.Context()); ok || err != nil {
		t.Errorf("Load: ok %v, %v", ok, err)
	}
	if _, at, err := cache.Get(t.Context(), p.ID); at != 0 || err != nil {
		t.Errorf("Get: as of %d, %v", at, err)
	}
}

func TestAWatcherThatFellBehindIsToldToReadEverything(t *testing.T) {
	t.Parallel()
	cache := open(t, settings(t)).Cache
	ctx, cancel := context.WithCancel(t.Context())
	busy, free := make(chan struct{}), make(chan struct{})
	var heard []parties.Change
	ended := make(chan error)
	const last = 5000
	go func() {
		ended <- cache.Watch(ctx, func(change parties.Change) {
			if len(heard) == 0 {
				close(busy)
				<-free
			}
			heard = append(heard, change)
			if change.Revision == last {
				cancel()
			}
		})
	}()
	<-busy
	for revision := range int64(last) {
		if err := cache.Announce(t.Context(), parties.Change{Revision: revision + 1, ID: "p"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	close(free)
	<-ended
	if len(heard) > 1100 {
		t.Errorf("%d news were kept", len(heard))
	}
	// After the greeting: the advice, then the newest without a gap.
	if heard[1] != (parties.Change{}) {
		t.Errorf("the first news after the greeting are %+v, want none", heard[1])
	}
	for i := 3; i < len(heard); i++ {
		if heard[i].Revision != heard[i-1].Revision+1 {
			t.Fatalf("heard %d after %d", heard[i].Revision, heard[i-1].Revision)
		}
	}
}

func TestCursorsStandInAURLAndOpenOnlyInTheirContext(t *testing.T) {
	t.Parallel()
	cursors := open(t, settings(t)).Cursors
	texts := []string{"", "after=1", "ä\x00\xff", strings.Repeat("long", 1000)}
	for i := range 50 { // of so many some would hold a + or a /
		texts = append(texts, fmt.Sprint("text", i))
	}
	for _, text := range texts {
		sealed, err := cursors.Seal(text, "sessions/NLEMS")
		if err != nil {
			t.Fatal(err)
		}
		if url.QueryEscape(sealed) != sealed || text != "" && strings.Contains(sealed, text) {
			t.Errorf("Seal(%q) = %q", text, sealed)
		}
		if opened, err := cursors.Open(sealed, "sessions/NLEMS"); err != nil || opened != text {
			t.Errorf("Open = %q, %v, want %q", opened, err, text)
		}
		for what, wrong := range map[string][2]string{
			"another context": {sealed, "sessions/NLEMT"},
			"a changed text":  {sealed[:20] + "x" + sealed[20:], "sessions/NLEMS"},
			"no base64":       {"%", "sessions/NLEMS"},
		} {
			if opened, err := cursors.Open(wrong[0], wrong[1]); err == nil {
				t.Errorf("%s: Open = %q", what, opened)
			}
		}
	}
}
