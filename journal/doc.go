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
// What an operator sees is of all replicas of the hub. Segments of all are in one
// store. The rest goes over a Feed. Each replica leaves its figures of the last
// minute there once a second, from which Figures adds up the whole, and learns at
// the same time whether another replica has listeners; only then it tells what
// passes, a batch in a tenth of a second. The request path knows nothing of that,
// and what the feed does not take in time is dropped and counted. Without the
// feed an operator sees the replica that he asks, and is told so.
//
// The package knows no database and no Redis: Store and Feed are implemented in
// package storage.
package journal
