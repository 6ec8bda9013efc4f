package parties

import (
	"reflect"
	"testing"

	"busbar/ocpi"
)

// Nothing that a caller's token could be compared with, character by character,
// is in memory: what is known of inbound tokens is their SHA-256, and found by it
// in a map. So no comparison can end early and tell by its time how much of a
// token was right.
func TestAuthentication_KnowsTokensByTheirHashAlone(t *testing.T) {
	t.Parallel()
	if got := reflect.TypeOf(Snapshot{}.byToken).Key(); got != reflect.TypeFor[ocpi.TokenHash]() {
		t.Errorf("tokens are found by %s", got)
	}
	for _, kept := range []reflect.Type{reflect.TypeFor[InboundToken](), reflect.TypeFor[inbound]()} {
		for i := range kept.NumField() {
			switch f := kept.Field(i); f.Type {
			case reflect.TypeFor[string](), reflect.TypeFor[[]byte](), reflect.TypeFor[ocpi.CredentialsToken]():
				t.Errorf("%s.%s may hold a token", kept, f.Name)
			}
		}
	}
	asked := 0
	if _, ok := ocpi.ReadAuthorization("Token c2VjcmV0", func(h ocpi.TokenHash) bool { asked++; return false }); ok || asked != 2 {
		t.Errorf("both readings of an unknown token are looked up: %d, %v", asked, ok)
	}
}
