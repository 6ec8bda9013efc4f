package sqldb

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"busbar/access"
)

// Audit is the record of the audit trail. It implements access.AuditStore.
type Audit struct{ db *DB }

var _ access.AuditStore = (*Audit)(nil)

// Audit gives access to the audit trail.
func (db *DB) Audit() *Audit { return &Audit{db: db} }

// SaveEntry implements access.AuditStore. An entry without a time is an error
// without a name.
func (s *Audit) SaveEntry(ctx context.Context, e access.Entry) error {
	row, err := newAuditRow(e)
	if err != nil {
		return fault("save audit entry", err)
	}
	ends := clause.OnConflict{
		Columns: []clause.Column{{Name: "id"}},
		Where: clause.Where{Exprs: []clause.Expression{
			clause.Eq{Column: clause.Column{Table: row.TableName(), Name: "outcome"}, Value: string(access.Attempted)},
		}},
		DoUpdates: clause.AssignmentColumns([]string{"target", "outcome", "status", "detail", "changes"}),
	}
	return fault("save audit entry", s.db.write.WithContext(ctx).Clauses(ends).Create(&row).Error)
}

// Entries implements access.AuditStore.
func (s *Audit) Entries(ctx context.Context, q access.Query) ([]access.Entry, error) {
	for _, text := range []string{q.Actor, q.Target, string(q.Action)} {
		if !isText(text) {
			return nil, nil
		}
	}
	var rows []auditRow
	if err := matching(s.db.read.WithContext(ctx), q).Order("id DESC").Limit(q.Limit).Find(&rows).Error; err != nil {
		return nil, fault("load audit entries", err)
	}
	entries := make([]access.Entry, len(rows))
	for i := range rows {
		var err error
		if entries[i], err = rows[i].entry(); err != nil {
			return nil, fault("load audit entries", err)
		}
	}
	return entries, nil
}

func matching(db *gorm.DB, q access.Query) *gorm.DB {
	if q.Actor != "" {
		db = db.Where("(actor_id = ? OR actor_name = ?)", q.Actor, q.Actor)
	}
	if q.Target != "" {
		db = db.Where("target = ?", q.Target)
	}
	if q.Action != "" {
		db = db.Where("action = ?", string(q.Action))
	}
	if at := micros(q.Since); at != nil {
		db = db.Where("at >= ?", *at)
	}
	if at := micros(q.Until); at != nil {
		db = db.Where("at < ?", *at)
	}
	if q.Before != "" {
		db = db.Where("id < ?", []byte(q.Before))
	}
	return db
}

// ForgetEntries implements access.AuditStore.
func (s *Audit) ForgetEntries(ctx context.Context, before time.Time) (int64, error) {
	return forget(ctx, "forget audit entries", s.db, func(tx *gorm.DB) *gorm.DB {
		// Replicas that clean up at once leave each other's rows alone.
		old := tx.Model(&auditRow{}).Select("id").Where("at < ?", before.UnixMicro()).
			Limit(batch).Clauses(clause.Locking{Strength: "UPDATE", Options: "SKIP LOCKED"})
		return tx.Where("id IN (?)", old).Delete(&auditRow{})
	})
}

// auditRow is a row of migration 00010.
type auditRow struct {
	ID        []byte
	At        *int64
	ActorKind string
	ActorID   string
	ActorName string
	ActorRole string
	Remote    string
	Forwarded string
	Action    string
	Method    string
	Route     string
	Target    string
	Outcome   string
	Status    int
	Detail    string
	Changes   string
}

func (auditRow) TableName() string { return "audit_entries" }

func newAuditRow(e access.Entry) (auditRow, error) {
	changes, err := json.Marshal(append([]access.Change{}, e.Changes...))
	if err != nil {
		return auditRow{}, fmt.Errorf("encode changes: %w", err)
	}
	return auditRow{
		ID: []byte(e.ID), At: micros(e.Time),
		ActorKind: string(e.Actor.Kind), ActorID: e.Actor.ID, ActorName: e.Actor.Name, ActorRole: string(e.Actor.Role),
		Remote: e.Remote, Forwarded: e.Forwarded, Action: string(e.Action), Method: e.Method, Route: e.Route,
		Target: e.Target, Outcome: string(e.Outcome), Status: e.Status, Detail: e.Detail, Changes: string(changes),
	}, nil
}

func (row *auditRow) entry() (access.Entry, error) {
	e := access.Entry{
		ID: string(row.ID), Time: moment(row.At),
		Actor: access.Actor{
			Kind: access.Kind(row.ActorKind), ID: row.ActorID, Name: row.ActorName, Role: access.Role(row.ActorRole),
		},
		Remote: row.Remote, Forwarded: row.Forwarded, Action: access.Action(row.Action), Method: row.Method, Route: row.Route,
		Target: row.Target, Outcome: access.Outcome(row.Outcome), Status: row.Status, Detail: row.Detail,
	}
	if err := json.Unmarshal([]byte(row.Changes), &e.Changes); err != nil {
		return e, fmt.Errorf("audit entry %s: changes: %w", row.ID, err)
	}
	return e, nil
}
