package sqldb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"busbar/access"
)

// AdminTokens is the record of admin tokens. It implements access.TokenStore.
type AdminTokens struct{ db *DB }

var _ access.TokenStore = (*AdminTokens)(nil)

// AdminTokens gives access to the admin tokens.
func (db *DB) AdminTokens() *AdminTokens { return &AdminTokens{db: db} }

// CreateToken implements access.TokenStore. An id or a hash that is taken
// already is an error without a name.
func (s *AdminTokens) CreateToken(ctx context.Context, t access.Token) error {
	row := newAdminTokenRow(t)
	taken := clause.OnConflict{Columns: []clause.Column{{Name: "name"}}, DoNothing: true}
	result := s.db.write.WithContext(ctx).Clauses(taken).Create(&row)
	if result.Error == nil && result.RowsAffected == 0 {
		return access.ErrTaken
	}
	return fault("create admin token", result.Error)
}

// Tokens implements access.TokenStore.
func (s *AdminTokens) Tokens(ctx context.Context, after access.Token, limit int) ([]access.Token, error) {
	db := s.db.read.WithContext(ctx).Order("created_at, id").Limit(limit)
	if at := micros(after.CreatedAt); at != nil {
		db = db.Where("(created_at, id) > (?, ?)", *at, after.ID)
	}
	var rows []adminTokenRow
	if err := db.Find(&rows).Error; err != nil {
		return nil, fault("load admin tokens", err)
	}
	tokens := make([]access.Token, len(rows))
	for i := range rows {
		var err error
		if tokens[i], err = rows[i].token(); err != nil {
			return nil, fault("load admin tokens", err)
		}
	}
	return tokens, nil
}

// Token implements access.TokenStore.
func (s *AdminTokens) Token(ctx context.Context, id string) (access.Token, error) {
	return s.one(ctx, "id = ?", id)
}

// TokenOf implements access.TokenStore.
func (s *AdminTokens) TokenOf(ctx context.Context, hash [sha256.Size]byte) (access.Token, error) {
	return s.one(ctx, "hash = ?", hex.EncodeToString(hash[:]))
}

func (s *AdminTokens) one(ctx context.Context, where, key string) (access.Token, error) {
	if !isText(key) {
		return access.Token{}, access.ErrNotFound
	}
	var rows []adminTokenRow
	if err := s.db.read.WithContext(ctx).Where(where, key).Find(&rows).Error; err != nil {
		return access.Token{}, fault("load admin token", err)
	}
	if len(rows) == 0 {
		return access.Token{}, access.ErrNotFound
	}
	t, err := rows[0].token()
	return t, fault("load admin token", err)
}

// RenewToken implements access.TokenStore.
func (s *AdminTokens) RenewToken(ctx context.Context, id string, hash [sha256.Size]byte) error {
	return s.changeOne("renew admin token", id, func() *gorm.DB {
		return s.db.write.WithContext(ctx).Model(&adminTokenRow{}).Where("id = ?", id).
			UpdateColumn("hash", hex.EncodeToString(hash[:]))
	})
}

// DeleteToken implements access.TokenStore.
func (s *AdminTokens) DeleteToken(ctx context.Context, id string) error {
	return s.changeOne("delete admin token", id, func() *gorm.DB {
		return s.db.write.WithContext(ctx).Where("id = ?", id).Delete(&adminTokenRow{})
	})
}

func (s *AdminTokens) changeOne(what, id string, change func() *gorm.DB) error {
	if !isText(id) {
		return access.ErrNotFound
	}
	result := change()
	if result.Error == nil && result.RowsAffected == 0 {
		return access.ErrNotFound
	}
	return fault(what, result.Error)
}

// TokensUsed implements access.TokenStore. Each token is a statement of its own:
// they are few, and replicas that write the same ones at once do not deadlock.
func (s *AdminTokens) TokensUsed(ctx context.Context, used map[string]time.Time) error {
	for _, id := range slices.Sorted(maps.Keys(used)) {
		at := micros(used[id])
		err := s.db.write.WithContext(ctx).Model(&adminTokenRow{}).
			Where("id = ? AND (last_used IS NULL OR last_used < ?)", id, at).UpdateColumn("last_used", at).Error
		if err != nil {
			return fault("record when an admin token was used", err)
		}
	}
	return nil
}

// adminTokenRow is a row of migration 00010.
type adminTokenRow struct {
	ID        string
	Name      string
	Role      string
	Hash      string
	CreatedAt *int64 `gorm:"autoCreateTime:false"`
	CreatedBy string
	ExpiresAt *int64
	LastUsed  *int64
}

func (adminTokenRow) TableName() string { return "admin_tokens" }

func newAdminTokenRow(t access.Token) adminTokenRow {
	return adminTokenRow{
		ID: t.ID, Name: t.Name, Role: string(t.Role), Hash: hex.EncodeToString(t.Hash[:]), CreatedAt: micros(t.CreatedAt),
		CreatedBy: t.CreatedBy, ExpiresAt: micros(t.ExpiresAt), LastUsed: micros(t.LastUsed),
	}
}

func (row *adminTokenRow) token() (access.Token, error) {
	t := access.Token{
		ID: row.ID, Name: row.Name, Role: access.Role(row.Role), CreatedAt: moment(row.CreatedAt), CreatedBy: row.CreatedBy,
		ExpiresAt: moment(row.ExpiresAt), LastUsed: moment(row.LastUsed),
	}
	raw, err := hex.DecodeString(row.Hash)
	if err != nil || len(raw) != len(t.Hash) {
		return t, fmt.Errorf("admin token %s: its hash is damaged", row.ID)
	}
	t.Hash = [sha256.Size]byte(raw)
	return t, nil
}
