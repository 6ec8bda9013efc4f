package parties

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"busbar/ocpi"
)

func TestO2_WhoReturnedAndSinceWhen(t *testing.T) {
	t.Parallel()
	const interval = 5 * time.Minute
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	state := func(status ocpi.ConnectionStatus, change ...func(*Platform)) *Platform {
		p := &Platform{ID: "p", Version: ocpi.V221, Status: status, StatusSince: noon}
		for _, c := range change {
			c(p)
		}
		return p
	}
	unregistered := func(p *Platform) { p.Version = "" }
	held := func(p *Platform) { p.Held = true }
	seen := func(d time.Duration) func(*Platform) {
		return func(p *Platform) { p.LastSeen = noon.Add(d) }
	}
	for _, test := range []struct {
		name          string
		before, after *Platform
		want          string
	}{
		{"a first registration", state(ocpi.Planned, unregistered), state(ocpi.Connected), "everything"},
		{"a registration after DELETE", state(ocpi.Suspended, unregistered), state(ocpi.Connected), "everything"},
		{"a renewal", state(ocpi.Connected), state(ocpi.Connected), "no"},
		{"an outage", state(ocpi.Connected), state(ocpi.Offline), "no"},
		{"an enrolment", nil, state(ocpi.Planned, unregistered), "no"},
		{"a deletion", state(ocpi.Connected), nil, "no"},
		{"the end of an outage", state(ocpi.Offline), state(ocpi.Connected), "-5m0s"},
		{"that was last seen earlier", state(ocpi.Offline, seen(-time.Hour)), state(ocpi.Connected), "-1h0m0s"},
		{"that was last seen later", state(ocpi.Offline, seen(time.Hour)), state(ocpi.Connected), "-5m0s"},
		{"a resumption", state(ocpi.Suspended, held), state(ocpi.Connected), "0s"},
		{"one that was silent before", state(ocpi.Suspended, held, seen(-time.Minute)), state(ocpi.Connected), "-1m0s"},
	} {
		since, ok := returned(test.before, test.after, interval)
		got := "no"
		switch {
		case ok && since.IsZero():
			got = "everything"
		case ok:
			got = since.Sub(noon).String()
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestO2_WhatARestartedHubMissed(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *Platform {
		return &Platform{LastSeen: start.Add(-d), StatusSince: start.Add(-time.Hour * 24)}
	}
	never := func(d time.Duration) *Platform { return &Platform{StatusSince: start.Add(-d)} }
	for _, test := range []struct {
		name           string
		stored, loaded *Platform
		want           string
	}{
		{"down for an hour", ago(time.Hour), ago(time.Hour), "1h0m0s"},
		{"an older copy", ago(time.Hour), ago(2 * time.Hour), "1h0m0s"},
		{"another replica was there", ago(10 * time.Second), ago(time.Hour), "no"},
		{"it called since the start", ago(-time.Second), ago(time.Hour), "1h0m0s"},
		{"it called since the start, and just before", ago(-time.Second), ago(time.Second), "no"},
		{"it never called", never(time.Hour), never(time.Hour), "1h0m0s"},
	} {
		got := "no"
		if since, ok := missedSince(test.stored, test.loaded, start); ok {
			got = start.Sub(since).String()
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestO2_AHubThatIsAloneIsToldOfThoseItJustHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		recent := member(t, "recent", "NLREC CPO")
		recent.LastSeen = time.Now().Add(-2 * time.Second)
		m, _ := watchingWith(t, func(c *MonitorConfig) { c.Alone = true }, recent)
		if got := m.cameBack(); got != "recent 2s" {
			t.Errorf("told of %q", got)
		}
	})
}

func TestO2_ARestartTellsOfEveryCPO(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := crowd(t, 20, time.Now().Add(-time.Hour))
		msp := member(t, "msp", "DEMSP EMSP")
		off := member(t, "off", "NLOFF CPO")
		off.Status = ocpi.Offline
		recent := member(t, "recent", "NLREC CPO")
		recent.LastSeen = time.Now().Add(-20 * time.Second)
		m, w := watching(t, append(list, msp, off, recent)...)
		w.kill("off")
		if got := m.cameBack(); got != "p000 1h0m0s" {
			t.Errorf("told at once of %q", got)
		}
		passes(10 * time.Second)
		if got := m.cameBack(); strings.Count(got, "1h0m") != 19 || strings.Contains(got, "msp") || strings.Contains(got, "off") || strings.Contains(got, "recent") {
			t.Errorf("told of %q", got)
		}
		passes(4 * time.Minute)
		if got := m.cameBack(); got != "" {
			t.Errorf("told again of %q", got)
		}
	})
}
