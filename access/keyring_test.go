package access_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"busbar/access"
)

var silence = slog.New(slog.DiscardHandler)

func newKeyring(m *memory) *access.Keyring {
	return access.NewKeyring(access.KeyringConfig{Root: sha256.Sum256([]byte("the token of root")), Store: m, Logger: silence})
}

// background runs do until stop is called.
func background(do func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); do(ctx) }()
	return func() { cancel(); <-ended }
}

func TestKeyring_KnowsWhoPresentsAToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKeyring(newMemory())
		made, secret, err := k.Issue(t.Context(), access.Root(), "dashboard", access.Viewer, time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		who := func(presented string) string {
			actor, err := k.Authenticate(t.Context(), presented)
			if err != nil {
				return err.Error()
			}
			return fmt.Sprintf("%s %s %s", actor.Kind, actor.Name, actor.Role)
		}
		other, _, _ := k.Issue(t.Context(), access.Root(), "other", access.Operator, time.Time{})
		_, renewed, err := k.Renew(t.Context(), access.Root(), other.ID)
		if err != nil {
			t.Fatal(err)
		}
		for presented, want := range map[string]string{
			"the token of root":              "root root operator",
			secret.Reveal():                  "token dashboard viewer",
			renewed.Reveal():                 "token other operator",
			"the token of roo":               access.ErrUnknown.Error(),
			"":                               access.ErrUnknown.Error(),
			made.ID:                          access.ErrUnknown.Error(),
			strings.ToUpper(secret.Reveal()): access.ErrUnknown.Error(),
			secret.Reveal() + "a":            access.ErrUnknown.Error(),
		} {
			if got := who(presented); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		time.Sleep(time.Hour - time.Nanosecond)
		if got := who(secret.Reveal()); got != "token dashboard viewer" {
			t.Errorf("just before its end: %s", got)
		}
		time.Sleep(time.Nanosecond)
		if got := who(secret.Reveal()); got != access.ErrExpired.Error() {
			t.Errorf("at its end: %s", got)
		}
		if err := k.Revoke(t.Context(), other.ID); err != nil || who(renewed.Reveal()) != access.ErrUnknown.Error() {
			t.Errorf("revoked: %v, %s", err, who(renewed.Reveal()))
		}
	})
}

// What cannot be a token at all costs no look at the record.
func TestKeyring_AsksTheRecordOnlyForWhatMayBeAToken(t *testing.T) {
	t.Parallel()
	m := newMemory()
	k := newKeyring(m)
	_, secret, err := k.Issue(t.Context(), access.Root(), "a", access.Viewer, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	text := secret.Reveal()
	if !regexp.MustCompile(`^bb_admin_[a-z2-7]{58}$`).MatchString(text) {
		t.Errorf("secrets look otherwise than documented")
	}
	for i := range len(text) {
		// Any character mistyped.
		mistyped := text[:i] + string('a'+(text[i]-'a'+1+26)%26) + text[i+1:]
		if _, err := k.Authenticate(t.Context(), mistyped); !errors.Is(err, access.ErrUnknown) && i < len(text)-1 {
			t.Errorf("mistyped at %d: %v", i, err)
		}
	}
	if _, err := k.Authenticate(t.Context(), "the token of root"); err != nil {
		t.Error(err)
	}
	if m.asked > 1 { // the last character has bits that do not count
		t.Errorf("the record was asked %d times", m.asked)
	}
}

// The record being down is not the same as a wrong token, and root needs none.
func TestKeyring_WithoutTheRecord(t *testing.T) {
	t.Parallel()
	m := newMemory()
	k := newKeyring(m)
	_, secret, err := k.Issue(t.Context(), access.Root(), "a", access.Operator, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	down := errors.New("connection refused")
	m.fail(down)
	if _, err := k.Authenticate(t.Context(), secret.Reveal()); !errors.Is(err, down) || errors.Is(err, access.ErrUnknown) {
		t.Errorf("%v, want that the record is down", err)
	}
	if actor, err := k.Authenticate(t.Context(), "the token of root"); err != nil || actor != access.Root() {
		t.Errorf("root: %+v, %v", actor, err)
	}
}

// Those who guess take a bounded part of the database, also of one that hangs.
func TestKeyring_FewLookAtTheRecordAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		k := access.NewKeyring(access.KeyringConfig{Store: hanging{m}, Logger: silence})
		_, secret, err := k.Issue(t.Context(), access.Root(), "a", access.Viewer, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		start, failed := time.Now(), make(chan error)
		for range 20 {
			go func() { _, err := k.Authenticate(t.Context(), secret.Reveal()); failed <- err }()
		}
		synctest.Wait()
		if n := m.looked(); n != 4 {
			t.Errorf("%d look at the record at once, want 4", n)
		}
		for range 20 {
			if err := <-failed; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want that it took too long", err)
			}
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("they waited %s, want five seconds", took)
		}
	})
}

