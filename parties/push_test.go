package parties

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"busbar/ocpi"
)

// monitored is a replica with a Monitor that takes note of what it would send.
type monitored struct {
	*replica
	monitor *Monitor

	mu     sync.Mutex
	pushes []string
	backs  []string
}

func newMonitored(t *testing.T, store *memory, interval time.Duration) *monitored {
	t.Helper()
	m := &monitored{replica: newReplica(t, store, &wire{})}
	m.monitor = NewMonitor(MonitorConfig{
		Directory: m.directory, Registrar: m.registrar, Store: store, Logger: discard, Interval: interval,
		Push: func(to *Entry, info ocpi.ClientInfo) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.pushes = append(m.pushes, fmt.Sprintf("%s: %s%s %s %s", to.Platform.ID, info.CountryCode, info.PartyID, info.Role, info.Status))
		},
		Back: func(id PlatformID, since time.Time) {
			m.mu.Lock()
			defer m.mu.Unlock()
			text := string(id)
			if !since.IsZero() {
				text += " " + time.Since(since).String()
			}
			m.backs = append(m.backs, text)
		},
	})
	return m
}

// pushed are the pushes since the last call, in order of their text.
func (m *monitored) pushed() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.Sort(m.pushes)
	text := strings.Join(m.pushes, ", ")
	m.pushes = nil
	return text
}

// cameBack are the platforms that were told of since the last call.
func (m *monitored) cameBack() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := strings.Join(m.backs, ", ")
	m.backs = nil
	return text
}

func (m *monitored) wantPushed(when, want string) {
	m.Helper()
	if got := m.pushed(); got != want {
		m.Errorf("%s pushes %q, want %q", when, got, want)
	}
}

// member is a connected platform with roles like "NLCPA CPO" that takes
// ClientInfos.
func member(t *testing.T, id PlatformID, roles ...string) Platform {
	t.Helper()
	p := Platform{
		ID: id, Status: ocpi.Connected, Version: ocpi.V221, VersionsURL: "https://" + string(id) + ".test/versions",
		Endpoints: []ocpi.Endpoint{{Identifier: ocpi.ModuleHubClientInfo, Role: ocpi.Receiver, URL: "https://" + string(id) + ".test/info"}},
	}
	for _, role := range partyRoles(t, roles...) {
		p.Roles = append(p.Roles, ocpi.CredentialsRole{PartyRole: role})
	}
	return p
}

func partyRoles(t *testing.T, list ...string) []ocpi.PartyRole {
	t.Helper()
	var prs []ocpi.PartyRole
	for _, s := range list {
		party, role, _ := strings.Cut(s, " ")
		prs = append(prs, ocpi.PartyRole{Party: key(t, party), Role: ocpi.Role(role)})
	}
	return prs
}

// set changes a platform as a handshake or an operator would.
func (m *monitored) set(id PlatformID, change func(*Platform)) {
	m.Helper()
	if _, err := m.registrar.update(m.Context(), id, func(p *Platform) error { change(p); return nil }); err != nil {
		m.Fatal(err)
	}
}

