package sqldb

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"busbar/catalog"
	"busbar/ocpi"
)

// catalogRow is a row of migration 00003.
type catalogRow struct {
	Key         []byte
	Module      string
	Owner       string
	ID          []byte
	Seq         int64
	Revision    int64
	LastUpdated *int64
	ChangedAt   *int64
	Deleted     bool
	Document    []byte
}

func (catalogRow) TableName() string { return "catalog" }

const catalogColumns = "module, owner, id, seq, revision, last_updated, changed_at, deleted, document"

// fields are where catalogColumns are read to.
func (row *catalogRow) fields() []any {
	return []any{&row.Module, &row.Owner, &row.ID, &row.Seq, &row.Revision,
		&row.LastUpdated, &row.ChangedAt, &row.Deleted, &row.Document}
}

// catalogReader makes catalog.Rows. It keeps one string for each module, instead
// of one for each of a million rows.
type catalogReader struct{ modules map[string]ocpi.ModuleID }

// read calls each for every row of a query, one after the other, and counts
// them.
func (r *catalogReader) read(query *gorm.DB, each func(catalog.Row) error) (n int, err error) {
	rows, err := query.Rows()
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for ; rows.Next(); n++ {
		var row catalogRow // anew each time: Document belongs to each
		if err := rows.Scan(row.fields()...); err != nil {
			return n, err
		}
		object, err := r.row(&row)
		if err != nil {
			return n, err
		}
		if err := each(object); err != nil {
			return n, err
		}
	}
	return n, rows.Err()
}

func (r *catalogReader) row(row *catalogRow) (catalog.Row, error) {
	module, ok := r.modules[row.Module]
	if !ok {
		if r.modules == nil {
			r.modules = make(map[string]ocpi.ModuleID)
		}
		module = ocpi.ModuleID(row.Module)
		r.modules[row.Module] = module
	}
	object := catalog.Row{
		Key: catalog.Key{Module: module, ID: string(row.ID)},
		Seq: row.Seq, Revision: row.Revision, Deleted: row.Deleted,
		LastUpdated: moment(row.LastUpdated), ChangedAt: moment(row.ChangedAt),
	}
	if !row.Deleted {
		object.Document = row.Document
	}
	if err := object.Key.Owner.UnmarshalText([]byte(row.Owner)); err != nil {
		return catalog.Row{}, fmt.Errorf("object %d: owner: %w", row.Seq, err)
	}
	return object, nil
}

// keyLength is the length of a row's key.
const keyLength = 16

// catalogKey is the hash of migration 00003. Module and owner are written with
// their lengths' bounds, so that no two keys have the same bytes.
func catalogKey(k catalog.Key) []byte {
	b := make([]byte, 0, len(k.Module)+1+len(k.Owner)+len(k.ID))
	b = append(append(b, k.Module...), 0)
	b = append(append(b, k.Owner[:]...), k.ID...)
	sum := sha256.Sum256(b)
	return sum[:keyLength]
}

// documentText is a document as either database can hold it.
func documentText(document []byte) string {
	s := string(document)
	if isText(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// catalogColumnSet holds rows by columns.
type catalogColumnSet struct {
	keys, ids                 [][]byte
	modules, owners, document []string
	seqs, revisions           []int64
	lastUpdated, changedAt    []*int64
	deleted                   []bool
}

func (c *catalogColumnSet) add(row catalog.Row, key []byte, revision int64) {
	document := ""
	if !row.Deleted {
		document = documentText(row.Document)
	}
	c.keys, c.ids = append(c.keys, key), append(c.ids, []byte(row.Key.ID))
	c.modules, c.owners = append(c.modules, string(row.Key.Module)), append(c.owners, row.Key.Owner.String())
	c.seqs, c.revisions = append(c.seqs, row.Seq), append(c.revisions, revision)
	c.lastUpdated, c.changedAt = append(c.lastUpdated, micros(row.LastUpdated)), append(c.changedAt, micros(row.ChangedAt))
	c.deleted, c.document = append(c.deleted, row.Deleted), append(c.document, document)
}

// objects are the keys, as outbox_commits has them.
func (c *catalogColumnSet) objects() []byte { return bytes.Join(c.keys, nil) }

func (c *catalogColumnSet) columns() []column {
	return []column{
		{"key", "bytea", c.keys}, {"module", "text", c.modules}, {"owner", "text", c.owners}, {"id", "bytea", c.ids},
		{"seq", "bigint", c.seqs}, {"revision", "bigint", c.revisions},
		{"last_updated", "bigint", c.lastUpdated}, {"changed_at", "bigint", c.changedAt},
		{"deleted", "boolean", c.deleted}, {"document", "text", c.document},
	}
}

// columnsOf are rows as they are written behind a clock, and the clock that they
// lead to: the next revision, and the highest seq ever given.
func columnsOf(rows []catalog.Row, now clock) (set *catalogColumnSet, next clock) {
	// No statement may touch a row twice.
	last := make(map[[16]byte]int, len(rows))
	keys := make([][]byte, len(rows))
	next = clock{now.Revision + 1, now.LastSeq}
	for i, row := range rows {
		keys[i] = catalogKey(row.Key)
		last[[16]byte(keys[i])] = i
		next.LastSeq = max(next.LastSeq, row.Seq)
	}
	set = new(catalogColumnSet)
	for i, row := range rows {
		if last[[16]byte(keys[i])] == i {
			set.add(row, keys[i], next.Revision)
		}
	}
	return set, next
}

// catalogConflict lets a row take the place of the one with its key.
const catalogConflict = "ON CONFLICT (key) DO UPDATE SET seq = excluded.seq, " +
	"revision = excluded.revision, last_updated = excluded.last_updated, changed_at = excluded.changed_at, " +
	"deleted = excluded.deleted, document = excluded.document"