// hanging is a record that does not answer who asks for a token.
type hanging struct{ *memory }

func (h hanging) TokenOf(ctx context.Context, _ [sha256.Size]byte) (access.Token, error) {
	h.mu.Lock()
	h.asked++
	h.mu.Unlock()
	<-ctx.Done()
	return access.Token{}, ctx.Err()
}

func TestKeyring_RecordsUsesToTheMinuteAndInBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		k := newKeyring(m)
		stop := background(k.Run)
		made, secret, err := k.Issue(t.Context(), access.Root(), "a", access.Viewer, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		use := func() {
			if _, err := k.Authenticate(t.Context(), secret.Reveal()); err != nil {
				t.Error(err)
			}
		}
		lastUsed := func() time.Time { got, _ := m.Token(t.Context(), made.ID); return got.LastUsed }
		start := time.Now().UTC() // midnight
		time.Sleep(61 * time.Second)
		use()
		if !lastUsed().IsZero() {
			t.Error("a use was recorded while the request waited")
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := lastUsed(); !got.Equal(start.Add(time.Minute)) {
			t.Errorf("last used %s, want the minute of the use", got)
		}
		// A record that is down costs no use.
		time.Sleep(time.Minute)
		use()
		m.fail(errors.New("down"))
		time.Sleep(time.Minute)
		m.fail(nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := lastUsed(); !got.Equal(start.Add(2 * time.Minute)) {
			t.Errorf("last used %s, want what was kept while the record was down", got)
		}
		// Nor does the end.
		time.Sleep(time.Hour)
		use()
		stop()
		if got := lastUsed(); got.Before(start.Add(time.Hour)) {
			t.Errorf("last used %s, want the use before the end", got)
		}
	})
}

func TestSecret_RedactsItself(t *testing.T) {
	t.Parallel()
	_, secret, err := newKeyring(newMemory()).Issue(t.Context(), access.Root(), "a", access.Viewer, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("made", "secret", secret)
	raw, err := json.Marshal(map[string]any{"secret": secret})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(secret), fmt.Sprintf("%+v %#v %s %q", secret, secret, secret, secret), string(raw), logged.String()} {
		if strings.Contains(text, access.SecretPrefix) || !strings.Contains(text, "redacted") {
			t.Errorf("shown: %s", text)
		}
	}
}

func TestRoles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		role, least access.Role
		may         bool
	}{
		{access.Operator, access.Operator, true}, {access.Operator, access.Viewer, true}, {access.Operator, "", true},
		{access.Viewer, access.Viewer, true}, {access.Viewer, access.Operator, false}, {access.Viewer, "", false},
		{"", access.Viewer, false}, {"", "", false}, {"OPERATOR", access.Viewer, false},
	} {
		if c.role.Includes(c.least) != c.may {
			t.Errorf("role %q for what needs %q: %v", c.role, c.least, !c.may)
		}
	}
	for _, text := range []string{"", "Operator", "root", "admin"} {
		if r, err := access.ParseRole(text); err == nil {
			t.Errorf("%q is role %s", text, r)
		}
	}
}
