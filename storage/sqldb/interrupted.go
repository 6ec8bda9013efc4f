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
	limit := fmt.Sprint(lockLimit.Milliseconds())
	return tx.Exec("SELECT set_config('lock_timeout', ?, true), "+
		"set_config('idle_in_transaction_session_timeout', ?, true)", limit, limit).Error
}

// interrupted tells that Postgres ended a transaction by one of its limits before
// the limit can have passed: they go by its wall clock, and that has jumped.
// Nothing of the transaction was written: it waited for a lock, or for its next
// statement.
func interrupted(err error, began time.Time) bool {
	const lockNotAvailable, idleInTransaction = "55P03", "25P03"
	var said *pgconn.PgError
	return errors.As(err, &said) && (said.Code == lockNotAvailable || said.Code == idleInTransaction) &&
		time.Since(began) < lockLimit
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
