package storage_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"busbar/parties"
	"busbar/routing"
	"busbar/storage"
	"busbar/storage/storagetest"
)

// settings of an embedded hub; tests change what they are about.
func settings(t *testing.T) storage.Config {
	return storage.Config{
		Database:  "sqlite:" + filepath.Join(t.TempDir(), "new", "hub.db"),
		Namespace: storagetest.Namespace(t),
		Secrets:   []string{storagetest.Secret(0)},
	}
}

func open(t *testing.T, config storage.Config) *storage.Stores {
	t.Helper()
	stores, err := storage.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stores.Close(); err != nil {
			t.Error(err)
		}
	})
	return stores
}

func TestEverySchemeOpensItsStores(t *testing.T) {
	t.Parallel()
	file, postgres, redis := settings(t).Database, storagetest.Postgres(t), storagetest.Redis(t)
	tests := map[string]struct {
		database, redis string
		embedded        bool
	}{
		"sqlite alone":         {file, "", true},
		"sqlite and redis":     {settings(t).Database, redis, true},
		"postgres alone":       {postgres, "", true},
		"postgres and redis":   {storagetest.Postgres(t), redis, false},
		"postgresql is a name": {strings.Replace(storagetest.Postgres(t), "postgres://", "postgresql://", 1), redis, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := settings(t)
			config.Database, config.Redis = test.database, test.redis
			stores := open(t, config)
			if stores.Embedded != test.embedded {
				t.Errorf("Embedded = %v", stores.Embedded)
			}
			if err := stores.Ready(t.Context()); err != nil {
				t.Errorf("Ready: %v", err)
			}
			p := storagetest.FullPlatform("NL")
			callback := storagetest.Callback("c")
			if err := stores.Callbacks.SaveCallback(t.Context(), callback); err != nil {
				t.Error(err)
			}
			if _, err := stores.Callbacks.Callback(t.Context(), callback.ID, callback.CreatedAt); err != nil {
				t.Error(err)
			}
			wantEveryStore(t, stores)
			revision, err := stores.Platforms.Create(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if err := stores.Cache.Fill(t.Context(), parties.Record{Platforms: []parties.Platform{p}, Revision: revision}); err != nil {
				t.Error(err)
			}
			_, ok, err := stores.Cache.Load(t.Context())
			if want := test.redis != ""; ok != want || err != nil {
				t.Errorf("the cache has a copy: %v, %v, want %v", ok, err, want)
			}
		})
	}
}