func TestO4_EveryChangeIsPushed(t *testing.T) {
	t.Parallel()
	m := newMonitored(t, newMemory(), 0)
	m.has(member(t, "own", "NLCPA CPO", "NLCPA NSP"))
	m.has(member(t, "msp", "DEMSP EMSP"))
	deaf := member(t, "deaf", "FRDEA EMSP")
	deaf.Endpoints = nil
	m.has(deaf)
	gone := member(t, "gone", "BEOFF EMSP")
	gone.Status = ocpi.Offline
	m.has(gone)
	status := func(s ocpi.ConnectionStatus) func(*Platform) {
		return func(p *Platform) { p.setStatus(s, m.registrar.now()) }
	}

	m.set("own", status(ocpi.Offline))
	m.wantPushed("an outage", "msp: NLCPA CPO OFFLINE, msp: NLCPA NSP OFFLINE")
	m.set("own", status(ocpi.Connected))
	m.wantPushed("its end", "msp: NLCPA CPO CONNECTED, msp: NLCPA NSP CONNECTED")
	m.set("own", func(p *Platform) { p.Name = "renamed" })
	m.wantPushed("what nobody sees", "")
	m.set("own", func(p *Platform) { p.Roles = p.Roles[:1] })
	m.wantPushed("a role that is given up", "msp: NLCPA NSP SUSPENDED")
	m.set("own", func(p *Platform) {
		p.Roles = append(p.Roles, ocpi.CredentialsRole{PartyRole: partyRoles(t, "NLNEW CPO")[0]})
	})
	m.wantPushed("a new role", "msp: NLNEW CPO CONNECTED")

	p, _, err := m.registrar.Enrol(t.Context(), Enrolment{Approved: partyRoles(t, "SEPLA CPO")})
	if err != nil {
		t.Fatal(err)
	}
	m.wantPushed("an enrolment", "msp: SEPLA CPO PLANNED, own: SEPLA CPO PLANNED")
	approved := partyRoles(t, "SEPLB CPO")
	if _, err := m.registrar.Amend(t.Context(), p.ID, Amendment{Approved: &approved}); err != nil {
		t.Fatal(err)
	}
	m.wantPushed("another approval", "msp: SEPLA CPO SUSPENDED, msp: SEPLB CPO PLANNED, own: SEPLA CPO SUSPENDED, own: SEPLB CPO PLANNED")
	if err := m.registrar.Delete(t.Context(), p.ID); err != nil {
		t.Fatal(err)
	}
	m.wantPushed("a deletion", "msp: SEPLB CPO SUSPENDED, own: SEPLB CPO SUSPENDED")

	if _, err := m.registrar.Suspend(t.Context(), "msp"); err != nil {
		t.Fatal(err)
	}
	m.wantPushed("a suspension", "own: DEMSP EMSP SUSPENDED")
	m.set("own", status(ocpi.Offline))
	m.wantPushed("an outage while the other is suspended", "")
}

func TestO4_WhatIsPushedIsHowThingsStand(t *testing.T) {
	t.Parallel()
	m := newMonitored(t, newMemory(), 0)
	m.has(member(t, "own", "NLCPA CPO"))
	m.has(member(t, "msp", "DEMSP EMSP"))
	connected := m.directory.Snapshot().Platform("own").Platform
	offline := connected
	offline.Status = ocpi.Offline
	m.set("own", func(p *Platform) { p.setStatus(ocpi.Offline, m.registrar.now()) })
	m.pushed()
	// The news of an older change comes last.
	m.monitor.platformChanged(&offline, &connected)
	m.wantPushed("news that was overtaken", "msp: NLCPA CPO OFFLINE")
	// A party that changed its platform is not gone.
	m.monitor.platformChanged(new(member(t, "before", "NLCPA CPO")), nil)
	m.wantPushed("the end of a platform whose party lives on", "msp: NLCPA CPO OFFLINE")
}

func TestO4_LastUpdatedIsWhenItChanged(t *testing.T) {
	t.Parallel()
	m := newMonitored(t, newMemory(), 0)
	m.has(member(t, "own", "NLCPA CPO"))
	m.has(member(t, "msp", "DEMSP EMSP"))
	poll := func() []ocpi.ClientInfo {
		infos, total := m.directory.Snapshot().ClientInfos(m.directory.Snapshot().Platform("msp"), ocpi.Paging{Limit: 100, From: time.Unix(1, 0)})
		if total != len(infos) {
			t.Errorf("%d of %d", len(infos), total)
		}
		return infos
	}
	if infos := poll(); len(infos) != 0 {
		t.Errorf("a poller finds %v before anything changed", infos)
	}
	var pushed ocpi.ClientInfo
	m.monitor.cfg.Push = func(_ *Entry, info ocpi.ClientInfo) { pushed = info }
	m.set("own", func(p *Platform) {
		p.Roles = append(p.Roles, ocpi.CredentialsRole{PartyRole: partyRoles(t, "NLNEW CPO")[0]})
	})
	if infos := poll(); len(infos) != 2 || infos[1] != pushed || pushed.PartyID != "NEW" {
		t.Errorf("a poller finds %v, pushed was %v", infos, pushed)
	}
}

