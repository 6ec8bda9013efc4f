package seal_test

import (
	"errors"
	"strings"
	"testing"

	"busbar/storage/seal"
)

const (
	first  = "first-secret-first-secret-first-secret"
	second = "second-secret-second-secret-second-secret"
)

func TestAValueOpensOnlyWhereItWasSealed(t *testing.T) {
	t.Parallel()
	sealed := sealIt(t, sealer(t, first))
	tests := map[string]struct {
		open           *seal.Sealer
		sealed         string
		purpose, owner string
		want           error
	}{
		"the same place":           {sealer(t, first), sealed, seal.OutboundToken, "p1", nil},
		"another replica, rotated": {sealer(t, second, first), sealed, seal.OutboundToken, "p1", nil},
		"space around the secret":  {sealer(t, " "+first+"\n"), sealed, seal.OutboundToken, "p1", nil},
		"another owner":            {sealer(t, first), sealed, seal.OutboundToken, "p2", seal.ErrDamaged},
		"another purpose":          {sealer(t, first), sealed, seal.Cursor, "p1", seal.ErrDamaged},
		"an unknown key":           {sealer(t, second), sealed, seal.OutboundToken, "p1", seal.ErrUnknownKey},
		"a changed value":          {sealer(t, first), flip(sealed), seal.OutboundToken, "p1", seal.ErrDamaged},
		"no base64":                {sealer(t, first), "%", seal.OutboundToken, "p1", seal.ErrDamaged},
		"nothing":                  {sealer(t, first), "", seal.OutboundToken, "p1", seal.ErrUnknownKey},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plain, err := test.open.Open(test.sealed, test.purpose, test.owner)
			if !errors.Is(err, test.want) {
				t.Fatalf("Open: error %v, want %v", err, test.want)
			}
			if err == nil && plain != "hunter2" {
				t.Errorf("Open = %q", plain)
			}
		})
	}
}

func TestSealingTwiceDiffersAndHidesThePlainText(t *testing.T) {
	t.Parallel()
	s := sealer(t, first)
	a, b := sealIt(t, s), sealIt(t, s)
	if a == b {
		t.Error("two seals of one value are equal")
	}
	if strings.Contains(a, "hunter2") {
		t.Errorf("the plain text stands in %q", a)
	}
}

func TestCurrentIsWhatTheFirstKeySealed(t *testing.T) {
	t.Parallel()
	old := sealIt(t, sealer(t, first))
	rotated := sealer(t, second, first)
	if rotated.Current(old) {
		t.Error("a value of the second key is current")
	}
	if !rotated.Current(sealIt(t, rotated)) {
		t.Error("a value of the first key is not current")
	}
	if rotated.Current("") {
		t.Error("nothing is current")
	}
}

func TestAWeakSecretIsRefusedByPosition(t *testing.T) {
	t.Parallel()
	short := "too-short-a-secret"
	tests := map[string]struct {
		secrets []string
		want    string
	}{
		"none":         {nil, "no secret to seal with"},
		"one short":    {[]string{short}, "secret 1: must have at least 32 characters, has 18"},
		"second short": {[]string{first, short}, "secret 2: must have at least 32 characters, has 18"},
		"padded":       {[]string{strings.Repeat(" ", 40)}, "secret 1: must have at least 32 characters, has 0"},
		"same twice":   {[]string{first, second, first}, "secret 3: is the same as secret 1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := seal.New(test.secrets)
			if err == nil || err.Error() != test.want {
				t.Errorf("New: %v, want %s", err, test.want)
			}
		})
	}
}

// A changed derivation would lock every hub out of its own database.
func TestAValueOfThePastStillOpens(t *testing.T) {
	t.Parallel()
	plain, err := sealer(t, first).Open(sealedInThePast, seal.OutboundToken, "p1")
	if err != nil || plain != "hunter2" {
		t.Errorf("Open = %q, %v", plain, err)
	}
}

func sealer(t *testing.T, secrets ...string) *seal.Sealer {
	t.Helper()
	s, err := seal.New(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sealIt(t *testing.T, s *seal.Sealer) string {
	t.Helper()
	sealed, err := s.Seal("hunter2", seal.OutboundToken, "p1")
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// flip changes a character in the middle, where every bit counts.
func flip(sealed string) string {
	b := []byte(sealed)
	if b[20] == 'A' {
		b[20] = 'B'
	} else {
		b[20] = 'A'
	}
	return string(b)
}

const sealedInThePast = "ASKP3kst9t+s45J9Xx5vDOTtkDOykCSpzIuY5XFbFY+VW8cin/gIlg"
