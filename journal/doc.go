// Package journal keeps what passed the hub: the metadata of every message and
// the legs of every broadcast, searchable, for a number of days. Bodies are not
// in it.
//
// Recorder takes note on the request path by copying a record into a batch.
// Batches are written off that path as segments: a few hundred records in one
// compressed row, with a filter that tells which correlation ids and parties
// cannot be in it. That costs the database a row a second instead of a row a
// message. The newest records are in memory and stream to whoever listens.
//
// The package knows no database: Store is implemented in package storage.
package journal