func TestO4_ClosedAgreementsHideStrangers(t *testing.T) {
	t.Parallel()
	m := newMonitored(t, newMemory(), 0)
	m.directory.RequireAgreements()
	m.has(member(t, "own", "NLCPA CPO", "NLCPB CPO"))
	m.has(member(t, "msp", "DEMSP EMSP"))
	m.has(member(t, "roth", "FROTH EMSP"))
	agree := func(s string) {
		t.Helper()
		if _, err := m.registrar.Agree(t.Context(), agreed(t, s)); err != nil {
			t.Fatal(err)
		}
	}
	disagree := func(s string) {
		t.Helper()
		if err := m.registrar.Disagree(t.Context(), agreed(t, s).Parties); err != nil {
			t.Fatal(err)
		}
	}
	listed := func(who PlatformID, want string) {
		t.Helper()
		s := m.directory.Snapshot()
		infos, total := s.ClientInfos(s.Platform(who), ocpi.Paging{Limit: 100})
		var got []string
		for _, info := range infos {
			got = append(got, info.CountryCode+info.PartyID)
		}
		if strings.Join(got, " ") != want || total != len(got) {
			t.Errorf("%s is shown %v of %d, want %s", who, got, total, want)
		}
	}
	toggle := func() {
		m.set("own", func(p *Platform) {
			s := ocpi.Offline
			if p.Status == s {
				s = ocpi.Connected
			}
			p.setStatus(s, m.registrar.now())
		})
	}

	listed("msp", "")
	toggle()
	toggle()
	m.wantPushed("an outage without an agreement", "")

	agree("NLCPA DEMSP: sessions")
	m.wantPushed("an agreement", "msp: NLCPA CPO CONNECTED, own: DEMSP EMSP CONNECTED")
	listed("msp", "NLCPA")
	listed("own", "DEMSP")
	listed("roth", "")
	agree("NLCPA DEMSP")
	m.wantPushed("more modules", "")
	toggle()
	m.wantPushed("an outage", "msp: NLCPA CPO OFFLINE")
	toggle()
	m.pushed()

	agree("FROTH *")
	m.wantPushed("an agreement with every party", "msp: FROTH EMSP CONNECTED, own: FROTH EMSP CONNECTED, "+
		"roth: DEMSP EMSP CONNECTED, roth: NLCPA CPO CONNECTED, roth: NLCPB CPO CONNECTED")
	listed("msp", "NLCPA FROTH")
	disagree("* FROTH")
	m.wantPushed("its end", "msp: FROTH EMSP SUSPENDED, own: FROTH EMSP SUSPENDED, "+
		"roth: DEMSP EMSP SUSPENDED, roth: NLCPA CPO SUSPENDED, roth: NLCPB CPO SUSPENDED")
	disagree("DEMSP NLCPA")
	m.wantPushed("the end of the other", "msp: NLCPA CPO SUSPENDED, own: DEMSP EMSP SUSPENDED")

	agree("* *: cdrs")
	m.wantPushed("every party with every party", "msp: FROTH EMSP CONNECTED, msp: NLCPA CPO CONNECTED, msp: NLCPB CPO CONNECTED, "+
		"own: DEMSP EMSP CONNECTED, own: FROTH EMSP CONNECTED, "+
		"roth: DEMSP EMSP CONNECTED, roth: NLCPA CPO CONNECTED, roth: NLCPB CPO CONNECTED")
}

func TestO4_AnOpenHubPushesNoAgreements(t *testing.T) {
	t.Parallel()
	m := newMonitored(t, newMemory(), 0)
	m.has(member(t, "own", "NLCPA CPO"))
	m.has(member(t, "msp", "DEMSP EMSP"))
	if _, err := m.registrar.Agree(t.Context(), agreed(t, "NLCPA DEMSP")); err != nil {
		t.Fatal(err)
	}
	m.wantPushed("an agreement", "")
}

// TestO5_ARegistrationWaitsUntilOthersKnowOfIt: its first object may go through
// another replica. Who is slow does not hold it up for long.
func TestO5_ARegistrationWaitsUntilOthersKnowOfIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newReplica(t, newMemory(), &wire{})
		p := member(t, "own", "NLCPA CPO", "NLCPA NSP", "NLCPB CPO")
		r.registrar.awaitAnnounced(t.Context(), &p) // nobody can tell
		var asked []ocpi.PartyKey
		r.registrar.cfg.Announced = func(ctx context.Context, of []ocpi.PartyKey) { asked = of; <-ctx.Done() }
		begun := time.Now()
		r.registrar.awaitAnnounced(t.Context(), &p)
		if want := []ocpi.PartyKey{key(t, "NLCPA"), key(t, "NLCPB")}; !slices.Equal(asked, want) || time.Since(begun) != announcedTimeout {
			t.Errorf("it waited %s for %v, want %v", time.Since(begun), asked, want)
		}
	})
}
