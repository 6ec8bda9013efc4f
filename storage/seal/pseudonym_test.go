package seal_test

import (
	"regexp"
	"slices"
	"testing"

	"busbar/storage/seal"
)

func pseudonyms(t testing.TB, secrets ...string) *seal.Pseudonyms {
	t.Helper()
	p, err := seal.NewPseudonyms(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAPseudonymIsTheSameOnEveryReplicaAndAnotherUnderAnotherSecret(t *testing.T) {
	t.Parallel()
	p := pseudonyms(t, first)
	name := p.Token("012345678")
	if !regexp.MustCompile(`^~[a-z2-7]{10}$`).MatchString(name) {
		t.Errorf("Token = %q", name)
	}
	tests := map[string]struct {
		name string
		same bool
	}{
		"another replica":               {pseudonyms(t, first).Token("012345678"), true},
		"space around the secret":       {pseudonyms(t, " "+first+"\n").Token("012345678"), true},
		"another token":                 {p.Token("012345679"), false},
		"another secret":                {pseudonyms(t, second).Token("012345678"), false},
		"the secret is the second now":  {pseudonyms(t, second, first).Token("012345678"), false},
		"another purpose":               {p.Of(seal.Lesson, "012345678").String(), false},
		"the purpose's end in the text": {p.Of("token", "uid/012345678").String(), false},
	}
	for what, test := range tests {
		if (test.name == name) != test.same {
			t.Errorf("%s: %s beside %s, want same %v", what, test.name, name, test.same)
		}
	}
	if a, b := p.Token("aBcDe"), p.Token("AbCdE"); a != b {
		t.Errorf("F3: case makes two pseudonyms, %s and %s", a, b)
	}
}

func TestAPseudonymOfAnOldSecretIsStillFound(t *testing.T) {
	t.Parallel()
	old := pseudonyms(t, first).Token("uid")
	rotated := pseudonyms(t, second, first)
	if got := rotated.Tokens("uid"); !slices.Equal(got, []string{rotated.Token("uid"), old}) {
		t.Errorf("Tokens = %q, want the new one and %s", got, old)
	}
}

// Another derivation would let nobody find again what was kept before.
func TestAPseudonymOfThePastIsStillTheSame(t *testing.T) {
	t.Parallel()
	if got := pseudonyms(t, first).Token("012345678"); got != "~6ulhqmdvzi" {
		t.Errorf("Token = %s", got)
	}
}

func TestPseudonymsNeedAStrongSecret(t *testing.T) {
	t.Parallel()
	if _, err := seal.NewPseudonyms([]string{"short"}); err == nil {
		t.Error("a weak secret is taken")
	}
}

func BenchmarkPseudonym(b *testing.B) {
	p := pseudonyms(b, first)
	b.ReportAllocs()
	for b.Loop() {
		p.Token("012345678")
	}
}
