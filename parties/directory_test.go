package parties

import (
	"fmt"
	"testing"
	"time"

	"busbar/ocpi"
	"busbar/ocpi/peer"
)

func directory() *Directory { return NewDirectory(peer.NewDialer(peer.DialerConfig{})) }

func key(t *testing.T, s string) ocpi.PartyKey {
	t.Helper()
	k, err := ocpi.ParseParty(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// at is a connected platform with one CPO party, as saved by a revision.
func at(t *testing.T, id PlatformID, party string, revision int64) Platform {
	t.Helper()
	return Platform{
		ID: id, Revision: revision, Status: ocpi.Connected, Version: ocpi.V221,
		Roles: []ocpi.CredentialsRole{{PartyRole: ocpi.PartyRole{Party: key(t, party), Role: ocpi.RoleCPO}}},
	}
}

// holds says what a directory has: its revision, and each platform's.
func holds(d *Directory) string {
	s := d.Snapshot()
	text := fmt.Sprint(s.Revision())
	for _, id := range []PlatformID{"a", "b", "c"} {
		if e := s.Platform(id); e != nil {
			text += fmt.Sprintf(" %s@%d", id, e.Platform.Revision)
		}
	}
	return text
}

func TestDirectory_FollowsTheRecord(t *testing.T) {
	t.Parallel()
	a := func(r int64) Platform { return at(t, "a", "NLAAA", r) }
	b := func(r int64) Platform { return at(t, "b", "NLBBB", r) }
	for _, test := range []struct {
		name string
		do   func(*Directory)
		want string
	}{
		{"changes in order", func(d *Directory) { d.Apply(a(1), 1); d.Apply(b(2), 2) }, "2 a@1 b@2"},
		{"its own change before another's news", func(d *Directory) { d.Apply(b(2), 2) }, "0 b@2"},
		{"the other's news afterwards", func(d *Directory) { d.Apply(b(2), 2); d.Apply(a(1), 1); d.Apply(b(2), 2) }, "2 a@1 b@2"},
		{"old news of a platform", func(d *Directory) { d.Apply(a(1), 1); d.Apply(a(3), 3); d.Apply(a(2), 2) }, "2 a@3"},
		{"news with a newer state", func(d *Directory) { d.Apply(a(5), 1) }, "1 a@5"},
		{"a deletion", func(d *Directory) { d.Apply(a(1), 1); d.Remove("a", 2) }, "2"},
		{"news from before a deletion", func(d *Directory) { d.Remove("a", 2); d.Apply(a(1), 1) }, "1"},
		{"everything read anew", func(d *Directory) { d.Apply(a(1), 1); d.Replace(Record{Platforms: []Platform{b(4)}, Revision: 4}) }, "4 b@4"},
		{"read anew, older than its own change", func(d *Directory) {
			d.Replace(Record{Platforms: []Platform{a(1)}, Revision: 1})
			d.Apply(a(3), 3)
			d.Replace(Record{Platforms: []Platform{a(1), b(2)}, Revision: 2})
		}, "2 a@3 b@2"},
		{"read anew, older than its own creation", func(d *Directory) { d.Apply(a(3), 3); d.Replace(Record{Platforms: []Platform{b(2)}, Revision: 2}) }, "2 a@3 b@2"},
		{"read anew, older than its own deletion", func(d *Directory) {
			d.Replace(Record{Platforms: []Platform{a(1)}, Revision: 1})
			d.Remove("a", 3)
			d.Replace(Record{Platforms: []Platform{a(1), b(2)}, Revision: 2})
		}, "2 b@2"},
		{"a slower reader", func(d *Directory) {
			d.Replace(Record{Platforms: []Platform{b(4)}, Revision: 4})
			d.Replace(Record{Platforms: []Platform{a(1)}, Revision: 1})
		}, "4 b@4"},
		{"a restored database", func(d *Directory) {
			d.Replace(Record{Platforms: []Platform{a(7), b(9)}, Revision: 9})
			d.Restart(Record{Platforms: []Platform{a(2)}, Revision: 2})
		}, "2 a@2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d := directory()
			test.do(d)
			if got := holds(d); got != test.want {
				t.Errorf("holds %s, want %s", got, test.want)
			}
		})
	}
}

func TestDirectory_ASnapshotDoesNotChange(t *testing.T) {
	t.Parallel()
	d := directory()
	d.Apply(at(t, "a", "NLAAA", 1), 1)
	before := d.Snapshot()
	d.Apply(at(t, "a", "NLXXX", 2), 2)
	d.Remove("a", 3)
	if e, _ := before.Find(key(t, "NLAAA"), "locations", ocpi.Sender); e == nil || before.Connects(key(t, "NLXXX")) {
		t.Error("the old snapshot was changed")
	}
	if d.Snapshot().Connects(key(t, "NLAAA")) || d.Snapshot().Connects(key(t, "NLXXX")) {
		t.Error("the new snapshot still has the party")
	}
}

func TestR8_FindPicksThePlatformByRoleAndEndpoint(t *testing.T) {
	t.Parallel()
	d := directory()
	add := func(id PlatformID, role ocpi.Role, endpoints ...string) {
		p := at(t, id, "NLDUO", 1)
		p.Roles[0].Role = role
		for _, module := range endpoints {
			for _, side := range []ocpi.InterfaceRole{ocpi.Sender, ocpi.Receiver} {
				p.Endpoints = append(p.Endpoints, ocpi.Endpoint{Identifier: ocpi.ModuleID(module), Role: side, URL: "https://" + string(id) + ".test/" + module})
			}
		}
		d.Apply(p, 1)
	}
	add("chargers", ocpi.RoleCPO, "locations", "sessions", "only-chargers")
	add("drivers", ocpi.RoleEMSP, "locations", "tokens", "only-drivers")
	for _, test := range []struct {
		module   ocpi.ModuleID
		side     ocpi.InterfaceRole
		want     PlatformID
		endpoint bool
	}{
		{"locations", ocpi.Sender, "chargers", true},
		{"locations", ocpi.Receiver, "drivers", true},
		{"sessions", ocpi.Sender, "chargers", true},
		{"sessions", ocpi.Receiver, "chargers", true}, // the eMSP side has no endpoint
		{"tokens", ocpi.Sender, "drivers", true},
		{"tokens", ocpi.Receiver, "drivers", true},
		{"only-drivers", ocpi.Sender, "drivers", true},
		{"only-chargers", ocpi.Receiver, "chargers", true},
		{"cdrs", ocpi.Receiver, "drivers", false},
	} {
		e, target := d.Snapshot().Find(key(t, "NLDUO"), test.module, test.side)
		if e == nil || e.Platform.ID != test.want || (target != nil) != test.endpoint {
			t.Errorf("%s %s: got %v, endpoint %v", test.module, test.side, e, target)
		}
	}
	if e, target := d.Snapshot().Find(key(t, "NLXXX"), "locations", ocpi.Sender); e != nil || target != nil {
		t.Error("found an unknown party")
	}
}

func TestCaller_WhatATokenOpens(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	registered := at(t, "a", "NLAAA", 1)
	planned := Platform{ID: "b", Revision: 1, Status: ocpi.Planned}
	held := at(t, "c", "NLCCC", 1)
	held.Held = true
	d := directory()
	tokens := map[string]ocpi.CredentialsToken{}
	give := func(p *Platform, name string, kind TokenKind, expires time.Time) {
		tokens[name] = ocpi.NewCredentialsToken()
		p.Inbound = append(p.Inbound, InboundToken{Hash: tokens[name].Hash(), Kind: kind, ExpiresAt: expires})
	}
	give(&registered, "access", TokenAccess, time.Time{})
	give(&registered, "retiring", TokenRetiring, now.Add(time.Minute))
	give(&registered, "retired", TokenRetiring, now)
	give(&registered, "offered again", TokenOffered, now.Add(time.Minute))
	give(&registered, "unconfirmed", TokenUnconfirmed, now.Add(time.Minute))
	give(&registered, "A again", TokenRegistration, time.Time{})
	give(&registered, "spent", TokenSpent, time.Time{})
	give(&planned, "A", TokenRegistration, time.Time{})
	give(&planned, "offered", TokenOffered, now.Add(time.Minute))
	give(&held, "held", TokenAccess, time.Time{})
	for _, p := range []Platform{registered, planned, held} {
		d.Apply(p, 1)
	}
	for name, want := range map[string]struct{ known, routes, exchanges, supersedes bool }{
		"access": {true, true, true, true}, "retiring": {true, true, true, false}, "retired": {},
		"offered again": {true, true, true, false}, "unconfirmed": {true, true, true, true}, "A again": {true, false, true, false}, "spent": {true, false, false, false},
		"A": {true, false, true, false}, "offered": {true, false, true, false}, "held": {},
	} {
		c, known := d.Snapshot().Authenticate(tokens[name].Authorization(ocpi.TokenBase64), now)
		got := struct{ known, routes, exchanges, supersedes bool }{known: known}
		if known {
			got.routes, got.exchanges, got.supersedes = c.MayRoute(), c.MayExchangeCredentials(), c.SupersedesAnother()
		}
		if got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}
