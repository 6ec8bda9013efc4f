package storagetest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"busbar/ocpi"
	"busbar/parties"
)

// at is a point in time of the tests, n seconds and some microseconds after
// their beginning.
func at(n int) time.Time {
	return time.Date(2026, 1, 31, 12, 0, n, 123456000, time.UTC)
}

// claim reads "NLCPA CPO".
func claim(s string) ocpi.PartyRole {
	party, role, _ := strings.Cut(s, " ")
	key, err := ocpi.ParseParty(party)
	if err != nil {
		panic(err)
	}
	return ocpi.PartyRole{Party: key, Role: ocpi.Role(role)}
}

func claims(list ...string) []ocpi.PartyRole {
	prs := make([]ocpi.PartyRole, len(list))
	for i, s := range list {
		prs[i] = claim(s)
	}
	return prs
}

func roles(list ...string) []ocpi.CredentialsRole {
	rs := make([]ocpi.CredentialsRole, len(list))
	for i, s := range list {
		rs[i] = ocpi.CredentialsRole{PartyRole: claim(s)}
	}
	return rs
}

// Platform is a platform that has nothing but an id and a name.
func Platform(name string) parties.Platform {
	return parties.Platform{ID: parties.NewPlatformID(), Name: name, Status: ocpi.Planned}
}

// FullPlatform is a platform with every field set, whose parties begin with
// country.
func FullPlatform(country string) parties.Platform {
	token, err := ocpi.ParseCredentialsToken(OutboundToken)
	if err != nil {
		panic(err)
	}
	p := Platform("Full & Sons ⚡ of " + country)
	p.Approved = claims(country+"ZZZ EMSP", country+"A CPO", country+"AB CPO")
	p.Roles = []ocpi.CredentialsRole{
		{PartyRole: claim(country + "AB CPO"), BusinessDetails: json.RawMessage(`{ "name" :"Ä <b>\u00e4\u0000</b>", "x":1.0}`)},
		{PartyRole: claim(country + "A CPO")},
		{PartyRole: claim(country + "NEW HUB"), BusinessDetails: json.RawMessage(`{"name":""}`)},
	}
	p.Status, p.StatusSince, p.Held = ocpi.Suspended, at(1), true
	p.Version, p.VersionLimit = ocpi.V221, ocpi.V22
	p.VersionsURL = "https://peer.example/ocpi/versions?a=b&c=%20"
	p.Endpoints = []ocpi.Endpoint{
		{Identifier: ocpi.ModuleTokens, Role: ocpi.Receiver, URL: "https://peer.example/tokens"},
		{Identifier: ocpi.ModuleLocations, Role: ocpi.Sender, URL: "https://peer.example/locations"},
		{Identifier: "custom-module", Role: ocpi.Sender, URL: "https://peer.example/custom"},
	}
	p.Inbound = []parties.InboundToken{
		{Hash: ocpi.NewCredentialsToken().Hash(), Kind: parties.TokenAccess},
		{Hash: ocpi.NewCredentialsToken().Hash(), Kind: parties.TokenRetiring, ExpiresAt: at(2)},
	}
	p.Outbound = token
	p.Quirks = parties.Quirks{
		TokenForm: ocpi.TokenPlain, RegisterStatus: 201, ExtraRole: ocpi.RoleEMSP, SpentTokenReads: true,
		CredentialsTwice: true, HideModules: []ocpi.ModuleID{ocpi.ModuleHubClientInfo, ocpi.ModuleCDRs},
	}
	p.ClientCertificate = parties.CertificateKey("sha256:" + strings.Repeat("0123456789abcdef", 4))
	p.CreatedAt, p.UpdatedAt, p.LastSeen = at(3), at(4), at(5)
	return p
}

// OutboundToken is the token of FullPlatform: it must not be found at rest.
const OutboundToken = "outbound-token-that-nobody-may-read"

// Diff tells how two platforms differ; empty when they do not. An empty list
// and none are the same.
func Diff(want, got parties.Platform) string {
	return cmp.Diff(want, got, equalities()...)
}

func diffAll(want, got []parties.Platform) string {
	sorted := cmpopts.SortSlices(func(a, b parties.Platform) bool { return a.ID < b.ID })
	return cmp.Diff(want, got, append(equalities(), sorted)...)
}

// diff tells how two values differ, large ones too: cmp takes its time.
func diff(want, got any) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return cmp.Diff(want, got, equalities()...)
}

func equalities() []cmp.Option {
	return []cmp.Option{
		cmpopts.EquateEmpty(),
		cmp.Comparer(func(a, b ocpi.CredentialsToken) bool { return a == b }),
		// Equal times in different zones are not what a store returns.
		cmp.Comparer(func(a, b time.Time) bool { return a == b }),
	}
}

func revised(p parties.Platform, revision int64) parties.Platform {
	p.Revision = revision
	return p
}

// many makes n bare platforms.
func many(n int) []parties.Platform {
	list := make([]parties.Platform, n)
	for i := range list {
		list[i] = Platform(fmt.Sprintf("platform %d", i))
	}
	return list
}

// create saves platforms one after the other and returns them as they are
// then stored.
func create(t *testing.T, s parties.Store, list ...parties.Platform) []parties.Platform {
	t.Helper()
	list = slices.Clone(list)
	for i := range list {
		revision, err := s.Create(t.Context(), list[i])
		if err != nil {
			t.Fatalf("Create %s: %v", list[i].Name, err)
		}
		list[i].Revision = revision
	}
	return list
}

func wantStored(t *testing.T, s parties.Store, want parties.Platform) {
	t.Helper()
	got, err := s.Get(t.Context(), want.ID)
	if err != nil {
		t.Fatalf("Get %s: %v", want.Name, err)
	}
	if diff := Diff(want, got); diff != "" {
		t.Errorf("Get %s differs (-want +got):\n%s", want.Name, diff)
	}
}

func wantAll(t *testing.T, s parties.Store, revision int64, want ...parties.Platform) {
	t.Helper()
	got, err := s.All(t.Context())
	if err != nil {
		t.Fatalf("All: %v", err)
	}
	if got.Revision != revision {
		t.Errorf("All stands for revision %d, want %d", got.Revision, revision)
	}
	if diff := diffAll(want, got.Platforms); diff != "" {
		t.Errorf("All differs (-want +got):\n%s", diff)
	}
	if at, err := s.Revision(t.Context()); err != nil || at != revision {
		t.Errorf("Revision = %d, %v, want %d", at, err, revision)
	}
}
