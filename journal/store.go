package journal

import (
	"context"
	"time"
)

// Segment is a batch of records, as it is stored.
type Segment struct {
	// ID is unique, and sorts by the time at which the segment was written.
	ID string
	// First and Last are the times of the oldest and newest record.
	First, Last time.Time
	Records     int
	// Filter and Body are the package's own.
	Filter, Body []byte
}

// Store keeps segments, across restarts and for all replicas.
type Store interface {
	// SaveSegment inserts a segment. It is durable when this returns. One whose
	// ID is there already is left as it is, without an error: after a timeout
	// nobody knows whether the first attempt arrived.
	SaveSegment(ctx context.Context, s Segment) error
	// Segments returns, newest ID first, at most limit segments with
	// Last >= since, First < until and, if before is not empty, ID < before.
	// Zero times are open. They come without their bodies, which are most of
	// their bytes: nearly all are excluded by their filters.
	Segments(ctx context.Context, since, until time.Time, before string, limit int) ([]Segment, error)
	// Bodies returns the bodies of segments by ID. Those that were forgotten
	// meanwhile are left out.
	Bodies(ctx context.Context, ids []string) (map[string][]byte, error)
	// RewriteSegment changes the body and the number of records of a segment with
	// the ID, if it is there still; nothing else of it. One without records is
	// deleted.
	RewriteSegment(ctx context.Context, s Segment) error
	// ForgetSegments deletes segments whose Last lies before the time.
	ForgetSegments(ctx context.Context, before time.Time) (int64, error)
}
