//go:build linux

package main

import (
	"testing"

	"busbar/ocpi"
)

func TestFieldSpreadsParties(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ parties, platforms int }{{1000, 50}, {100, 5}, {10000, 500}, {7, 3}, {2, 2}} {
		f, err := newField(c.parties, c.platforms)
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[ocpi.PartyKey]bool)
		for _, p := range f {
			if n := len(p.Parties); n < c.parties/c.platforms || n > c.parties/c.platforms+1 {
				t.Errorf("%v: %s has %d parties", c, p.Name, n)
			}
			for _, key := range p.Parties {
				seen[key] = true
				if len(key.String()) != 5 {
					t.Errorf("party %q is not five characters long", key)
				}
				if owner, ok := f.platformOf(key); !ok || owner.Name != p.Name {
					t.Errorf("%s is on %s, found on %q", key, p.Name, owner.Name)
				}
			}
		}
		if len(f) != c.platforms || len(seen) != c.parties || f.parties() != c.parties {
			t.Errorf("%v: %d platforms, %d different parties", c, len(f), len(seen))
		}
		target := f.target("127.0.0.1:1")
		if want := (c.platforms + 1) / 2; len(target.Callers) != want {
			t.Errorf("%v: %d callers, want the %d CPOs", c, len(target.Callers), want)
		}
		for _, key := range target.Receivers {
			if owner, _ := f.platformOf(key); owner.Role != ocpi.RoleEMSP {
				t.Errorf("receiver %s is a %s", key, owner.Role)
			}
		}
	}
}

func TestFieldRefusesWhatItCannotSpread(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ parties, platforms int }{{10, 1}, {3, 4}, {maxParties + 1, 50}} {
		if _, err := newField(c.parties, c.platforms); err == nil {
			t.Errorf("%d parties on %d platforms pass", c.parties, c.platforms)
		}
	}
}
