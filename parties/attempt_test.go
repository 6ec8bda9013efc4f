package parties

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"busbar/ocpi"
)

// What cannot be taken note of is not done: after Attempt fails the platform is
// as it was.
func TestAttempt_NothingIsChangedAfterItFails(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMemory(), &wire{})
	token, record := mint(TokenAccess, noExpiry)
	p := member(t, "cpo", "NLCPA CPO")
	p.Inbound = []InboundToken{record}
	r.has(p)
	before, err := r.store.Get(t.Context(), p.ID)
	if err != nil {
		t.Fatal(err)
	}
	caller, ok := r.directory.Snapshot().Authenticate(token.Authorization(ocpi.TokenBase64), r.registrar.now())
	if !ok {
		t.Fatal("the token opens nothing")
	}
	full := errors.New("the disk is full")
	caller.Attempt = func(context.Context) error { return full }
	if err := r.registrar.End(t.Context(), caller); !errors.Is(err, full) {
		t.Errorf("End: %v", err)
	}
	after, err := r.store.Get(t.Context(), p.ID)
	if err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("%v: it was\n%+v\nand is\n%+v", err, before, after)
	}
}
