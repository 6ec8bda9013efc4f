package sqldb_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"busbar/ocpi"
	"busbar/parties"
	"busbar/storage/seal"
	"busbar/storage/sqldb"
	"busbar/storage/storagetest"
)

// database opens a database that other calls of open find again.
type database struct {
	open func(context.Context) (*sqldb.DB, error)
	file string // of SQLite
	url  string // of Postgres
}

func onSQLite(t *testing.T) database {
	file := filepath.Join(t.TempDir(), "a dir?#%20", "hub.db")
	return database{file: file, open: func(ctx context.Context) (*sqldb.DB, error) {
		return sqldb.OpenSQLite(ctx, file)
	}}
}

func onPostgres(t *testing.T) database {
	url := storagetest.Postgres(t)
	return database{url: url, open: func(ctx context.Context) (*sqldb.DB, error) {
		return sqldb.OpenPostgres(ctx, url, 10*time.Second)
	}}
}

// onBoth runs a test on either database.
func onBoth(t *testing.T, test func(*testing.T, database)) {
	t.Parallel()
	for name, fresh := range map[string]func(*testing.T) database{"SQLite": onSQLite, "Postgres": onPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, fresh(t))
		})
	}
}

func opened(t *testing.T, d database) *sqldb.DB {
	t.Helper()
	db, err := d.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func sealer(t *testing.T, secrets ...int) *seal.Sealer {
	t.Helper()
	var list []string
	for _, n := range secrets {
		list = append(list, storagetest.Secret(n))
	}
	s, err := seal.New(list)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPlatformsOnSQLiteMeetTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestStore(t, func(t *testing.T) parties.Store {
		return opened(t, onSQLite(t)).Platforms(sealer(t, 0))
	})
}

func TestPlatformsOnPostgresMeetTheContract(t *testing.T) {
	t.Parallel()
	storagetest.TestStore(t, func(t *testing.T) parties.Store {
		return opened(t, onPostgres(t)).Platforms(sealer(t, 0))
	})
}

func TestWhatWasWrittenIsThereAfterReopening(t *testing.T) {
	onBoth(t, func(t *testing.T, d database) {
		p := storagetest.FullPlatform("NL")
		first, err := d.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if p.Revision, err = first.Platforms(sealer(t, 0)).Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		history, err := first.History(t.Context())
		if err != nil || history == "" {
			t.Fatalf("History = %q, %v", history, err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		second := opened(t, d)
		wantPlatform(t, second.Platforms(sealer(t, 0)), p)
		if again, err := second.History(t.Context()); err != nil || again != history {
			t.Errorf("History = %q after reopening, %v, want %q", again, err, history)
		}
	})
}

func TestReplicasMayOpenAnEmptyDatabaseAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, d database) {
		const replicas = 4
		var wg sync.WaitGroup
		histories := make([]string, replicas)
		for i := range replicas {
			wg.Go(func() {
				db, err := d.open(t.Context())
				if err != nil {
					t.Errorf("replica %d: %v", i, err)
					return
				}
				defer db.Close()
				if histories[i], err = db.History(t.Context()); err != nil {
					t.Errorf("replica %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		for _, history := range histories {
			if history != histories[0] {
				t.Errorf("the replicas see different histories: %q", histories)
			}
		}
	})
}

func TestTheOutboundTokenIsNotInTheFiles(t *testing.T) {
	t.Parallel()
	d := onSQLite(t)
	if _, err := opened(t, d).Platforms(sealer(t, 0)).Create(t.Context(), storagetest.FullPlatform("NL")); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(d.file), "*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("the database's files are %v, %v; want it and its log", files, err)
	}
	found := false
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), storagetest.OutboundToken) {
			t.Errorf("%s holds the outbound token in clear", file)
		}
		found = found || strings.Contains(string(content), "Full & Sons")
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", file, info.Mode())
		}
	}
	if !found {
		t.Error("the platform's name is in none of the files: the test looks in the wrong place")
	}
}

