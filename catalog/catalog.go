package catalog

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"busbar/ocpi"
)

// Catalog holds the objects in memory and keeps the record equal to them.
type Catalog struct{ cfg Config }

// Config wires a Catalog.
type Config struct {
	Store   Store
	Logger  *slog.Logger
	Metrics prometheus.Registerer
	// MaxDocument is the largest merged document in bytes; zero is 16 MiB.
	MaxDocument int
}

// New makes an empty catalog. Load fills it.
func New(cfg Config) *Catalog { return &Catalog{cfg: cfg} }

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
	// Operator is a BusinessDetails object for a Location that comes without an
	// operator (U6); nil leaves it out.
	Operator []byte
	// Received is when the hub got the push.
	Received time.Time
	// Then is called once the record has the push, before Apply returns, in the
	// order in which pushes took effect. It must not block. Nil is fine.
	Then func(Applied)
}

// Applied is what a push did.
type Applied struct {
	Key      Key
	Revision int64
	// Created tells an object that was not there before. Changed is false when
	// the stored object differs in nothing but last_updated fields.
	Created, Changed bool
}

// ReadPath fills Owner, ID, EVSE and Connector of a push from the escaped path
// behind the module: /{country_code}/{party_id}/{id}[/{evse}[/{connector}]]
// (2.2.1 mod_locations, Receiver Interface; mod_tariffs). The refusal is 2001
// and names the segment.
func ReadPath(m ocpi.ModuleID, escaped string) (Write, *ocpi.Error) { panic("not built") }

// Apply takes a push in and returns when it is durable. The error is an
// *ocpi.Error for what the sender did wrong, 4003 while the catalog is not
// loaded, 4000 when the record failed; then nothing was kept.
func (c *Catalog) Apply(ctx context.Context, w Write) (Applied, error) { panic("not built") }

// Query asks for a page of GET All.
type Query struct {
	Module ocpi.ModuleID
	// Owners tells whose objects are listed; it is asked once per owner.
	Owners func(ocpi.PartyKey) bool
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
}

// AppendPage appends the documents of a page to buf, with commas between them.
// It fails with a 4003 while the catalog is not loaded.
func (c *Catalog) AppendPage(buf []byte, q Query) ([]byte, Page, error) { panic("not built") }

// Owners are those that have an object with this id, in the order of parties.
func (c *Catalog) Owners(m ocpi.ModuleID, id string) []ocpi.PartyKey { return nil }

// Document is a copy of an object's bytes; false when there is none.
func (c *Catalog) Document(k Key) ([]byte, bool) { return nil, false }

// Count is what the catalog holds of one owner.
type Count struct {
	Owner   ocpi.PartyKey
	Module  ocpi.ModuleID
	Objects int
	// Newest is the latest last_updated, ChangedAt when the hub last took a
	// change in.
	Newest, ChangedAt time.Time
}

// Counts are sorted by module and owner.
func (c *Catalog) Counts() []Count { return nil }

// Loaded tells that the catalog is complete.
func (c *Catalog) Loaded() bool { return false }

// Run loads the catalog, trying again until the record answers, then takes
// pushes in and follows what other replicas write, until ctx ends. Pushes that
// wait then are answered first.
func (c *Catalog) Run(ctx context.Context) { <-ctx.Done() }
