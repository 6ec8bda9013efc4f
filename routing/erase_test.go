package routing

import (
	"errors"
	"slices"
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

// Until what is forgotten has left the record, a question to it finds the lesson
// again: that must not bring it back for good.
func TestErase_WhatTheRecordStillHadDoesNotStay(t *testing.T) {
	t.Parallel()
	authorize := func(t *testing.T, to string) *ocpi.Request {
		return request(t, "NLCPA", to, "POST SENDER tokens /uid-1/authorize")
	}
	for name, forget := range map[string]func(*testing.T, *Index){
		"its issuer does not know it": func(t *testing.T, x *Index) { x.Unlearn(authorize(t, "DEMSP"), ocpi.UnknownToken) },
		"it was erased elsewhere": func(t *testing.T, x *Index) {
			x.forgetErased(&Erasure{Key: tokenKey(t)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRecord()
				x := taught(t, indexOn(t, r), tokenOfA)
				time.Sleep(time.Minute)
				forget(t, x)
				wantIssuers(t, x, "uid-1", "RFID")
				if !x.Fetch(t.Context(), authorize(t, "")) {
					t.Error("the record has lost it already: this shows nothing")
				}
				time.Sleep(2 * saveEvery)
				wantIssuers(t, x, "uid-1", "RFID")
			})
		})
	}
}

// Another replica forgets a token and tells so: what this one was just taught of it
// is not written any more when it hears why.
func TestErase_WhatWaitsIsNotWrittenThoughMemoryLostIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecord()
		x := taught(t, indexOn(t, r), tokenOfA, tokenOfB)
		x.hear([]LearnedLesson{dropOfA(t)})
		x.forgetErased(&Erasure{Key: tokenKey(t), Owner: party(t, "DEMSP")})
		time.Sleep(time.Minute)
		x.Fetch(t.Context(), request(t, "NLCPA", "", "POST SENDER tokens /uid-1/authorize"))
		wantIssuers(t, x, "uid-1", "RFID", "NLMSP")
	})
}

// What was learned before the erasure, and written behind it, is taken out again, too.
func TestErase_WhatIsWrittenBehindItDoesNotStay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRecord()
		a, b := indexOn(t, r), indexOn(t, r)
		taught(t, b, tokenOfA, tokenOfB)
		if n, err := a.Erase(t.Context(), "uid-1", party(t, "DEMSP")); n != 0 || err != nil {
			t.Errorf("Erase = %d, %v", n, err)
		}
		b.hear([]LearnedLesson{dropOfA(t)})
		time.Sleep(saveEvery)
		synctest.Wait()
		r.mu.Lock()
		written := len(r.lessons[tokenKey(t)])
		r.mu.Unlock()
		if written != 2 {
			t.Error("it is not written: this shows nothing")
		}
		time.Sleep(2*erasuresEvery + saveEvery)
		for name, x := range map[string]*Index{"there": b, "elsewhere": a} {
			x.Fetch(t.Context(), request(t, "NLCPA", "", "POST SENDER tokens /uid-1/authorize"))
			if got := x.Token("uid-1", "RFID"); !slices.Equal(got, []ocpi.PartyKey{party(t, "NLMSP")}) {
				t.Errorf("%s it is of %v", name, got)
			}
		}
	})
}

// A question that was asked before is answered after what was forgotten has left
// the record.
func TestErase_ALateAnswerBringsNothingBack(t *testing.T) {
	t.Parallel()
	for name, forget := range map[string]func(*testing.T, *Index){
		"erased":         func(t *testing.T, x *Index) { x.forgetErased(&Erasure{Key: tokenKey(t)}) },
		"told elsewhere": func(t *testing.T, x *Index) { x.hear([]LearnedLesson{dropOfA(t)}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRecord()
				taught(t, indexOn(t, r), tokenOfA, tokenOfB)
				time.Sleep(time.Minute)
				x := indexOn(t, r) // which has to ask
				r.answering = func() { forget(t, x) }
				x.Fetch(t.Context(), request(t, "NLCPA", "", "POST SENDER tokens /uid-1/authorize"))
				if got := x.Token("uid-1", "RFID"); slices.Contains(got, party(t, "DEMSP")) {
					t.Errorf("it is of %v", got)
				}
			})
		})
	}
}

func tokenKey(t *testing.T) LessonKey {
	t.Helper()
	key, ok := lessonKey(LessonToken, "uid-1", "RFID")
	if !ok {
		t.Fatal("no key")
	}
	return key
}

func dropOfA(t *testing.T) LearnedLesson {
	t.Helper()
	return LearnedLesson{Lesson{Key: tokenKey(t), Kind: LessonToken, Pair: Pair{Owner: party(t, "DEMSP")}}, LessonDropped}
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
