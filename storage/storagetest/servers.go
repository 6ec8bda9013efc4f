package storagetest

import (
	"crypto/rand"
	"database/sql"
	"net/url"
	"os"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// The servers that the test command starts.
const (
	postgresVariable = "BUSBAR_TEST_POSTGRES"
	redisVariable    = "BUSBAR_TEST_REDIS"
)

// Postgres creates an empty database and returns its URL. The database is
// dropped when the test ends.
func Postgres(t testing.TB) string {
	t.Helper()
	server := serverURL(t, postgresVariable)
	pool, err := sql.Open("pgx", server.String())
	if err != nil {
		t.Fatalf("connect to %s: %v", postgresVariable, err)
	}
	name := "busbar_test_" + strings.ToLower(rand.Text())
	if _, err := pool.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatalf("create a test database: %v", err)
	}
	t.Cleanup(func() {
		defer pool.Close()
		if _, err := pool.Exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("drop the test database: %v", err)
		}
	})
	server.Path = "/" + name
	return server.String()
}

// SetReadOnly makes the database of a URL refuse writes, as a standby does, or take
// them again. Who is connected when it becomes so is put out, as by a fail-over.
func SetReadOnly(t testing.TB, databaseURL string, readOnly bool) {
	t.Helper()
	database, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal("the database's URL is not valid")
	}
	pool, err := sql.Open("pgx", serverURL(t, postgresVariable).String())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	name, setting := strings.TrimPrefix(database.Path, "/"), "off"
	if readOnly {
		setting = "on"
	}
	if _, err := pool.ExecContext(t.Context(), "ALTER DATABASE "+name+" SET default_transaction_read_only = "+setting); err != nil {
		t.Fatal(err)
	}
	if !readOnly {
		return
	}
	if _, err := pool.ExecContext(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name); err != nil {
		t.Fatal(err)
	}
}

// Redis returns the URL of a Redis that other tests use at the same time.
func Redis(t testing.TB) string {
	t.Helper()
	return serverURL(t, redisVariable).String()
}

// Namespace draws a name that no other test has.
func Namespace(testing.TB) string { return "test-" + rand.Text() }

// Secret is long enough to seal with. Those of different n differ.
func Secret(n int) string {
	return strings.Repeat("test-secret-", 3) + string(rune('a'+n))
}

func serverURL(t testing.TB, variable string) *url.URL {
	t.Helper()
	value := os.Getenv(variable)
	if value == "" {
		t.Fatalf("%s is not set: run the tests through `make test`, or `scripts/services.sh go test …`", variable)
	}
	server, err := url.Parse(value)
	if err != nil {
		t.Fatalf("%s is not a URL", variable)
	}
	return server
}
