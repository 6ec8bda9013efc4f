package sqldb

import (
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
)

// lockLimit is how long a transaction that changes something waits for another
// one, and how long Postgres waits for its next statement.
const lockLimit = 10 * time.Second

// limitLocks keeps a replica that froze in mid-transaction from holding back
// the changes of all others. On SQLite there are no others.
func limitLocks(tx *gorm.DB) error {
	if tx.Name() != "postgres" {
		return nil
	}
	return tx.Exec(limitsOfLocks).Error
}

var limitsOfLocks = fmt.Sprintf("SELECT set_config('lock_timeout', '%[1]d', true), "+
	"set_config('idle_in_transaction_session_timeout', '%[1]d', true)", lockLimit.Milliseconds())

// interrupted tells that Postgres ended a transaction that could have gone on: for
// the sake of another one, or by one of its limits before the limit can have passed,
// since they go by its wall clock, and that has jumped. Nothing of the transaction
// was written: it waited for a lock, or for its next statement.
func interrupted(err error, began time.Time) bool {
	const lockNotAvailable, idleInTransaction = "55P03", "25P03"
	return outOfStep(err) ||
		time.Since(began) < lockLimit && (says(err, lockNotAvailable) || says(err, idleInTransaction))
}

// outOfStep tells that Postgres ended a transaction because of what another one
// did at the same time.
func outOfStep(err error) bool {
	const serialization, deadlock = "40001", "40P01"
	return says(err, serialization) || says(err, deadlock)
}

// says tells whether Postgres gave an error with this SQLSTATE.
func says(err error, code string) bool {
	var said *pgconn.PgError
	return errors.As(err, &said) && said.Code == code
}

// again repeats, once, a transaction that was interrupted.
func again(transaction func() error) error {
	began := time.Now()
	err := transaction()
	if interrupted(err, began) {
		err = transaction()
	}
	return err
}
