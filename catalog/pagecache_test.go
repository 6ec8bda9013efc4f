package catalog

import (
	"bytes"
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

// pageOf is the blobs of a page of plain documents, and what they unpack to.
func pageOf(n, each int) (blobs [][]byte, documents []byte) {
	for i := range n {
		document := bytes.Repeat([]byte{byte('a' + i%26)}, each)
		blobs = append(blobs, append([]byte{1, 'x', plainForm}, document...))
		if i > 0 {
			documents = append(documents, ',')
		}
		documents = append(documents, document...)
	}
	return blobs, documents
}

func TestPageCache_StaysInItsBound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const bound = 1 << 20
		p := newPageCache(bound)
		var all [][][]byte
		var wants [][]byte
		for range rapid.IntRange(1, 60).Draw(t, "asked") {
			if len(all) == 0 || rapid.Bool().Draw(t, "new") {
				blobs, documents := pageOf(rapid.IntRange(1, 20).Draw(t, "objects"), rapid.IntRange(1, 12<<10).Draw(t, "bytes"))
				all, wants = append(all, blobs), append(wants, documents)
			}
			i := rapid.IntRange(0, len(all)-1).Draw(t, "page")
			own, shared := p.documents([]byte("own"), nil, all[i], len(wants[i]))
			if got := append(own[len("own"):], shared...); !bytes.Equal(got, wants[i]) {
				t.Fatalf("page %d is not as it was made", i)
			}
			held := 0
			for e := p.used.Front(); e != nil; e = e.Next() {
				held += e.Value.(*keptPage).size
			}
			if held != p.held || held > bound || len(p.pages) != p.used.Len() {
				t.Fatalf("%d bytes in %d pages, counted as %d in %d, of %d", held, p.used.Len(), p.held, len(p.pages), bound)
			}
		}
	})
}

func TestPageCache_WhatIsUsedStays(t *testing.T) {
	t.Parallel()
	p := newPageCache(1 << 20)
	ask := func(blobs [][]byte) bool {
		_, shared := p.documents(nil, nil, blobs, len(blobs)*(len(blobs[0])-3))
		return shared != nil
	}
	// Pages that are gone would leave their addresses to others.
	var all [][][]byte
	defer func() { runtime.KeepAlive(all) }()
	page := func(each int) [][]byte {
		blobs, _ := pageOf(10, each)
		all = append(all, blobs)
		return blobs
	}
	used := page(10 << 10)
	ask(used)
	if !ask(used) {
		t.Fatal("a page that is asked for twice is not kept")
	}
	for range 50 {
		ask(page(10 << 10))
	}
	if p.used.Len() != 1 {
		t.Errorf("%d pages are kept that were read once", p.used.Len()-1)
	}
	for range 50 {
		other := page(10 << 10)
		ask(other)
		ask(other)
		if _, keep := p.get(used, smallestKept); keep {
			t.Fatal("a page that is in use was driven out")
		}
	}
	large := page(15 << 10)
	for range 3 {
		if ask(large) {
			t.Error("a page larger than an eighth of the cache is kept")
		}
	}
	none := newPageCache(-1)
	if none.documents(nil, nil, used, 100<<10); none.used.Len() != 0 {
		t.Error("a cache of no bytes keeps a page")
	}
}
