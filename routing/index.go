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

// LessonKey is a hash of the kind and the ids. It leaves the process only as a
// keyed hash of itself: uids are short, and a plain hash of one can be guessed
// back.
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
	// DropLessons deletes those with the same Key and Pair, whenever they expire.
	DropLessons(ctx context.Context, lessons []Lesson) error
	// Lessons returns what is kept of the keys and has not expired at now.
	Lessons(ctx context.Context, keys []LessonKey, now time.Time) ([]Lesson, error)
	// EraseLessons deletes the lessons of the erasures, and notes these for the
	// other replicas; it tells how many lessons there were. IDs are given by it.
	EraseLessons(ctx context.Context, erasures []Erasure, now time.Time) (int64, error)
	// Erasures are those that were noted in the last ErasureLife.
	Erasures(ctx context.Context) ([]Erasure, error)
	// ForgetLessons deletes what expired at now and, beyond most lessons, those
	// that would expire first; it tells how many. Erasures go with their life.
	ForgetLessons(ctx context.Context, now time.Time, most int) (int64, error)
}

// lifetime is how long a lesson counts after it was last taught.
func lifetime(kind LessonKind) time.Duration {
	const day = 24 * time.Hour
	switch kind {
	case LessonSession:
		// Charging takes days at most, and what follows of it comes within the
		// month.
		return 30 * day
	case LessonReservation, LessonProfile:
		// Neither is made for longer than a week ahead.
		return 7 * day
	}
	// Tokens, Locations and Tariffs live for years, but are pushed again now and
	// then; a quarter without that, and they are gone or moved.
	return 90 * day
}

// refreshAfter is how much of a lesson's lifetime may pass before the same lesson
// is taken again: the record is not written for every push.
const refreshAfter = 24 * time.Hour

// Index is the memory of open routing. It implements Known. It answers from
// memory, which is bounded; LessonStore, when there is one, has the rest.
type Index struct {
	cfg     IndexConfig
	memory  *lessonCache
	backlog *backlog
	asked   *lookups
	heard   *heardLessons
	// questions are those to the record.
	questions *questions
}

// IndexConfig wires an Index.
type IndexConfig struct {
	// Store keeps lessons. Nil: memory only.
	Store LessonStore
	// News tells the other replicas. Nil: there is none, or only Store tells them.
	News LessonNews
	// Catalog knows the owners of what is broadcast. Nil: nobody does.
	Catalog *catalog.Catalog
	// Logger hears of a record that fails. Nil is silence.
	Logger *slog.Logger
}

// NewIndex makes an Index.
func NewIndex(cfg IndexConfig) *Index {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Index{cfg: cfg, memory: newLessonCache(memoryBound), backlog: newBacklog(), asked: new(lookups), heard: newHeardLessons(),
		questions: newQuestions()}
}

// Location implements Known.
func (x *Index) Location(id string) []ocpi.PartyKey {
	return x.owners(ocpi.ModuleLocations, LessonLocation, id)
}

// Tariff implements Known.
func (x *Index) Tariff(id string) []ocpi.PartyKey {
	return x.owners(ocpi.ModuleTariffs, LessonTariff, id)
}

// owners are those of the catalog and those that traffic taught.
func (x *Index) owners(m ocpi.ModuleID, kind LessonKind, id string) []ocpi.PartyKey {
	pairs := x.lookup(lessonKey(kind, id, ""))
	if x.cfg.Catalog != nil {
		for _, owner := range x.cfg.Catalog.Owners(m, id) {
			pairs = append(pairs, Pair{Owner: owner})
		}
	}
	return collect(pairs, owner)
}

func owner(p Pair) (ocpi.PartyKey, bool) { return p.Owner, true }

// Token implements Known.
func (x *Index) Token(uid, tokenType string) []ocpi.PartyKey {
	return collect(x.lookup(lessonKey(LessonToken, uid, tokenType)), owner)
}

// Session implements Known.
func (x *Index) Session(id string) []Pair { return x.lookup(lessonKey(LessonSession, id, "")) }

// Reservation implements Known.
func (x *Index) Reservation(from ocpi.PartyKey, id string) []ocpi.PartyKey {
	return collect(x.lookup(lessonKey(LessonReservation, from.String(), id)), owner)
}

// Profile implements Known.
func (x *Index) Profile(cpo ocpi.PartyKey, sessionID string) []ocpi.PartyKey {
	return collect(x.lookup(lessonKey(LessonProfile, cpo.String(), sessionID)), owner)
}

func (x *Index) lookup(key LessonKey, ok bool) []Pair {
	if !ok {
		return nil
	}
	return x.memory.get(key, time.Now())
}
