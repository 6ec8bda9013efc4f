package storagetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"busbar/access"
)

// adminToken is a token with every field set. Its secret is its id.
func adminToken(id, name string, created int) access.Token {
	return access.Token{
		ID: id, Name: name, Role: access.Operator, Hash: sha256.Sum256([]byte(id)), CreatedAt: at(created),
		CreatedBy: "root é", ExpiresAt: at(3600), LastUsed: at(60),
	}
}

// TestAdminTokens runs the conformance suite of access.TokenStore. open returns
// an empty store, as two replicas see it.
func TestAdminTokens(t *testing.T, open func(*testing.T) (a, b access.TokenStore)) {
	t.Helper()
	tests := map[string]func(t *testing.T, a, b access.TokenStore){
		"every field survives":                      everyAdminTokenField,
		"the oldest come first, page by page":       adminTokenPages,
		"a name is one token's":                     adminTokenNames,
		"of concurrent tokens with a name one wins": concurrentAdminTokens,
		"a renewed token has its new hash alone":    renewedAdminToken,
		"a deleted token is gone everywhere":        deletedAdminToken,
		"what is unknown is not found":              unknownAdminToken,
		"the last use is raised and never lowered":  usedAdminTokens,
		"a call that was given up finds no token":   adminTokensGivenUp,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := open(t)
			test(t, a, b)
		})
	}
}

func createTokens(t *testing.T, s access.TokenStore, list ...access.Token) {
	t.Helper()
	for _, token := range list {
		if err := s.CreateToken(t.Context(), token); err != nil {
			t.Fatalf("CreateToken %s: %v", token.ID, err)
		}
	}
}

// wantToken checks both ways to find a token.
func wantToken(t *testing.T, s access.TokenStore, want access.Token) {
	t.Helper()
	got, err := s.Token(t.Context(), want.ID)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Token %s: %v, differs (-want +got):\n%s", want.ID, err, diff)
	}
	got, err = s.TokenOf(t.Context(), want.Hash)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("TokenOf %s: %v, differs (-want +got):\n%s", want.ID, err, diff)
	}
}

func wantNoToken(t *testing.T, s access.TokenStore, id string, hash [sha256.Size]byte) {
	t.Helper()
	if _, err := s.Token(t.Context(), id); !errors.Is(err, access.ErrNotFound) {
		t.Errorf("Token %.40q: %v, want ErrNotFound", id, err)
	}
	if _, err := s.TokenOf(t.Context(), hash); !errors.Is(err, access.ErrNotFound) {
		t.Errorf("TokenOf the hash of %.40q: %v, want ErrNotFound", id, err)
	}
}

func everyAdminTokenField(t *testing.T, a, b access.TokenStore) {
	full := adminToken("full", "Prüf-Skript 'x' \"y\" ; --", 1)
	bare := access.Token{ID: "bare", Name: "bare", Role: access.Viewer, Hash: sha256.Sum256(nil), CreatedAt: at(2)}
	createTokens(t, a, full, bare)
	wantToken(t, b, full)
	wantToken(t, b, bare)
}

func adminTokenPages(t *testing.T, a, b access.TokenStore) {
	// In the order of creation, then of ids.
	want := []string{"z", "a", "b", "c", "d"}
	for i, created := range []int{1, 2, 2, 2, 3} {
		createTokens(t, a, adminToken(want[i], "token "+want[i], created))
	}
	for limit := 1; limit <= len(want)+1; limit++ {
		var got []string
		var after access.Token
		for {
			page, err := b.Tokens(t.Context(), after, limit)
			if err != nil || len(page) > limit {
				t.Fatalf("Tokens: %d of them, %v, want at most %d", len(page), err, limit)
			}
			if len(page) == 0 {
				break
			}
			for _, token := range page {
				got = append(got, token.ID)
			}
			after = page[len(page)-1]
		}
		if !slices.Equal(got, want) {
			t.Errorf("pages of %d: %v, want %v", limit, got, want)
		}
	}
}

