package parties

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"busbar/ocpi"
)

// agreed reads "NLCPA DEMSP: locations sessions"; * stands for every party, and
// no module for all.
func agreed(t *testing.T, s string) Agreement {
	t.Helper()
	pair, modules, _ := strings.Cut(s, ":")
	var a Agreement
	for i, party := range strings.Fields(pair) {
		if party != "*" {
			a.Parties[i] = key(t, party)
		}
	}
	for _, m := range strings.Fields(modules) {
		a.Modules = append(a.Modules, ocpi.ModuleID(m))
	}
	return a
}

func show(a Agreement) string {
	text := ""
	for _, party := range a.Parties {
		if party.IsZero() {
			text += "* "
		} else {
			text += party.String() + " "
		}
	}
	text = strings.TrimSpace(text)
	if len(a.Modules) > 0 {
		text += ":"
	}
	for _, m := range a.Modules {
		text += " " + string(m)
	}
	return text
}

func showAll(s *Snapshot) string {
	var texts []string
	for _, a := range s.Agreements() {
		texts = append(texts, show(a))
	}
	return strings.Join(texts, ", ")
}

func TestAgreement_IsKeptInOneWay(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ given, kept string }{
		{"DEMSP NLCPA", "DEMSP NLCPA"},
		{"NLCPA DEMSP", "DEMSP NLCPA"},
		{"NLCPA DEMSP: sessions locations sessions", "DEMSP NLCPA: locations sessions"},
		{"NLCPA DEMSP: Locations LOCATIONS", "DEMSP NLCPA: locations"},
		{"NLCPA *", "* NLCPA"},
		{"* *: Custom-1", "* *: Custom-1"},
	} {
		got, err := agreed(t, test.given).normal()
		if err != nil || show(got) != test.kept {
			t.Errorf("%s is kept as %s, %v, want %s", test.given, show(got), err, test.kept)
		}
	}
}

func TestAgreement_FaultsNameTheField(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMemory(), &wire{})
	for _, test := range []struct{ given, field, rule string }{
		{"NLCPA NLCPA", "parties", "NLCPA stands twice"},
		{"NLCPA DEMSP: loca/tions", "modules", "only letters"},
		{"NLCPA DEMSP: HubClientInfo", "modules", "hubclientinfo is between"},
		{"NLCPA DEMSP: credentials", "modules", "credentials is between"},
	} {
		_, err := r.registrar.Agree(t.Context(), agreed(t, test.given))
		var refused *AgreementError
		if !errors.As(err, &refused) || refused.Field != test.field || !strings.Contains(refused.Rule, test.rule) {
			t.Errorf("%s: %v, want %s: %s", test.given, err, test.field, test.rule)
		}
	}
	if r.store.revision != 0 {
		t.Error("a refused agreement was stored")
	}
}

func TestAgreements_WhatTheyPermit(t *testing.T) {
	t.Parallel()
	const (
		no      = 0
		some    = 1 // acquainted, but not for this module
		permits = 2
	)
	for _, test := range []struct {
		agreements string // comma-separated
		a, b       string
		want       int
	}{
		{"", "NLCPA", "DEMSP", no},
		{"", "NLCPA", "NLCPA", permits},
		{"", "EUBUS", "DEMSP", permits},
		{"NLCPA DEMSP", "NLCPA", "DEMSP", permits},
		{"NLCPA DEMSP: locations", "NLCPA", "DEMSP", permits},
		{"NLCPA DEMSP: sessions locations", "NLCPA", "DEMSP", permits},
		{"NLCPA DEMSP: sessions", "NLCPA", "DEMSP", some},
		{"NLCPA DEMSQ", "NLCPA", "DEMSP", no},
		{"NLCPA DEMSP: sessions, NLCPA *: locations", "NLCPA", "DEMSP", permits},
		{"NLCPA *", "NLCPA", "DEMSP", permits},
		{"* DEMSP: locations", "NLCPA", "DEMSP", permits},
		{"* DEMSP: sessions", "NLCPA", "DEMSP", some},
		{"* FROTH", "NLCPA", "DEMSP", no},
		{"* *", "NLCPA", "DEMSP", permits},
		{"* *: locations", "NLCPA", "DEMSP", permits},
		{"* *: cdrs", "NLCPA", "DEMSP", some},
	} {
		r := newReplica(t, newMemory(), &wire{})
		r.directory.RequireAgreements()
		for s := range strings.SplitSeq(test.agreements, ", ") {
			if s != "" {
				if _, err := r.registrar.Agree(t.Context(), agreed(t, s)); err != nil {
					t.Fatal(err)
				}
			}
		}
		s := r.directory.Snapshot()
		for _, pair := range [][2]string{{test.a, test.b}, {test.b, test.a}} {
			a, b := key(t, pair[0]), key(t, pair[1])
			got := no
			if s.Acquainted(a, b) {
				got = some
			}
			if s.Permits(a, b, ocpi.ModuleLocations) {
				got = permits
			}
			if got != test.want {
				t.Errorf("with %q, %s and %s: %d, want %d", test.agreements, a, b, got, test.want)
			}
		}
	}
}

