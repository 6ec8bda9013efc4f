package sqldb

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm/clause"

	"busbar/ocpi"
	"busbar/parties"
	"busbar/routing"
	"busbar/storage/seal"
)

// Callbacks is the record of callbacks. It implements routing.CallbackStore. No
// error holds an id: it is what makes the hub's URL hard to guess.
//
// Callbacks are not sealed anew when the key is rotated. They are many, would
// hold up every start, and expire by themselves, while any key of the list
// opens them. One whose key was dropped too early is an error when it is called,
// and keeps no hub from starting.
type Callbacks struct {
	db     *DB
	sealer *seal.Sealer
}

var _ routing.CallbackStore = (*Callbacks)(nil)

// Callbacks gives access to the callbacks, whose URLs sealer seals and opens.
func (db *DB) Callbacks(sealer *seal.Sealer) *Callbacks { return &Callbacks{db: db, sealer: sealer} }

// SaveCallback implements routing.CallbackStore. An id that is taken already,
// and a callback without an end, are errors without a name.
func (s *Callbacks) SaveCallback(ctx context.Context, c routing.Callback) error {
	row, err := newCallbackRow(c, s.sealer)
	if err != nil {
		return fault("save callback", err)
	}
	return fault("save callback", s.db.write.WithContext(ctx).Create(&row).Error)
}

// isText tells whether a database can hold s at all.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// Callback implements routing.CallbackStore.
func (s *Callbacks) Callback(ctx context.Context, id string, now time.Time) (routing.Callback, error) {
	// The id is whatever stood in a URL; Postgres refuses text like this.
	if !isText(id) {
		return routing.Callback{}, routing.ErrNoCallback
	}
	var rows []callbackRow
	err := s.db.read.WithContext(ctx).Where("id = ? AND expires_at > ?", id, now.UnixMicro()).Find(&rows).Error
	if err != nil {
		return routing.Callback{}, fault("load callback", err)
	}
	if len(rows) == 0 {
		return routing.Callback{}, routing.ErrNoCallback
	}
	c, err := rows[0].callback(s.sealer)
	return c, fault("load callback", err)
}

// ForgetCallbacks implements routing.CallbackStore.
func (s *Callbacks) ForgetCallbacks(ctx context.Context, now time.Time) (int64, error) {
	db := s.db.write.WithContext(ctx)
	// Replicas that clean up at once leave each other's rows alone: to wait for
	// them in different orders would be a deadlock. SQLite has no row locks.
	expired := db.Model(&callbackRow{}).Select("id").Where("expires_at <= ?", now.UnixMicro()).
		Clauses(clause.Locking{Strength: "UPDATE", Options: "SKIP LOCKED"})
	result := db.Where("id IN (?)", expired).Delete(&callbackRow{})
	return result.RowsAffected, fault("forget callbacks", result.Error)
}

// callbackRow is a row of migrations 00002 and 00008.
type callbackRow struct {
	ID                string
	URL               string
	Requester         string
	Receiver          string
	RequesterPlatform string
	ReceiverPlatform  string
	Module            string
	SessionID         string
	CreatedAt         *int64 `gorm:"autoCreateTime:false"`
	ExpiresAt         *int64
}

func (callbackRow) TableName() string { return "callbacks" }

// newCallbackRow seals the URL on the way: its query may hold a secret.
func newCallbackRow(c routing.Callback, sealer *seal.Sealer) (callbackRow, error) {
	sealed, err := sealer.Seal(c.URL, seal.CallbackURL, c.ID)
	return callbackRow{
		ID: c.ID, URL: sealed,
		Requester: c.Requester.String(), Receiver: c.Receiver.String(),
		RequesterPlatform: string(c.RequesterPlatform), ReceiverPlatform: string(c.ReceiverPlatform),
		Module: string(c.Module), SessionID: c.SessionID, CreatedAt: micros(c.CreatedAt), ExpiresAt: micros(c.ExpiresAt),
	}, err
}

func (row *callbackRow) callback(sealer *seal.Sealer) (routing.Callback, error) {
	c := routing.Callback{
		ID:                row.ID,
		RequesterPlatform: parties.PlatformID(row.RequesterPlatform),
		ReceiverPlatform:  parties.PlatformID(row.ReceiverPlatform),
		Module:            ocpi.ModuleID(row.Module),
		SessionID:         row.SessionID,
		CreatedAt:         moment(row.CreatedAt), ExpiresAt: moment(row.ExpiresAt),
	}
	var err error
	if c.URL, err = sealer.Open(row.URL, seal.CallbackURL, row.ID); err != nil {
		return routing.Callback{}, fmt.Errorf("url: %w", err)
	}
	if err := c.Requester.UnmarshalText([]byte(row.Requester)); err != nil {
		return routing.Callback{}, fmt.Errorf("requester: %w", err)
	}
	if err := c.Receiver.UnmarshalText([]byte(row.Receiver)); err != nil {
		return routing.Callback{}, fmt.Errorf("receiver: %w", err)
	}
	return c, nil
}
