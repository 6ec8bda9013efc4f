package hub

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestKeys_ConfiguredOnesLeaveNoFile(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	cfg := Config{DataDir: dir, SecretKeys: []string{"one", "two"}, AdminToken: "the-admin-token-itself"}
	keys, err := secretKeys(cfg)
	if err != nil || len(keys) != 2 || keys[0] != "one" {
		t.Errorf("secret keys %d, %v", len(keys), err)
	}
	hash, fresh, err := adminToken(cfg)
	if err != nil || fresh != "" || hash != sha256.Sum256([]byte("the-admin-token-itself")) {
		t.Errorf("admin token: fresh %t, %v", fresh != "", err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the data dir was made: %v", err)
	}
}

func TestKeys_SecretKeyIsMadeOnce(t *testing.T) {
	t.Parallel()
	cfg := Config{DataDir: filepath.Join(t.TempDir(), "deep", "data")}
	first, err := secretKeys(cfg)
	if err != nil || len(first) != 1 || len(first[0]) != 64 {
		t.Fatalf("%d secret keys, %v", len(first), err)
	}
	second, err := secretKeys(cfg)
	if err != nil || len(second) != 1 || second[0] != first[0] {
		t.Errorf("the second start has another key, or %v", err)
	}
	other, err := secretKeys(Config{DataDir: t.TempDir()})
	if err != nil || other[0] == first[0] {
		t.Errorf("another data dir has the same key, or %v", err)
	}
}

func TestKeys_AdminTokenIsShownOnceAndKeptAsAHash(t *testing.T) {
	t.Parallel()
	cfg := Config{DataDir: t.TempDir()}
	hash, fresh, err := adminToken(cfg)
	if err != nil || len(fresh) != 64 || hash != sha256.Sum256([]byte(fresh)) {
		t.Fatalf("fresh token of %d characters, %v", len(fresh), err)
	}
	again, shown, err := adminToken(cfg)
	if err != nil || shown != "" || again != hash {
		t.Errorf("second start: shown %t, same hash %t, %v", shown != "", again == hash, err)
	}
	for name, content := range files(t, cfg.DataDir) {
		if strings.Contains(content, fresh) {
			t.Errorf("%s holds the admin token", name)
		}
	}
}

func TestKeys_ArePrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	cfg := Config{DataDir: dir}
	if _, err := secretKeys(cfg); err != nil {
		t.Fatal(err)
	}
	if _, _, err := adminToken(cfg); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{
		dir: 0o700, filepath.Join(dir, "secret.key"): 0o600, filepath.Join(dir, "admin-token.sha256"): 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
	if got := files(t, dir); len(got) != 2 {
		t.Errorf("%d files in the data dir, want 2: temporary ones stay behind", len(got))
	}
}

// Of many processes that start at once, one makes the key, and only that one
// shows the token.
func TestKeys_TwoAtOnceHaveTheSame(t *testing.T) {
	t.Parallel()
	cfg := Config{DataDir: filepath.Join(t.TempDir(), "data")}
	const n = 16
	var keys, shown [n]string
	var hashes [n][sha256.Size]byte
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-begin
			k, err := secretKeys(cfg)
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = k[0]
			if hashes[i], shown[i], err = adminToken(cfg); err != nil {
				t.Error(err)
			}
		})
	}
	close(begin)
	all.Wait()
	printed := 0
	for i := range n {
		if keys[i] != keys[0] || hashes[i] != hashes[0] {
			t.Fatalf("start %d has another key or token than start 0", i)
		}
		if shown[i] != "" {
			printed++
			if sha256.Sum256([]byte(shown[i])) != hashes[0] {
				t.Errorf("start %d shows a token that is not the one", i)
			}
		}
	}
	if printed != 1 {
		t.Errorf("%d starts show the token, want 1", printed)
	}
}

func TestKeys_ADamagedFileIsNamed(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"empty": "", "cut off": "abcdef", "not ours": strings.Repeat("z", 31) + "\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := Config{DataDir: t.TempDir()}
			for _, file := range []string{"secret.key", "admin-token.sha256"} {
				if err := os.WriteFile(filepath.Join(cfg.DataDir, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := secretKeys(cfg)
			if err == nil || !strings.Contains(err.Error(), "secret.key is damaged") {
				t.Errorf("secret key: %v", err)
			}
			_, _, err = adminToken(cfg)
			if err == nil || !strings.Contains(err.Error(), "admin-token.sha256 is damaged") {
				t.Errorf("admin token: %v", err)
			}
			if content != "" && strings.Contains(err.Error(), strings.TrimSpace(content)) {
				t.Errorf("the error holds what is in the file: %v", err)
			}
		})
	}
}

func TestKeys_AFileInPlaceOfTheDataDir(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := secretKeys(Config{DataDir: path}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("secret key: %v", err)
	}
	if _, _, err := adminToken(Config{DataDir: path}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("admin token: %v", err)
	}
}

// files reads every file in a directory.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	contents := make(map[string]string, len(entries))
	for _, e := range entries {
		raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		contents[e.Name()] = string(raw)
	}
	return contents
}