func TestAgreements_OpenIsTheDefault(t *testing.T) {
	t.Parallel()
	d := directory()
	s := d.Snapshot()
	if d.AgreementsRequired() || !s.Permits(key(t, "NLCPA"), key(t, "DEMSP"), "locations") || !s.Acquainted(key(t, "NLCPA"), key(t, "DEMSP")) {
		t.Error("an open directory asks for an agreement")
	}
	d.RequireAgreements()
	if !d.AgreementsRequired() || d.Snapshot().Permits(key(t, "NLCPA"), key(t, "DEMSP"), "locations") {
		t.Error("a closed directory asks for none")
	}
	d.Replace(Record{Revision: 1})
	d.Apply(at(t, "a", "NLAAA", 2), 2)
	if !d.AgreementsRequired() {
		t.Error("a change opened the directory")
	}
}

func TestAgreements_PermitsDoesNotAllocate(t *testing.T) {
	a, b := key(t, "NLCPA"), key(t, "DEMSP")
	for _, closed := range []bool{false, true} {
		d := directory()
		if closed {
			d.RequireAgreements()
		}
		d.ApplyAgreements([]Agreement{agreed(t, "* *: cdrs locations")}, 1, 1)
		s := d.Snapshot()
		if n := testing.AllocsPerRun(100, func() { s.Permits(a, b, ocpi.ModuleLocations) }); n != 0 {
			t.Errorf("closed %v: %v allocations", closed, n)
		}
	}
}

func BenchmarkPermits(b *testing.B) {
	for _, closed := range []bool{false, true} {
		b.Run(fmt.Sprintf("closed=%v", closed), func(b *testing.B) {
			d := directory()
			if closed {
				d.RequireAgreements()
			}
			cpo, _ := ocpi.ParseParty("NLCPA")
			msp, _ := ocpi.ParseParty("DEMSP")
			d.ApplyAgreements([]Agreement{{Parties: [2]ocpi.PartyKey{msp, cpo}}}, 1, 1)
			s := d.Snapshot()
			for b.Loop() {
				s.Permits(cpo, msp, ocpi.ModuleLocations)
			}
		})
	}
}

func TestDirectory_AgreementsFollowTheRecord(t *testing.T) {
	t.Parallel()
	one, two := agreed(t, "* NLONE"), agreed(t, "* NLTWO")
	for _, test := range []struct {
		name string
		do   func(*Directory)
		want string
	}{
		{"changes in order", func(d *Directory) {
			d.ApplyAgreements([]Agreement{one}, 1, 1)
			d.ApplyAgreements([]Agreement{two, one}, 2, 2)
		}, "2 * NLONE, * NLTWO"},
		{"its own change before another's news", func(d *Directory) { d.ApplyAgreements([]Agreement{one, two}, 2, 2) }, "0 * NLONE, * NLTWO"},
		{"older ones afterwards", func(d *Directory) {
			d.ApplyAgreements([]Agreement{one, two}, 2, 2)
			d.ApplyAgreements([]Agreement{one}, 1, 1)
		}, "1 * NLONE, * NLTWO"},
		{"read later than the change", func(d *Directory) { d.ApplyAgreements([]Agreement{one, two}, 5, 1) }, "1 * NLONE, * NLTWO"},
		{"everything read anew", func(d *Directory) {
			d.ApplyAgreements([]Agreement{one}, 1, 1)
			d.Replace(Record{Agreements: []Agreement{two}, Revision: 4})
		}, "4 * NLTWO"},
		{"read anew, older than its own change", func(d *Directory) {
			d.ApplyAgreements([]Agreement{one, two}, 3, 3)
			d.Replace(Record{Agreements: []Agreement{one}, Revision: 2})
		}, "2 * NLONE, * NLTWO"},
		{"a platform's change", func(d *Directory) {
			d.ApplyAgreements([]Agreement{one}, 1, 1)
			d.Apply(at(t, "a", "NLAAA", 2), 2)
			d.Remove("a", 3)
		}, "3 * NLONE"},
		{"a restored database", func(d *Directory) {
			d.ApplyAgreements([]Agreement{one, two}, 9, 9)
			d.Restart(Record{Agreements: []Agreement{one}, Revision: 2})
			d.ApplyAgreements([]Agreement{two}, 3, 3)
		}, "3 * NLTWO"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := directory()
			test.do(d)
			if got := fmt.Sprint(d.Snapshot().Revision()) + " " + showAll(d.Snapshot()); got != test.want {
				t.Errorf("holds %s, want %s", got, test.want)
			}
		})
	}
}