// wantEveryStore asks each for what an empty one says.
func wantEveryStore(t *testing.T, stores *storage.Stores) {
	t.Helper()
	if revision, err := stores.Catalog.Revision(t.Context()); revision != 0 || err != nil {
		t.Errorf("Catalog: revision %d, %v", revision, err)
	}
	if n, err := stores.Lessons.ForgetLessons(t.Context(), time.Now(), 0); n != 0 || err != nil {
		t.Errorf("Lessons: %d, %v", n, err)
	}
	if list, err := stores.Journal.Segments(t.Context(), time.Time{}, time.Time{}, "", 1); len(list) != 0 || err != nil {
		t.Errorf("Journal: %v, %v", list, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	stores.Broadcasts.Run(ended, func(b routing.Handed) { t.Errorf("Broadcasts: %+v", b); b.Done() })
	if gone := stores.Fleet.Gone([]routing.ReplicaID{stores.Replica}); stores.Replica == "" || len(gone) > 0 {
		t.Errorf("Fleet: this replica is %q, gone are %q", stores.Replica, gone)
	}
	sealed, err := stores.Cursors.Seal("text", "list")
	if err != nil {
		t.Errorf("Cursors: %v", err)
	}
	if text, err := stores.Cursors.Open(sealed, "list"); text != "text" || err != nil {
		t.Errorf("Cursors: %q, %v", text, err)
	}
}

func TestARelativeFileIsBelowTheWorkingDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	config := settings(t)
	config.Database = "sqlite:data/hub.db"
	open(t, config)
	for path, want := range map[string]os.FileMode{"data": 0o700, "data/hub.db": 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
	}
}

func TestAFaultOfTheSettingsIsNamed(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*storage.Config)
		want   string
	}{
		"no database":      {func(c *storage.Config) { c.Database = "" }, "BUSBAR_DATABASE: must be"},
		"another database": {func(c *storage.Config) { c.Database = "mysql://hunter2@x" }, "BUSBAR_DATABASE: must be"},
		"no file":          {func(c *storage.Config) { c.Database = "sqlite:" }, "BUSBAR_DATABASE: sqlite:"},
		"memory":           {func(c *storage.Config) { c.Database = "sqlite::memory:" }, "BUSBAR_DATABASE: sqlite:"},
		"a directory":      {func(c *storage.Config) { c.Database = "sqlite:." }, "BUSBAR_DATABASE: open the database"},
		"no postgres": {func(c *storage.Config) {
			c.Database, c.Patience = "postgres://u:hunter2@127.0.0.1:1/x", time.Millisecond
		}, "BUSBAR_DATABASE: the database did not answer within 1ms"},
		"bad postgres URL": {func(c *storage.Config) { c.Database = "postgres://u:hunter2%@x" }, "BUSBAR_DATABASE: not a valid"},
		"another cache":    {func(c *storage.Config) { c.Redis = "memcached://hunter2@x" }, "BUSBAR_REDIS: must be"},
		"bad redis URL":    {func(c *storage.Config) { c.Redis = "redis://:hunter2%@x" }, "BUSBAR_REDIS: not a valid"},
		"no secret":        {func(c *storage.Config) { c.Secrets = nil }, "BUSBAR_SECRET_KEY: no secret"},
		"short secret":     {func(c *storage.Config) { c.Secrets[0] = "hunter2" }, "BUSBAR_SECRET_KEY: secret 1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := settings(t)
			test.change(&config)
			_, err := storage.Open(t.Context(), config)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Fatalf("Open: %v, want %s…", err, test.want)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

func TestReadyNamesWhatIsDown(t *testing.T) {
	t.Parallel()
	database, databaseURL := storagetest.NewLine(t, storagetest.Postgres(t))
	redis, redisURL := storagetest.NewLine(t, storagetest.Redis(t))
	config := settings(t)
	config.Database, config.Redis = databaseURL, redisURL
	stores := open(t, config)
	steps := []struct {
		do                func()
		database, redisIs bool // down
	}{
		{func() {}, false, false},
		{redis.Cut, false, true},
		{database.Cut, true, true},
		{redis.Mend, true, false},
		{database.Mend, false, false},
	}
	for i, step := range steps {
		step.do()
		// Of Redis it knows by a sign of life each second. Several may probe at once.
		storagetest.Eventually(t, fmt.Sprint("Ready tells step ", i), func() bool {
			var other sync.WaitGroup
			defer other.Wait()
			other.Go(func() { _ = stores.Ready(t.Context()) })
			text := fmt.Sprint(stores.Ready(t.Context()))
			return strings.Contains(text, "database is down") == step.database && strings.Contains(text, "redis is down") == step.redisIs
		})
	}
}

func TestARedisThatIsDownDoesNotPreventTheStart(t *testing.T) {
	t.Parallel()
	line, url := storagetest.NewLine(t, storagetest.Redis(t))
	line.Cut()
	var log storagetest.Logs
	config := settings(t)
	config.Redis, config.Logger = url, log.Logger()
	stores := open(t, config)
	if !strings.Contains(log.String(), "level=WARN msg=\"redis does not answer") {
		t.Errorf("the log says %q", log.String())
	}
	p := storagetest.Platform("p")
	if _, err := stores.Platforms.Create(t.Context(), p); err != nil {
		t.Errorf("Create without Redis: %v", err)
	}
	if err := stores.Cache.Announce(t.Context(), parties.Change{Revision: 1, ID: p.ID}, &p); err == nil {
		t.Error("Announce without Redis succeeded")
	}
	line.Mend()
	if err := stores.Cache.Announce(t.Context(), parties.Change{Revision: 1, ID: p.ID}, &p); err != nil {
		t.Errorf("Announce with Redis again: %v", err)
	}
}

func TestTheCopyOfAnotherDatabaseIsNotTaken(t *testing.T) {
	t.Parallel()
	first := settings(t)
	first.Redis = storagetest.Redis(t)
	second := first
	second.Database = settings(t).Database
	if err := open(t, first).Cache.Fill(t.Context(), parties.Record{Platforms: []parties.Platform{storagetest.Platform("p")}, Revision: 1}); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := open(t, second).Cache.Load(t.Context()); ok || err != nil {
		t.Errorf("Load on another database: ok %v, %v, want no copy", ok, err)
	}
	// A copy at a revision that the store never reached is of a lost future.
	if _, ok, err := open(t, first).Cache.Load(t.Context()); ok || err != nil {
		t.Errorf("Load after the store was set back: ok %v, %v, want no copy", ok, err)
	}
}

func TestANewSecretSealsAnewAtStart(t *testing.T) {
	t.Parallel()
	config := settings(t)
	p := storagetest.FullPlatform("NL")
	var log bytes.Buffer
	config.Logger = slog.New(slog.NewTextHandler(&log, nil))
	steps := []struct {
		secrets  []string
		resealed bool
	}{
		{[]string{storagetest.Secret(0)}, false},
		{[]string{storagetest.Secret(0), storagetest.Secret(1)}, false},
		{[]string{storagetest.Secret(1), storagetest.Secret(0)}, true},
		{[]string{storagetest.Secret(1)}, false},
	}
	for i, step := range steps {
		log.Reset()
		config.Secrets = step.secrets
		stores, err := storage.Open(t.Context(), config)
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		if i == 0 {
			if p.Revision, err = stores.Platforms.Create(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		got, err := stores.Platforms.Get(t.Context(), p.ID)
		if diff := storagetest.Diff(p, got); err != nil || diff != "" {
			t.Errorf("step %d: %v, differs (-want +got):\n%s", i, err, diff)
		}
		if resealed := strings.Contains(log.String(), "tokens=1"); resealed != step.resealed {
			t.Errorf("step %d: the log says %q", i, log.String())
		}
		if err := stores.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestAWrongSecretIsRefusedAtStart(t *testing.T) {
	t.Parallel()
	config := settings(t)
	if _, err := open(t, config).Platforms.Create(t.Context(), storagetest.FullPlatform("NL")); err != nil {
		t.Fatal(err)
	}
	config.Secrets = []string{storagetest.Secret(1)}
	if _, err := storage.Open(t.Context(), config); err == nil || !strings.Contains(err.Error(), "BUSBAR_SECRET_KEY") {
		t.Errorf("Open: %v, want the setting named", err)
	}
}
