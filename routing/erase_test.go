package routing

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"busbar/ocpi"
)

// indexOn is an index that runs until the test ends.
func indexOn(t *testing.T, store LessonStore) *Index {
	t.Helper()
	x := NewIndex(IndexConfig{Store: store})
	t.Cleanup(running(t, x))
	return x
}

const (
	tokenOfA     = "DEMSP NLCPA PUT RECEIVER tokens /DE/MSP/uid-1 {}"
	appTokenOfA  = "DEMSP NLCPA PUT RECEIVER tokens /DE/MSP/UID-1?type=APP_USER {}"
	tokenOfB     = "NLMSP NLCPA PUT RECEIVER tokens /NL/MSP/uid-1 {}"
	anotherToken = "DEMSP NLCPA PUT RECEIVER tokens /DE/MSP/uid-2 {}"
)

func wantIssuers(t *testing.T, x *Index, uid, tokenType string, want ...string) {
	t.Helper()
	got := x.Token(uid, tokenType)
	if len(got) != len(want) {
		t.Fatalf("%s %s is of %v, want %v", tokenType, uid, got, want)
	}
	for i := range want {
		if got[i] != party(t, want[i]) {
			t.Errorf("%s %s is of %v, want %v", tokenType, uid, got, want)
		}
	}
}

func TestErase_WhatIsKnownOfATokenIsForgottenInMemoryAndRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecord()
		x := taught(t, indexOn(t, r), tokenOfA, appTokenOfA, tokenOfB, anotherToken)
		time.Sleep(time.Minute) // saved, on the bubble's clock
		n, err := x.Erase(t.Context(), "Uid-1", ocpi.PartyKey{})
		if n != 3 || err != nil {
			t.Errorf("Erase = %d, %v, want 3 lessons", n, err)
		}
		time.Sleep(time.Minute)
		wantIssuers(t, x, "uid-1", "RFID")
		wantIssuers(t, x, "uid-1", "APP_USER")
		wantIssuers(t, x, "uid-2", "RFID", "DEMSP")
		if r.size() != 1 {
			t.Errorf("%d keys are left in the record", r.size())
		}
		// The next message teaches again.
		taught(t, x, tokenOfA)
		time.Sleep(time.Minute)
		wantIssuers(t, x, "uid-1", "RFID", "DEMSP")
		if r.size() != 2 {
			t.Errorf("%d keys are in the record", r.size())
		}
	})
}

func TestErase_WithAnOwnerLeavesTheTokensOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := taught(t, indexOn(t, newRecord()), tokenOfA, tokenOfB)
		time.Sleep(time.Minute)
		n, err := x.Erase(t.Context(), "uid-1", party(t, "DEMSP"))
		if n != 1 || err != nil {
			t.Errorf("Erase = %d, %v", n, err)
		}
		wantIssuers(t, x, "uid-1", "RFID", "NLMSP")
	})
}

func TestErase_WhatWaitsToBeWrittenIsNotWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecord()
		x := taught(t, indexOn(t, r), tokenOfA)
		if n, err := x.Erase(t.Context(), "uid-1", ocpi.PartyKey{}); n != 1 || err != nil {
			t.Errorf("Erase = %d, %v", n, err)
		}
		time.Sleep(time.Minute)
		if r.size() != 0 {
			t.Error("it was written after it was erased")
		}
	})
}

// What another replica writes after the erasure, since it had not heard of it, is
// forgotten, and not kept by whoever reads it in the record in that moment.
func TestErase_WhatAnotherReplicaStillWritesIsForgottenToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecord()
		a, b := indexOn(t, r), indexOn(t, r)
		taught(t, b, tokenOfA) // written in a moment
		if _, err := a.Erase(t.Context(), "uid-1", ocpi.PartyKey{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(erasuresEvery + saveEvery/2)
		wantIssuers(t, b, "uid-1", "RFID")
		b.Fetch(t.Context(), request(t, "DECPO", "", "POST SENDER tokens /uid-1/authorize"))
		wantIssuers(t, b, "uid-1", "RFID", "DEMSP") // else this shows nothing
		time.Sleep(saveEvery)
		wantIssuers(t, b, "uid-1", "RFID")
		if r.size() != 0 {
			t.Error("it is left in the record")
		}
	})
}

func TestErase_OtherReplicasForgetWithinSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecord()
		a, b := indexOn(t, r), indexOn(t, r)
		taught(t, a, tokenOfA)
		taught(t, b, tokenOfA, anotherToken)
		time.Sleep(time.Minute)
		if _, err := a.Erase(t.Context(), "uid-1", ocpi.PartyKey{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2*erasuresEvery + time.Second)
		wantIssuers(t, b, "uid-1", "RFID")
		wantIssuers(t, b, "uid-2", "RFID", "DEMSP")
		// It is heard once: what is learned afterwards stays.
		taught(t, b, tokenOfA)
		time.Sleep(time.Hour)
		wantIssuers(t, b, "uid-1", "RFID", "DEMSP")
		if r.size() != 2 {
			t.Errorf("%d keys are in the record", r.size())
		}
	})
}

func TestErase_AReplicaThatWasAwayTooLongForgetsAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecord()
		x := taught(t, indexOn(t, r), tokenOfA)
		time.Sleep(time.Minute)
		r.fail(errors.New("the record is down"))
		time.Sleep(ErasureLife)
		wantIssuers(t, x, "uid-1", "RFID", "DEMSP")
		r.fail(nil)
		time.Sleep(time.Minute)
		wantIssuers(t, x, "uid-1", "RFID")
	})
}

func TestErase_ARecordThatFailsIsAnError(t *testing.T) {
	t.Parallel()
	r := newRecord()
	r.fail(errors.New("the record is down"))
	if _, err := NewIndex(IndexConfig{Store: r}).Erase(t.Context(), "uid-1", ocpi.PartyKey{}); err == nil {
		t.Error("nothing was said")
	}
}