// On another replica an agreement binds at once when news travels, and within a
// comparison when it does not.
func TestReplicas_AnAgreementBindsOnTheOther(t *testing.T) {
	for _, news := range []bool{true, false} {
		t.Run(fmt.Sprintf("news=%v", news), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, cache, deaf := newMemory(), &wire{}, &wire{}
				a := newReplica(t, store, cache)
				if news {
					deaf = cache
				}
				b := newReplica(t, store, deaf)
				b.directory.RequireAgreements()
				go b.follower.Run(t.Context())
				synctest.Wait()
				await := func(want bool) {
					t.Helper()
					if !news {
						time.Sleep(compareEvery)
					}
					synctest.Wait()
					if got := b.directory.Snapshot().Permits(key(t, "NLCPA"), key(t, "DEMSP"), "locations"); got != want {
						t.Errorf("the other replica permits: %v, want %v", got, want)
					}
				}
				if _, err := a.registrar.Agree(t.Context(), agreed(t, "NLCPA DEMSP")); err != nil {
					t.Fatal(err)
				}
				await(true)
				if err := a.registrar.Disagree(t.Context(), agreed(t, "NLCPA DEMSP").Parties); err != nil {
					t.Fatal(err)
				}
				await(false)
				if err := a.registrar.Disagree(t.Context(), agreed(t, "NLCPA DEMSP").Parties); !errors.Is(err, ErrNoAgreement) {
					t.Errorf("Disagree again: %v, want ErrNoAgreement", err)
				}
				if news && store.read > 0 {
					t.Errorf("everything was read %d times for a change of agreements", store.read)
				}
			})
		})
	}
}

func TestReplicas_ACopyOfALostFutureIsForgotten(t *testing.T) {
	t.Parallel()
	cache := &wire{}
	r := newReplica(t, newMemory(), cache)
	r.has(at(t, "a", "NLAAA", 0))
	r.has(at(t, "b", "NLBBB", 0))
	r.store.mu.Lock()
	delete(r.store.platforms, "b") // a backup from before b
	r.store.revision = 1
	r.store.mu.Unlock()
	if err := r.follower.compare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := holds(r.directory); got != "1 a@1" || len(cache.forgot) != 1 || cache.forgot[0] != 1 {
		t.Errorf("the directory holds %s, the cache forgot beyond %v", got, cache.forgot)
	}
}

func TestFollower_WhatCouldNotBeWrittenIsWrittenLater(t *testing.T) {
	t.Parallel()
	r := newReplica(t, newMemory(), &wire{})
	r.has(at(t, "a", "NLAAA", 0))
	called := time.Now()
	r.directory.Snapshot().Platform("a").Seen(called)
	r.store.mu.Lock()
	r.store.refuseSeen = errors.New("deadlock detected")
	r.store.mu.Unlock()
	r.follower.flush(t.Context())
	r.store.mu.Lock()
	r.store.refuseSeen = nil
	r.store.mu.Unlock()
	r.follower.flush(t.Context()) // it has not called since
	if p, err := r.store.Get(t.Context(), "a"); err != nil || !p.LastSeen.Equal(called.Truncate(time.Microsecond)) {
		t.Errorf("the record has %v, %v, want %v", p.LastSeen, err, called)
	}
	r.directory.Remove("a", 2)
	r.has(at(t, "b", "NLBBB", 0))
	r.directory.Snapshot().Platform("b").Seen(called)
	r.directory.Remove("a", 3)
	if r.follower.flush(t.Context()); len(r.follower.flushed) != 1 {
		t.Errorf("%d platforms are remembered, want b alone", len(r.follower.flushed))
	}
}

func TestFollower_ManyAgreementsAreReadOnce(t *testing.T) {
	t.Parallel()
	store := newMemory()
	r, other := newReplica(t, store, &wire{}), newReplica(t, store, &wire{})
	for i := range 5 {
		if _, err := other.registrar.Agree(t.Context(), agreed(t, fmt.Sprintf("* NL%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	for revision := range int64(5) {
		if err := r.follower.follow(t.Context(), Change{Revision: revision + 1, Agreements: true}); err != nil {
			t.Fatal(err)
		}
	}
	if s := r.directory.Snapshot(); s.Revision() != 5 || len(s.Agreements()) != 5 || store.lists != 1 {
		t.Errorf("revision %d, %d agreements, read %d times", s.Revision(), len(s.Agreements()), store.lists)
	}
	// News that the record does not know of, which was set back, are no news.
	if err := r.follower.follow(t.Context(), Change{Revision: 6, Agreements: true}); err != nil {
		t.Fatal(err)
	}
	if got := r.directory.Snapshot().Revision(); got != 5 {
		t.Errorf("at revision %d, ahead of the record's 5", got)
	}
}
