// Package storagetest is what every store must pass: TestStore for a
// parties.Store, TestCallbacks for a routing.CallbackStore, TestCatalog for a
// catalog.Store, TestLessons for a routing.LessonStore, TestSegments for a
// journal.Store, TestBroadcasts for a routing.BroadcastLog and
// TestSharedBroadcasts for one that replicas share, TestOutbox for a
// routing.OutboxStore, TestCache for a parties.Cache that keeps a copy, TestNews
// for any parties.Cache. The contract is the comments of those interfaces; each
// sentence has a test.
//
// It also hands out servers to test on. Postgres gives a database of its own to
// each test, Redis a server whose keys the test keeps apart by a Namespace, so
// that all tests run at once. `make test` starts both servers; a test that
// needs a server and has none fails. A Line is a connection that a test can
// cut.
//
// Only tests import this package.
package storagetest
