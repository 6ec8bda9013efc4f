package sqldb

import (
	"fmt"

	"gorm.io/gorm"

	"busbar/catalog"
)

// sincePage is after how many objects a part ends with their revision, sinceBytes
// before how many bytes of documents; one revision is given whole.
const (
	sincePage  = 2000
	sinceBytes = 32 << 20
)

// part is what is newer in the record than a revision, or the beginning of it, as
// one statement sees it.
type part struct {
	clock
	// upTo is the revision up to which rows are everything.
	upTo int64
	rows []catalog.Row
}

// partQuery asks for the part behind a revision, which it is given twice. It is one
// statement: a replica far from its database would feel every other. The clock is
// there without rows, too.
var partQuery = fmt.Sprintf(`WITH page AS (
	SELECT revision, SUM(size) OVER (ORDER BY revision) AS bytes FROM (
		SELECT revision, COALESCE(OCTET_LENGTH(document), 0) AS size
		FROM catalog WHERE revision > ? ORDER BY revision LIMIT %[1]d) AS sizes),
part AS (
	SELECT revision AS newest, last_seq,
		CASE WHEN (SELECT COUNT(*) < %[1]d AND COALESCE(MAX(bytes), 0) <= %[2]d FROM page) THEN revision
		ELSE (SELECT COALESCE(MAX(CASE WHEN bytes <= %[2]d THEN revision END), MIN(revision)) FROM page) END AS up_to
	FROM catalog_clock)
SELECT newest, last_seq, up_to, COALESCE(module, ''), COALESCE(owner, ''), id, COALESCE(seq, 0), COALESCE(revision, 0),
	last_updated, changed_at, COALESCE(deleted, TRUE), document
FROM part LEFT JOIN (
	SELECT %[3]s FROM catalog WHERE revision > ? AND revision <= (SELECT up_to FROM part)) AS news ON TRUE
ORDER BY revision, seq`, sincePage, sinceBytes, catalogColumns)

// behind is ErrBehind when there is more than the part.
func (p *part) behind() error {
	if p.upTo < p.Revision {
		return catalog.ErrBehind
	}
	return nil
}

func readPart(tx *gorm.DB, revision int64) (part, error) {
	rows, err := tx.Raw(partQuery, revision, revision).Rows()
	if err != nil {
		return part{}, err
	}
	defer rows.Close()
	return scanPart(rows)
}

// scanPart reads what partQuery gives, by whatever driver.
func scanPart(rows interface {
	Next() bool
	Scan(...any) error
	Err() error
}) (p part, err error) {
	var reader catalogReader
	for rows.Next() {
		var row catalogRow
		err := rows.Scan(append([]any{&p.Revision, &p.LastSeq, &p.upTo}, row.fields()...)...)
		if err != nil {
			return part{}, err
		}
		if row.Revision == 0 { // nothing is newer
			continue
		}
		object, err := reader.row(&row)
		if err != nil {
			return part{}, err
		}
		p.rows = append(p.rows, object)
	}
	return p, rows.Err()
}
