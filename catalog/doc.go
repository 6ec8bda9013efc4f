// Package catalog is the hub's own copy of what was broadcast: Locations and
// Tariffs. It answers GET All without calling anybody.
//
// Apply takes a push in: it checks it, merges it into the object that it
// belongs to, and returns when the record has it. Pushes that arrive together
// are merged and committed together, by one goroutine, in one transaction
// (group commit); it is made only if the record's revision is still the one that
// they were merged at, so that replicas never lose each other's changes.
// Page lists objects in the order in which they first arrived.
//
// Apply's walk: push.go checks the push by itself (the sender's goroutine),
// queue.go lets it wait, the senders taking turns, commit.go merges and commits a
// batch (the committer), merge.go and splice.go write into documents. Memory is shelf.go, of chunk.go
// by order and packer.go for the bytes; page.go reads it, pagecache.go holds what
// is read again and again, and readers.go who may read it. run.go loads, and
// follows other replicas; catchup.go lets others wait for that. doubt.go finds
// out about a commit of which the record did not tell whether it has it.
//
// Documents are bytes. A patch is spliced into them; what the hub does not know
// stays, numbers keep their form, keys their order.
//
// The package knows no platforms but as names of senders, sends nothing and knows no database: Store is
// implemented in package storage.
package catalog
