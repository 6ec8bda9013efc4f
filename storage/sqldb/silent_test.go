package sqldb_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"busbar/routing"
	"busbar/storage/sqldb"
	"busbar/storage/storagetest"
)

// TestASilentPostgresIsGivenUpInTime: what a message waits for ends with its
// deadline, on a connection that is open as on a new one.
func TestASilentPostgresIsGivenUpInTime(t *testing.T) {
	t.Parallel()
	line, through := storagetest.NewLine(t, storagetest.Postgres(t))
	db := opened(t, database{open: func(ctx context.Context) (*sqldb.DB, error) {
		return sqldb.OpenPostgres(ctx, through, 10*time.Second)
	}})
	t.Cleanup(line.Mend) // before the database is closed
	secrets := sealer(t, 0)
	callbacks, outbox, a := db.Callbacks(secrets), db.Outbox(secrets, "a"), db.Catalog("a")
	have := commitRow(t, a, "first")
	line.Silence()
	const deadline, settling = time.Second, 3 * time.Second
	for name, write := range map[string]func(context.Context) error{
		"a callback": func(ctx context.Context) error {
			return callbacks.SaveCallback(ctx, storagetest.Callback("silent"))
		},
		"a commit": func(ctx context.Context) error {
			_, err := a.Commit(ctx, have, oneRow("second"))
			return err
		},
		"the look for a commit": func(ctx context.Context) error {
			_, err := a.Settle(ctx, have+1)
			return err
		},
		"a parcel": func(ctx context.Context) error {
			return outbox.Save(ctx, "a", []*routing.Broadcast{storagetest.Broadcast("tokens/BEMSP/t", 0)})
		},
	} {
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			began := time.Now()
			err := write(ctx)
			cancel()
			if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > deadline+settling+10*time.Second {
				t.Errorf("%s: %v after %s", name, err, took)
			}
		}
	}
}
