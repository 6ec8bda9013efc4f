package sqldb_test

import (
	"database/sql"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/routing"
	"busbar/storage/seal"
	"busbar/storage/storagetest"
)

func TestCallbacksOnSQLiteMeetTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestCallbacks(t, func(t *testing.T) routing.CallbackStore {
		return opened(t, onSQLite(t)).Callbacks(sealer(t, 0))
	})
}

func TestCallbacksOnPostgresMeetTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestCallbacks(t, func(t *testing.T) routing.CallbackStore {
		return opened(t, onPostgres(t)).Callbacks(sealer(t, 0))
	})
}

func TestACallbackIsThereAfterReopeningWithARotatedKey(t *testing.T) {
	onBoth(t, func(t *testing.T, d database) {
		want := storagetest.Callback("pending")
		first, err := d.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Callbacks(sealer(t, 0)).SaveCallback(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		second := opened(t, d)
		got, err := second.Callbacks(sealer(t, 1, 0)).Callback(t.Context(), want.ID, want.CreatedAt)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("Callback: %v, differs (-want +got):\n%s", err, diff)
		}
		_, err = second.Callbacks(sealer(t, 1)).Callback(t.Context(), want.ID, want.CreatedAt)
		if !errors.Is(err, seal.ErrUnknownKey) || strings.Contains(err.Error(), want.ID) {
			t.Errorf("Callback without its key: %v, want ErrUnknownKey and no id", err)
		}
	})
}

func TestACallbackWithoutAnEndIsRefused(t *testing.T) {
	onBoth(t, func(t *testing.T, d database) {
		c := storagetest.Callback("for ever")
		c.ExpiresAt = time.Time{}
		if err := opened(t, d).Callbacks(sealer(t, 0)).SaveCallback(t.Context(), c); err == nil {
			t.Error("SaveCallback succeeded")
		}
	})
}

func TestTheResponseURLIsNotInTheFiles(t *testing.T) {
	t.Parallel()
	d, c := onSQLite(t), storagetest.Callback("the id of a callback")
	if err := opened(t, d).Callbacks(sealer(t, 0)).SaveCallback(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(d.file), "*"))
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"emsp.example", "response-url-that", "key=s"} {
			if strings.Contains(string(content), part) {
				t.Errorf("%s holds %q of the URL in clear", file, part)
			}
		}
		found = found || strings.Contains(string(content), c.ID)
	}
	if !found {
		t.Error("the callback's id is in none of the files: the test looks in the wrong place")
	}
}

func TestAResponseURLOpensOnlyInItsOwnRow(t *testing.T) {
	t.Parallel()
	d := onSQLite(t)
	store := opened(t, d).Callbacks(sealer(t, 0))
	mine, other := storagetest.Callback("mine"), storagetest.Callback("other")
	for _, c := range []routing.Callback{mine, other} {
		if err := store.SaveCallback(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	forge(t, d, "UPDATE callbacks SET url = (SELECT url FROM callbacks WHERE id = 'other') WHERE id = 'mine'")
	if _, err := store.Callback(t.Context(), mine.ID, mine.CreatedAt); !errors.Is(err, seal.ErrDamaged) {
		t.Errorf("Callback with another's URL: %v, want ErrDamaged", err)
	}
}

// Replicas are replaced one by one, so the previous binary starts on the schema
// of the next one.
func TestASchemaOfTheNextBinaryIsLeftAlone(t *testing.T) {
	t.Parallel()
	d := onSQLite(t)
	opened(t, d)
	forge(t, d, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)")
	c := storagetest.Callback("c")
	if err := opened(t, d).Callbacks(sealer(t, 0)).SaveCallback(t.Context(), c); err != nil {
		t.Error(err)
	}
}

// forge changes the file behind the store's back.
func forge(t *testing.T, d database, statement string) {
	t.Helper()
	pool, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: d.file}).String())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}
