package routing

import (
	"context"
	"slices"
	"time"

	"busbar/ocpi"
)

// Erasure says that what was learned of a key is to be forgotten everywhere.
type Erasure struct {
	// ID tells two erasures of the same apart.
	ID  string
	Key LessonKey
	// Owner bounds it to lessons about one party; zero is all.
	Owner ocpi.PartyKey
}

const (
	// ErasureLife is how long the record keeps an erasure for the other replicas.
	// One that did not hear of erasures for so long forgets all that it has in
	// memory.
	ErasureLife = 24 * time.Hour
	// erasuresEvery is how often a replica asks for the erasures of others.
	erasuresEvery = 2 * time.Second
)

// tokenTypes are those of TokenType (2.2.1 mod_tokens; EMAID since 2.3.0).
var tokenTypes = [...]string{"RFID", "APP_USER", "AD_HOC_USER", "EMAID", "OTHER"}

// Erase forgets which parties a driver's token is of, here at once and on other
// replicas within a few seconds; owner bounds it to one eMSP. It tells how many
// lessons there were. What the next message about the token teaches, is learned
// again. It fails when the record does.
func (x *Index) Erase(ctx context.Context, uid string, owner ocpi.PartyKey) (int, error) {
	erasures := make([]Erasure, 0, len(tokenTypes))
	for _, tokenType := range tokenTypes {
		if key, ok := lessonKey(LessonToken, uid, tokenType); ok {
			erasures = append(erasures, Erasure{Key: key, Owner: owner})
		}
	}
	// What waits to be written counts, and must not be written afterwards.
	unsaved := 0
	for i := range erasures {
		unsaved += x.forgetErased(&erasures[i])
	}
	if x.cfg.Store == nil {
		return unsaved, nil
	}
	n, err := x.cfg.Store.EraseLessons(ctx, erasures, time.Now())
	for i := range erasures {
		x.forgetErased(&erasures[i]) // again: the record still had them, and may have been asked
	}
	return max(int(n), unsaved), err
}

// forgetErased forgets lessons that were erased here or on another replica.
func (x *Index) forgetErased(e *Erasure) int {
	pairs := x.erase(e)
	// Also what is on its way into the record, or came there behind the erasure, though
	// memory has lost it already: another replica may have told.
	for _, pair := range x.backlog.of(e.Key, e.Owner) {
		if !slices.Contains(pairs, pair) {
			pairs = append(pairs, pair)
		}
	}
	for _, pair := range pairs {
		x.backlog.drop(Lesson{Key: e.Key, Kind: LessonToken, Pair: pair})
	}
	return len(pairs)
}

// erased is what a replica has heard of erasures.
type erased struct {
	known map[string]bool
	// heard is when the record was last asked with success.
	heard time.Time
}

// hearErasures forgets what other replicas have erased since it was last asked.
func (x *Index) hearErasures(ctx context.Context, e *erased, now time.Time) {
	bounded, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	erasures, err := x.cfg.Store.Erasures(bounded)
	if err != nil {
		return // the writing and reading of lessons complain
	}
	if now.Sub(e.heard) > ErasureLife/2 && !e.heard.IsZero() {
		x.memory.clear()
	}
	known := make(map[string]bool, len(erasures))
	for i := range erasures {
		if known[erasures[i].ID] = true; !e.known[erasures[i].ID] {
			x.forgetErased(&erasures[i])
		}
	}
	e.known, e.heard = known, now
	x.backlog.heardErasures()
}
