package hub

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"busbar/storage/seal"
)

// secretKeys returns the keys that seal outbound tokens: the configured ones,
// or the one in the data dir, made at the first start.
func secretKeys(cfg Config) ([]string, error) {
	if len(cfg.SecretKeys) > 0 {
		return cfg.SecretKeys, nil
	}
	path := filepath.Join(cfg.DataDir, "secret.key")
	key, _, err := keep(path, randomText)
	if err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	if utf8.RuneCountInString(key) < seal.MinSecretLength {
		return nil, fmt.Errorf("%s is damaged: restore it, since what it sealed opens with no other key", path)
	}
	return []string{key}, nil
}

// adminToken returns the hash of the admin token. A generated token is known in
// clear once, when it is made; the data dir keeps its hash.
func adminToken(cfg Config) (hash [sha256.Size]byte, fresh string, err error) {
	if cfg.AdminToken != "" {
		return sha256.Sum256([]byte(cfg.AdminToken)), "", nil
	}
	path := filepath.Join(cfg.DataDir, "admin-token.sha256")
	text, made, err := keep(path, func() string {
		fresh = randomText()
		sum := sha256.Sum256([]byte(fresh))
		return hex.EncodeToString(sum[:])
	})
	if err != nil {
		return hash, "", fmt.Errorf("admin token: %w", err)
	}
	if !made {
		fresh = ""
	}
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(hash) {
		return hash, "", fmt.Errorf("%s is damaged: delete it, and a new admin token is made at the next start", path)
	}
	return [sha256.Size]byte(raw), fresh, nil
}

// keep reads a one-line file, or writes it with what generate returns. Of two
// processes that start at once, one writes and both read the same.
func keep(path string, generate func() string) (text string, made bool, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", false, err
	}
	if raw, err := os.ReadFile(path); err == nil {
		return strings.TrimSpace(string(raw)), false, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", false, err
	}
	text = generate()
	// Link is atomic and fails when the file is there: a crash leaves no half
	// of a key, and a race no second one.
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return "", false, err
	}
	defer os.Remove(temp.Name())
	_, err = temp.WriteString(text + "\n")
	if err = errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return "", false, err
	}
	err = os.Link(temp.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		raw, err := os.ReadFile(path)
		return strings.TrimSpace(string(raw)), false, err
	}
	return text, err == nil, err
}

// randomText draws 256 bits, as 64 hexadecimal digits.
func randomText() string {
	var raw [32]byte
	rand.Read(raw[:])
	return hex.EncodeToString(raw[:])
}
