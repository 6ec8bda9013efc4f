package sqldb_test

import (
	"database/sql"
	"errors"
	"testing"

	"busbar/catalog"
	"busbar/storage/storagetest"
)

// Postgres ends transactions by its wall clock, which may jump. Here a trigger
// does what it does then.
func TestATransactionThatPostgresInterruptsIsTriedAgain(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]error{
		"55P03": catalog.ErrInterrupted, // lock_not_available
		"25P03": catalog.ErrInterrupted, // idle_in_transaction_session_timeout
		"40001": nil,                    // serialization_failure: a race that was lost
		"40P01": nil,                    // deadlock_detected
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			d := onPostgres(t)
			db := opened(t, d)
			raw, err := sql.Open("pgx", d.url)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			// What a sequence has given stays given when the transaction ends.
			if _, err := raw.ExecContext(t.Context(), `CREATE SEQUENCE turns; CREATE FUNCTION interrupt() RETURNS trigger AS $$
				BEGIN
					IF nextval('turns') % 2 = 1 THEN RAISE 'interrupted' USING ERRCODE = '`+code+`'; END IF;
					RETURN NEW;
				END $$ LANGUAGE plpgsql;
				CREATE TRIGGER interrupts BEFORE UPDATE ON directory FOR EACH ROW EXECUTE FUNCTION interrupt();
				CREATE TRIGGER interrupts BEFORE UPDATE ON catalog_clock FOR EACH ROW EXECUTE FUNCTION interrupt()`); err != nil {
				t.Fatal(err)
			}
			if _, err := db.Platforms(sealer(t, 0)).Create(t.Context(), storagetest.FullPlatform("NL")); err != nil {
				t.Errorf("create a platform: %v", err)
			}
			// The catalog decides anew itself, after what is no race with another commit.
			a := db.Catalog("a")
			if _, err := a.Commit(t.Context(), 0, oneRow("first")); !errors.Is(err, want) {
				t.Errorf("commit: %v, want %v", err, want)
			}
			if _, err := a.Commit(t.Context(), 0, oneRow("second")); err != nil {
				t.Errorf("commit again: %v", err)
			}
		})
	}
}
