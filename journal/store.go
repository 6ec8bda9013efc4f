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
	// SaveSegment inserts a segment. It is durable when this returns.
	SaveSegment(ctx context.Context, s Segment) error
	// Segments returns, newest ID first, at most limit segments with
	// Last >= since, First < until and, if before is not empty, ID < before.
	// Zero times are open.
	Segments(ctx context.Context, since, until time.Time, before string, limit int) ([]Segment, error)
	// ForgetSegments deletes segments whose Last lies before the time.
	ForgetSegments(ctx context.Context, before time.Time) (int64, error)
}
