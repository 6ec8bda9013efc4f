package catalog

import (
	"bytes"
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"busbar/ocpi"
)

// Catalog holds the objects in memory and keeps the record equal to them.
type Catalog struct {
	cfg     Config
	metrics *metrics
	// queue has the pushes for the committer, which alone writes to what follows.
	queue *queue
	// ready is closed once loaded is true.
	ready chan struct{}

	mu     sync.RWMutex
	loaded bool
	// closed tells that no push is taken any more.
	closed  bool
	shelves shelves

	// pages, readers and catchUps have locks of their own.
	pages    *pageCache
	readers  readers
	catchUps *catchUps

	// The rest is the committer's own: no lock.
	//
	// revision is the record's, up to which the shelves have everything.
	revision int64
	// doubt is the last commit, if the record could not be asked whether it has it.
	doubt *doubt
	// followed is when the shelves were last seen to be equal to the record.
	followed time.Time
	// failing tells that the last commit failed.
	failing bool
}

// Config wires a Catalog.
type Config struct {
	// Store is the record. Nil: the catalog never loads.
	Store Store
	// Logger hears of failures. Nil is silence.
	Logger *slog.Logger
	// Metrics registers the catalog's metrics. Nil: nobody reads them.
	Metrics prometheus.Registerer
	// Settled is told, after the Then of every push up to a revision has been
	// called, that this is so. It must not block. Nil is fine.
	Settled func(revision int64)
	// MaxDocument is the largest merged document in bytes; zero is 16 MiB.
	MaxDocument int
	// PageCache bounds the memory in bytes for pages that were asked for lately;
	// zero is 64 MiB, less than zero is none.
	PageCache int
}

// defaultMaxDocument is the largest merged document when nothing else is said.
const defaultMaxDocument = 16 << 20

// New makes an empty catalog. Run fills it.
func New(cfg Config) *Catalog {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxDocument <= 0 {
		cfg.MaxDocument = defaultMaxDocument
	}
	c := &Catalog{
		cfg: cfg, ready: make(chan struct{}), shelves: newShelves(),
		pages: newPageCache(cfg.PageCache), catchUps: newCatchUps(),
	}
	c.queue = newQueue(c.size)
	c.metrics = newMetrics(c, cfg.Metrics)
	return c
}

// kept are the modules whose objects the hub keeps (R5).
var kept = [...]ocpi.ModuleID{ocpi.ModuleLocations, ocpi.ModuleTariffs}

// Keeps tells whether the hub keeps objects of the module.
func Keeps(m ocpi.ModuleID) bool { return m == ocpi.ModuleLocations || m == ocpi.ModuleTariffs }

// Write is one push: PUT, PATCH or DELETE of an object or a part of it.
type Write struct {
	Method string
	Module ocpi.ModuleID
	Owner  ocpi.PartyKey
	// ID, EVSE and Connector are decoded from the URL, in the sender's
	// spelling; EVSE and Connector are empty for the object itself.
	ID, EVSE, Connector string
	Body                []byte
	// Sender is whose push it is: those of one take effect in their order, and many
	// take turns.
	Sender string
	// Operator is a BusinessDetails object for a Location that comes without an
	// operator (U6); nil leaves it out.
	Operator []byte
	// Received is when the hub got the push.
	Received time.Time
	// IfNotOlder does nothing when the stored object has a later last_updated: what
	// was pulled may be overtaken by a push.
	IfNotOlder bool
	// Then is called once the record has the push, before Apply returns, in the
	// order in which pushes took effect. It must not block. Nil is fine. Behind an
	// Apply that answered 4000 it is called when the record turns out to have the
	// push after all.
	Then func(Applied)
}

// Applied is what a push did.
type Applied struct {
	Key      Key
	Revision int64
	// Created tells an object that was not there before. Changed is false when
	// the stored object differs in nothing but last_updated fields.
	Created, Changed bool
	// Overtaken tells that a later push under the same Revision has written the
	// object since: what has that revision is not what this push made. It is known
	// once the record has them.
	Overtaken bool
	// Older tells that nothing was done, since IfNotOlder did not allow it.
	Older bool
}

// Query asks for a page of GET All.
type Query struct {
	Module ocpi.ModuleID
	// Owners tells whose objects are listed; it is asked once per owner.
	Owners func(ocpi.PartyKey) bool
	// Reader, which must be comparable, stands for all that Owners' answers depend
	// on: a query with an equal one may be answered without asking again. Nil:
	// they are always asked for.
	Reader any
	// From is inclusive, To exclusive, on last_updated; zero is open.
	From, To time.Time
	// After is the Seq behind which the page begins, from Page.Next; 0 is the
	// beginning. Offset skips that many matching objects behind it.
	After         int64
	Offset, Limit int
}

// Page is one page of GET All.
type Page struct {
	// Objects is how many there are in the page, Total how many match the query
	// whatever After, Offset and Limit are.
	Objects, Total int
	// Next is After of the next page; 0 when this is the last.
	Next int64
	// Shared, unless it is nil, are the page's documents, which were not appended
	// then. Others read them too: they must not be changed. They may be kept.
	Shared []byte
}

// Owners are those that have an object with this id, in the order of parties.
func (c *Catalog) Owners(m ocpi.ModuleID, id string) []ocpi.PartyKey {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if s := c.shelves[m]; s != nil {
		return s.ownersOf(foldID(id))
	}
	return nil
}

// Document is a copy of an object's bytes; false when there is none.
func (c *Catalog) Document(k Key) ([]byte, bool) {
	document, _, ok := c.Stored(k)
	return document, ok
}

// Stored is a copy of an object's bytes and the revision that last wrote it;
// false when there is none.
func (c *Catalog) Stored(k Key) (document []byte, revision int64, ok bool) {
	if !Keeps(k.Module) {
		return nil, 0, false
	}
	c.mu.RLock()
	s := c.shelves[k.Module]
	e, ok := s.get(k)
	dicts := s.packer.dicts
	c.mu.RUnlock()
	if !ok {
		return nil, 0, false
	}
	return unpackBlob(nil, dicts, e.blob), e.revision, true
}

// Count is what the catalog holds of one owner.
type Count struct {
	Owner   ocpi.PartyKey
	Module  ocpi.ModuleID
	Objects int
	// Newest is the latest last_updated, ChangedAt when the hub last took a
	// change in.
	Newest, ChangedAt time.Time
}

// Counts are sorted by module and owner. It looks at every object.
func (c *Catalog) Counts() []Count {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var counts []Count
	for m, s := range c.shelves {
		newest := make([]instant, len(s.owners))
		for i := range newest {
			newest[i] = firstInstant
		}
		for _, c := range s.chunks {
			for i, owner := range c.owners {
				newest[owner] = max(newest[owner], c.updated[i])
			}
		}
		for i, total := range s.totals {
			if total.objects > 0 {
				counts = append(counts, Count{s.owners[i], m, total.objects, newest[i].time(), total.changedAt})
			}
		}
	}
	slices.SortFunc(counts, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Module, b.Module), bytes.Compare(a.Owner[:], b.Owner[:]))
	})
	return counts
}

// Loaded tells that the catalog is complete.
func (c *Catalog) Loaded() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.loaded
}

// Ready is closed once the catalog is complete.
func (c *Catalog) Ready() <-chan struct{} { return c.ready }

func errLoading() *ocpi.Error {
	return ocpi.Errorf(ocpi.ConnectionProblem, "the hub's catalog is still loading")
}
