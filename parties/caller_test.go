package parties

import (
	"errors"
	"reflect"
	"testing"
	"time"

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

// A record that cannot be changed in time keeps no replaced token alive: the
// platform has proof that the new one works.
func TestC5_AReplacedTokenEndsAlsoWhenTheStoreIsDown(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMemory(), &wire{})
	p := at(t, "a", "NLAAA", 1)
	fresh, old := ocpi.NewCredentialsToken(), ocpi.NewCredentialsToken()
	p.Inbound = []InboundToken{
		{Hash: fresh.Hash(), Kind: TokenAccess},
		{Hash: old.Hash(), Kind: TokenRetiring, ExpiresAt: time.Now().Add(time.Hour)},
	}
	r.has(p)
	caller := func(token ocpi.CredentialsToken) (Caller, bool) {
		return r.directory.Snapshot().Authenticate(token.Authorization(ocpi.TokenBase64), time.Now())
	}
	if _, known := caller(old); !known {
		t.Error("the old token is dead before the new one is used")
	}
	r.store.down = errors.New("down")
	c, _ := caller(fresh)
	if err := r.registrar.TokenUsed(t.Context(), c); err == nil {
		t.Error("the store is down: this shows nothing")
	}
	if _, known := caller(old); known {
		t.Error("the old token lives though the new one was used")
	}
	r.store.down = nil
	if c, _ = caller(fresh); !c.SupersedesAnother() {
		t.Fatal("the record is not changed later on")
	}
	if err := r.registrar.TokenUsed(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if stored, err := r.store.Get(t.Context(), "a"); err != nil || len(stored.Inbound) != 1 {
		t.Errorf("the record holds %d tokens, %v, want the new one", len(stored.Inbound), err)
	}
}
