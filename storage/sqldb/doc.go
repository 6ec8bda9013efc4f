// Package sqldb is the record: what the hub knows, in Postgres or SQLite,
// through gorm.
//
// A DB is one opened and migrated database. Platforms implements parties.Store
// on it, agreements included, Callbacks routing.CallbackStore, Catalog catalog.Store, Lessons
// routing.LessonStore, Segments journal.Store, Outbox routing.OutboxStore, for which
// Catalog notes each commit, AdminTokens access.TokenStore, Audit access.AuditStore.
// The write transactions of
// Platforms begin by raising the one row of table directory, whose lock orders
// them: a revision that is visible was preceded by all smaller ones. Those that add
// to Outbox do so with outbox_clock. Catalog's need no transaction on Postgres: one
// statement raises catalog_clock, if no other replica did, and writes the rest. On
// SQLite the single writing connection does the same.
//
// A commit is on disk when it returns: SQLite runs with synchronous=FULL, at the
// price of one fsync for each batch; Postgres as its operator set
// synchronous_commit. Batches go to Postgres as arrays, in one statement.
//
// Both databases run the same numbered migrations, so the types are those that
// mean the same on both: points in time are BIGINT microseconds since 1970 in
// UTC (finer parts of a time are dropped; NULL is the zero time), sealed values
// and tokens' hashes are text. Bytes, and what must sort or compare as bytes
// whatever the collation, are BYTEA, which SQLite takes for a type without
// conversions. A migration must leave the previous binary working,
// because replicas are replaced one by one.
//
// The package keeps no copies, logs nothing and lets no gorm or driver type out.
// It does not read schemes: package storage decides which database is opened.
package sqldb