func adminTokenNames(t *testing.T, a, b access.TokenStore) {
	first := adminToken("first", "deploy", 1)
	createTokens(t, a, first)
	if err := b.CreateToken(t.Context(), adminToken("second", "deploy", 2)); !errors.Is(err, access.ErrTaken) {
		t.Errorf("CreateToken with a taken name: %v, want ErrTaken", err)
	}
	createTokens(t, b, adminToken("other", "Deploy", 3))
	sameHash := adminToken("third", "another name", 4)
	sameHash.Hash = first.Hash
	if err := b.CreateToken(t.Context(), sameHash); err == nil || errors.Is(err, access.ErrTaken) {
		t.Errorf("CreateToken with a taken hash: %v, want an error without a name", err)
	}
	wantToken(t, a, first)
	if err := a.DeleteToken(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	createTokens(t, b, adminToken("second", "deploy", 2)) // the name is free again
}

func concurrentAdminTokens(t *testing.T, a, b access.TokenStore) {
	errs := make([]error, writers)
	together(writers, func(i int) {
		errs[i] = []access.TokenStore{a, b}[i%2].CreateToken(t.Context(), adminToken(fmt.Sprint("token ", i), "contended", i+1))
	})
	won := 0
	for i, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, access.ErrTaken) {
			t.Errorf("writer %d: %v", i, err)
		}
	}
	if won != 1 {
		t.Errorf("%d tokens of one name were created, want 1", won)
	}
}

func renewedAdminToken(t *testing.T, a, b access.TokenStore) {
	token, other := adminToken("token", "token", 1), adminToken("other", "other", 2)
	createTokens(t, a, token, other)
	before := token.Hash
	token.Hash = sha256.Sum256([]byte("fresh"))
	if err := a.RenewToken(t.Context(), token.ID, token.Hash); err != nil {
		t.Fatal(err)
	}
	wantToken(t, b, token)
	wantToken(t, b, other)
	wantNoToken(t, b, "nobody", before)
}

func deletedAdminToken(t *testing.T, a, b access.TokenStore) {
	token, other := adminToken("token", "token", 1), adminToken("other", "other", 2)
	createTokens(t, a, token, other)
	if err := a.DeleteToken(t.Context(), token.ID); err != nil {
		t.Fatal(err)
	}
	wantNoToken(t, b, token.ID, token.Hash)
	wantToken(t, b, other)
	if err := b.DeleteToken(t.Context(), token.ID); !errors.Is(err, access.ErrNotFound) {
		t.Errorf("DeleteToken again: %v, want ErrNotFound", err)
	}
	if err := b.RenewToken(t.Context(), token.ID, token.Hash); !errors.Is(err, access.ErrNotFound) {
		t.Errorf("RenewToken of a deleted token: %v, want ErrNotFound", err)
	}
}

func unknownAdminToken(t *testing.T, a, _ access.TokenStore) {
	createTokens(t, a, adminToken("known", "known", 1))
	for _, id := range []string{"", "unknown", "KNOWN", "known ", "know_", "%", "known\x00", "\xff", "' OR '1'='1"} {
		wantNoToken(t, a, id, sha256.Sum256([]byte(id)))
		if err := a.DeleteToken(t.Context(), id); !errors.Is(err, access.ErrNotFound) {
			t.Errorf("DeleteToken %q: %v, want ErrNotFound", id, err)
		}
	}
}

func usedAdminTokens(t *testing.T, a, b access.TokenStore) {
	never, before, after := adminToken("never", "never", 1), adminToken("before", "before", 2), adminToken("after", "after", 3)
	never.LastUsed, before.LastUsed, after.LastUsed = time.Time{}, at(60), at(600)
	createTokens(t, a, never, before, after)
	used := map[string]time.Time{"never": at(120), "before": at(120), "after": at(120), "gone": at(120)}
	if err := b.TokensUsed(t.Context(), used); err != nil {
		t.Fatal(err)
	}
	never.LastUsed, before.LastUsed = at(120), at(120)
	for _, want := range []access.Token{never, before, after} {
		wantToken(t, a, want)
	}
	if err := b.TokensUsed(t.Context(), nil); err != nil {
		t.Errorf("TokensUsed of none: %v", err)
	}
}

func adminTokensGivenUp(t *testing.T, a, _ access.TokenStore) {
	token := adminToken("there", "there", 1)
	createTokens(t, a, token)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.TokenOf(ctx, token.Hash); !errors.Is(err, context.Canceled) || errors.Is(err, access.ErrNotFound) {
		t.Errorf("TokenOf: %v, want Canceled", err)
	}
	if err := a.CreateToken(ctx, adminToken("late", "late", 2)); !errors.Is(err, context.Canceled) {
		t.Errorf("CreateToken: %v, want Canceled", err)
	}
	if err := a.DeleteToken(ctx, token.ID); !errors.Is(err, context.Canceled) {
		t.Errorf("DeleteToken: %v, want Canceled", err)
	}
	wantToken(t, a, token)
	wantNoToken(t, a, "late", sha256.Sum256([]byte("late")))
}