func TestAFileThatOthersMayReadIsClosedToThem(t *testing.T) {
	t.Parallel()
	d := onSQLite(t)
	if err := os.MkdirAll(filepath.Dir(d.file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	opened(t, d)
	info, err := os.Stat(d.file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
}

func TestARotatedKeySealsAnewWithoutAChange(t *testing.T) {
	onBoth(t, func(t *testing.T, d database) {
		db := opened(t, d)
		p := storagetest.FullPlatform("NL")
		var err error
		if p.Revision, err = db.Platforms(sealer(t, 0)).Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Platforms(sealer(t, 0)).Create(t.Context(), storagetest.Platform("without a token")); err != nil {
			t.Fatal(err)
		}
		rotated := db.Platforms(sealer(t, 1, 0))
		wantPlatform(t, rotated, p)
		for _, want := range []int{1, 0} {
			if n, err := rotated.Reseal(t.Context()); err != nil || n != want {
				t.Fatalf("Reseal = %d, %v, want %d", n, err, want)
			}
		}
		wantPlatform(t, db.Platforms(sealer(t, 1)), p)
		if revision, err := rotated.Revision(t.Context()); err != nil || revision != 2 {
			t.Errorf("Revision = %d, %v after resealing, want 2", revision, err)
		}
	})
}

func TestAWrongKeyIsSaidClearly(t *testing.T) {
	onBoth(t, func(t *testing.T, d database) {
		db := opened(t, d)
		p := storagetest.FullPlatform("NL")
		if _, err := db.Platforms(sealer(t, 0)).Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		_, err := db.Platforms(sealer(t, 1)).Reseal(t.Context())
		if err == nil || !strings.Contains(err.Error(), "BUSBAR_SECRET_KEY") || !strings.Contains(err.Error(), string(p.ID)) {
			t.Errorf("Reseal: %v, want the setting and the platform named", err)
		}
	})
}

// One token that no key opens leaves its platform unreachable and the others as
// they are; it stays in the record for the day when the key is there again.
func TestATokenThatNoKeyOpensStopsNoOtherPlatform(t *testing.T) {
	onBoth(t, func(t *testing.T, d database) {
		db := opened(t, d)
		lost, good := storagetest.FullPlatform("NL"), storagetest.FullPlatform("DE")
		lost.Status, lost.Held = ocpi.Connected, false
		var err error
		if lost.Revision, err = db.Platforms(sealer(t, 0)).Create(t.Context(), lost); err != nil {
			t.Fatal(err)
		}
		now := db.Platforms(sealer(t, 1))
		if good.Revision, err = now.Create(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		if n, err := now.Reseal(t.Context()); n != 0 || err != nil {
			t.Fatalf("Reseal = %d, %v", n, err)
		}
		all, err := now.All(t.Context())
		if err != nil || len(all.Platforms) != 2 {
			t.Fatalf("All: %d platforms, %v", len(all.Platforms), err)
		}
		wantPlatform(t, now, good)
		got, err := now.Get(t.Context(), lost.ID)
		if err != nil || got.Unopened == "" || !got.Outbound.IsZero() || got.Reachable() || got.Status != ocpi.Offline {
			t.Fatalf("Get: %v, unopened %q, %s", err, got.Unopened, got.Status)
		}
		got.Name, got.Status = "changed meanwhile", ocpi.Connected
		if lost.Revision, err = now.Update(t.Context(), got); err != nil {
			t.Fatal(err)
		}
		lost.Name = got.Name
		wantPlatform(t, db.Platforms(sealer(t, 1, 0)), lost)
	})
}

func TestAnUnreachablePostgresIsGivenUpWithoutItsPassword(t *testing.T) {
	t.Parallel()
	const password = "hunter2"
	line, url := storagetest.NewLine(t, storagetest.Postgres(t))
	line.Cut()
	tests := map[string]string{
		"down":          strings.Replace(url, "busbar@", "busbar:"+password+"@", 1),
		"wrong port":    "postgres://busbar:" + password + "@127.0.0.1:notaport/hub",
		"bad escape":    "postgres://busbar:" + password + "%zz@127.0.0.1/hub",
		"wrong setting": "postgres://busbar:" + password + "@127.0.0.1/hub?sslmode=perhaps",
	}
	for name, url := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := sqldb.OpenPostgres(t.Context(), url, time.Millisecond)
			if err == nil || strings.Contains(err.Error(), password) {
				t.Errorf("OpenPostgres: %v", err)
			}
		})
	}
}

func TestAPostgresThatComesUpIsAwaited(t *testing.T) {
	t.Parallel()
	line, url := storagetest.NewLine(t, storagetest.Postgres(t))
	line.Cut()
	go line.Mend() // at some point while OpenPostgres waits, or before
	db, err := sqldb.OpenPostgres(t.Context(), url, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	line.Cut()
	if err := db.Ping(t.Context()); err == nil {
		t.Error("Ping of a database that is down succeeded")
	}
}

func wantPlatform(t *testing.T, s parties.Store, want parties.Platform) {
	t.Helper()
	got, err := s.Get(t.Context(), want.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := storagetest.Diff(want, got); diff != "" {
		t.Errorf("the platform differs (-want +got):\n%s", diff)
	}
}

func BenchmarkAllOf10000PlatformsOnPostgres(b *testing.B) {
	db, err := sqldb.OpenPostgres(b.Context(), storagetest.Postgres(b), 10*time.Second)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	s, err := seal.New([]string{storagetest.Secret(0)})
	if err != nil {
		b.Fatal(err)
	}
	store := db.Platforms(s)
	for i := range 10_000 {
		p := storagetest.FullPlatform("NL")
		p.Approved, p.Roles = nil, p.Roles[:1]
		p.Roles[0].Party = partyNumber(b, i)
		for len(p.Endpoints) < 12 {
			p.Endpoints = append(p.Endpoints, p.Endpoints[0])
		}
		if _, err := store.Create(b.Context(), p); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		all, err := store.All(b.Context())
		if err != nil || len(all.Platforms) != 10_000 {
			b.Fatalf("%d platforms, %v", len(all.Platforms), err)
		}
	}
}

func partyNumber(b *testing.B, n int) ocpi.PartyKey {
	b.Helper()
	letter := func(n int) string { return string(rune('A' + n%26)) }
	key, err := ocpi.ParsePartyKey("N"+letter(n/26/26/26), letter(n/26/26)+letter(n/26)+letter(n))
	if err != nil {
		b.Fatal(err)
	}
	return key
}
