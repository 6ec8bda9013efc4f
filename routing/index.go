package routing

import (
	"context"
	"log/slog"
	"time"

	"busbar/catalog"
	"busbar/ocpi"
)

// LessonKind says what a lesson is about.
type LessonKind string

// The kinds of lessons; see Known.
const (
	LessonLocation    LessonKind = "location"
	LessonTariff      LessonKind = "tariff"
	LessonToken       LessonKind = "token"
	LessonSession     LessonKind = "session"
	LessonReservation LessonKind = "reservation"
	LessonProfile     LessonKind = "profile"
)

// LessonKey is a hash of the kind and the ids, so that no driver's token and no
// session stands in the record in clear.
type LessonKey [16]byte

// Lesson is one thing that traffic taught: the party that has what the key
// stands for and, for sessions, whom it was shared with.
type Lesson struct {
	Key       LessonKey
	Kind      LessonKind
	Pair      Pair
	ExpiresAt time.Time
}

// LessonStore shares lessons between replicas and keeps them across restarts.
type LessonStore interface {
	// SaveLessons inserts lessons; one with the same Key and Pair gets the later
	// ExpiresAt. Many replicas may save the same at once.
	SaveLessons(ctx context.Context, lessons []Lesson) error
	// ReplaceLessons does the same and deletes the other lessons of their keys.
	ReplaceLessons(ctx context.Context, lessons []Lesson) error
	// Lessons returns what is kept of the keys and has not expired at now.
	Lessons(ctx context.Context, keys []LessonKey, now time.Time) ([]Lesson, error)
	// ForgetLessons deletes what expired at now and, beyond most lessons, those
	// that would expire first; it tells how many.
	ForgetLessons(ctx context.Context, now time.Time, most int) (int64, error)
}

// Index is the memory of open routing. It implements Known.
type Index struct{ cfg IndexConfig }

// IndexConfig wires an Index.
type IndexConfig struct {
	Store   LessonStore
	Catalog *catalog.Catalog
	Logger  *slog.Logger
}

// NewIndex makes an Index.
func NewIndex(cfg IndexConfig) *Index { return &Index{cfg: cfg} }

// Fetch brings what the record knows of the request's keys into memory, if it is
// not there: another replica may have learned it.
func (x *Index) Fetch(ctx context.Context, req *ocpi.Request) {}

// Learn takes a lesson from a request that was carried out with success.
func (x *Index) Learn(req *ocpi.Request) {}

// Run writes lessons back and forgets old ones, until ctx ends; then it writes
// what is left.
func (x *Index) Run(ctx context.Context) { <-ctx.Done() }

// Location implements Known.
func (x *Index) Location(id string) []ocpi.PartyKey { return nil }

// Tariff implements Known.
func (x *Index) Tariff(id string) []ocpi.PartyKey { return nil }

// Token implements Known.
func (x *Index) Token(uid, tokenType string) []ocpi.PartyKey { return nil }

// Session implements Known.
func (x *Index) Session(id string) []Pair { return nil }

// Reservation implements Known.
func (x *Index) Reservation(from ocpi.PartyKey, id string) []ocpi.PartyKey { return nil }

// Profile implements Known.
func (x *Index) Profile(cpo ocpi.PartyKey, sessionID string) []ocpi.PartyKey { return nil }
