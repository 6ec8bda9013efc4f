//go:build linux

package main

import (
	"fmt"
	"slices"
	"strconv"

	"busbar/ocpi"
)

// platform is one connected system of the field.
type platform struct {
	// Name is also the platform's path prefix on the backend and its upstream
	// in the proxies: "p12".
	Name    string
	Role    ocpi.Role
	Parties []ocpi.PartyKey
	// Outbound is the token that the platform expects from its hub (B of the
	// handshake).
	Outbound ocpi.CredentialsToken
	// Inbound is the token with which the platform calls: made here for the
	// proxies, minted by a hub in the handshake (C).
	Inbound ocpi.CredentialsToken
}

// field is everyone who is connected to one contestant. Platforms alternate
// between CPOs and eMSPs, so that half of the parties send and half receive.
type field []platform

// newField spreads the parties evenly over the platforms.
func newField(parties, platforms int) (field, error) {
	switch {
	case platforms < 2:
		return nil, fmt.Errorf("%d platforms: at least a CPO and an eMSP are needed", platforms)
	case parties < platforms:
		return nil, fmt.Errorf("%d parties on %d platforms: every platform needs one", parties, platforms)
	case parties > maxParties:
		return nil, fmt.Errorf("%d parties: at most %d have a name", parties, maxParties)
	}
	f := make(field, platforms)
	for i := range f {
		f[i] = platform{
			Name:     "p" + strconv.Itoa(i),
			Role:     [...]ocpi.Role{ocpi.RoleCPO, ocpi.RoleEMSP}[i%2],
			Outbound: ocpi.NewCredentialsToken(),
			Inbound:  ocpi.NewCredentialsToken(),
		}
		for n := i * parties / platforms; n < (i+1)*parties/platforms; n++ {
			f[i].Parties = append(f[i].Parties, partyNumber(n))
		}
	}
	return f, nil
}

// newMarket is CPOs that broadcast to eMSPs, each a party on a platform of its
// own; the last of the eMSPs hang.
func newMarket(cpos, emsps, hang int) field {
	f := make(field, cpos+emsps)
	for i := range f {
		f[i] = platform{
			Name: "p" + strconv.Itoa(i), Role: ocpi.RoleEMSP, Parties: []ocpi.PartyKey{partyNumber(i)},
			Outbound: ocpi.NewCredentialsToken(), Inbound: ocpi.NewCredentialsToken(),
		}
		switch {
		case i < cpos:
			f[i].Role = ocpi.RoleCPO
		case i >= len(f)-hang:
			f[i].Name = hanging + strconv.Itoa(i)
		}
	}
	return f
}

// maxParties is how many three-character party ids there are.
const maxParties = 36 * 36 * 36

// partyNumber names the n-th party. All names are five characters long, so
// that a request can be readdressed in place.
func partyNumber(n int) ocpi.PartyKey {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	countries := [...]string{"NL", "DE", "FR", "BE", "AT", "SE", "NO", "DK", "ES", "IT", "PL", "PT"}
	var key ocpi.PartyKey
	copy(key[:], countries[n%len(countries)])
	for i := len(key) - 1; i >= 2; i-- {
		key[i] = digits[n%36]
		n /= 36
	}
	return key
}

// parties counts them.
func (f field) parties() int {
	n := 0
	for _, p := range f {
		n += len(p.Parties)
	}
	return n
}

// platformOf finds whose party it is.
func (f field) platformOf(party ocpi.PartyKey) (platform, bool) {
	for _, p := range f {
		if slices.Contains(p.Parties, party) {
			return p, true
		}
	}
	return platform{}, false
}

// target is what the load generator must know of a contestant.
type target struct {
	Addr      string          `json:"addr"`
	Callers   []caller        `json:"callers"`
	Receivers []ocpi.PartyKey `json:"receivers"`
	// Path is what is asked for by works that name no object.
	Path string `json:"path,omitempty"`
}

// caller is a CPO's platform.
type caller struct {
	// Authorization is the header's value, the token in clear.
	Authorization string          `json:"authorization"`
	Parties       []ocpi.PartyKey `json:"parties"`
}

func callerOf(p platform) caller {
	return caller{p.Inbound.Authorization(ocpi.TokenBase64), p.Parties}
}

// target addresses the field through the contestant that listens on addr.
func (f field) target(addr string) target {
	t := target{Addr: addr}
	for _, p := range f {
		if p.Role == ocpi.RoleCPO {
			t.Callers = append(t.Callers, callerOf(p))
		} else {
			t.Receivers = append(t.Receivers, p.Parties...)
		}
	}
	return t
}
