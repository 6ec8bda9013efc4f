package catalog

import (
	"runtime"
	"sync"

	"busbar/ocpi"
)

// shelves are all that the catalog holds, by module.
type shelves map[ocpi.ModuleID]*shelf

func newShelves() shelves {
	s := make(shelves, len(kept))
	for _, m := range kept {
		s[m] = newShelf()
	}
	return s
}

// place brings a row in, or takes a deleted one out. blob is of the row.
func (s shelves) place(r Row, blob []byte) {
	switch shelf := s[r.Key.Module]; {
	case shelf == nil: // of a module that a newer hub keeps
	case r.Deleted:
		shelf.drop(r)
	default:
		shelf.put(r, blob)
	}
}

// pack makes the blobs of rows, on all cores when they are many.
func (s shelves) pack(rows []Row) [][]byte {
	const perWorker = 32
	blobs := make([][]byte, len(rows))
	workers := min(runtime.GOMAXPROCS(0), (len(rows)+perWorker-1)/perWorker)
	work := func(first int) {
		for i := first; i < len(rows); i += workers {
			if shelf := s[rows[i].Key.Module]; shelf != nil && !rows[i].Deleted {
				blobs[i] = shelf.blob(rows[i].Key.ID, rows[i].Document)
			}
		}
	}
	var running sync.WaitGroup
	for first := 1; first < workers; first++ {
		running.Go(func() { work(first) })
	}
	if workers > 0 {
		work(0)
	}
	running.Wait()
	return blobs
}

// fill brings in rows while nobody reads.
func (s shelves) fill(rows []Row) {
	for i, blob := range s.pack(rows) {
		s.place(rows[i], blob)
	}
	for _, shelf := range s {
		shelf.learn(new(sync.Mutex))
	}
}
