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
	for _, code := range []string{"55P03", "25P03"} {
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
			// The catalog decides anew itself.
			nothing := func([]catalog.Row, int64, int64) []catalog.Row { return nil }
			if _, err := db.Catalog("a").Commit(t.Context(), 0, nothing); !errors.Is(err, catalog.ErrInterrupted) {
				t.Errorf("commit: %v, want ErrInterrupted", err)
			}
			if _, err := db.Catalog("a").Commit(t.Context(), 0, nothing); err != nil {
				t.Errorf("commit again: %v", err)
			}
		})
	}
}
