package ocpi_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"busbar/ocpi"
)

var allRoles = []ocpi.Role{
	ocpi.RoleCPO, ocpi.RoleEMSP, ocpi.RoleHub, ocpi.RoleNAP, ocpi.RoleNSP, ocpi.RoleOther, ocpi.RoleSCSP, ocpi.RolePTP,
}

func TestC7_Roles(t *testing.T) {
	t.Parallel()
	for _, want := range allRoles {
		for _, spelled := range []string{string(want), strings.ToLower(string(want)), " " + string(want) + " "} {
			if got, err := ocpi.ParseRole(spelled); got != want || err != nil {
				t.Errorf("ParseRole(%q) = %q, %v", spelled, got, err)
			}
		}
	}
	for _, spelled := range []string{"", "MSP", "CPO EMSP", "SENDER", "CPO\x00"} {
		if got, err := ocpi.ParseRole(spelled); err == nil {
			t.Errorf("ParseRole(%q) = %q, want an error", spelled, got)
		}
	}
	if got := (ocpi.PartyRole{Party: party(t, "NLCPA"), Role: ocpi.RoleCPO}).String(); got != "NLCPA (CPO)" {
		t.Errorf("a party's role reads %q", got)
	}
}

// TestM3_Implements is the table of protocol.md §3, with OTHER beside the eMSP
// wherever a hub's parties may stand as OTHER (C7).
func TestM3_Implements(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		module           ocpi.ModuleID
		sender, receiver string
	}{
		{ocpi.ModuleLocations, "CPO NAP", "EMSP NAP NSP OTHER PTP"},
		{ocpi.ModuleTariffs, "CPO NAP", "EMSP NAP NSP OTHER PTP"},
		{ocpi.ModuleSessions, "CPO", "EMSP OTHER SCSP PTP"},
		{ocpi.ModuleCDRs, "CPO", "EMSP OTHER PTP"},
		{ocpi.ModuleTokens, "EMSP OTHER", "CPO"},
		{ocpi.ModuleCommands, "EMSP OTHER PTP", "CPO"},
		{ocpi.ModuleChargingProfiles, "EMSP OTHER SCSP", "CPO EMSP"},
		{"acme.parking", "CPO EMSP HUB NAP NSP OTHER SCSP PTP", "CPO EMSP HUB NAP NSP OTHER SCSP PTP"},
	} {
		if got := implementing(tt.module, ocpi.Sender); got != tt.sender {
			t.Errorf("%s Sender: %s, want %s", tt.module, got, tt.sender)
		}
		if got := implementing(tt.module, ocpi.Receiver); got != tt.receiver {
			t.Errorf("%s Receiver: %s, want %s", tt.module, got, tt.receiver)
		}
	}
}

func implementing(m ocpi.ModuleID, i ocpi.InterfaceRole) string {
	var names []string
	for _, r := range allRoles {
		if r.Implements(m, i) {
			names = append(names, string(r))
		}
	}
	return strings.Join(names, " ")
}

func TestModules(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		module                               ocpi.ModuleID
		configuration, standard, clientOwned bool
	}{
		{"versions", true, false, false},
		{ocpi.ModuleCredentials, true, false, false},
		{ocpi.ModuleHubClientInfo, true, false, false},
		{ocpi.ModuleLocations, false, true, true},
		{ocpi.ModuleTariffs, false, true, true},
		{ocpi.ModuleTokens, false, true, true},
		{ocpi.ModuleSessions, false, true, true},
		{ocpi.ModuleCDRs, false, true, false},
		{ocpi.ModuleCommands, false, true, false},
		{ocpi.ModuleChargingProfiles, false, true, false},
		{"acme.parking", false, false, false},
	} {
		m := tt.module
		if m.IsConfiguration() != tt.configuration || m.IsStandard() != tt.standard || m.ClientOwned() != tt.clientOwned {
			t.Errorf("%s: configuration %v, standard %v, client owned %v", m, m.IsConfiguration(), m.IsStandard(), m.ClientOwned())
		}
	}
}

func TestModuleIDs(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"locations", "Booking", "acme.parking_2-x", "..x", strings.Repeat("m", 64)} {
		if got, err := ocpi.ParseModuleID(good); string(got) != good || err != nil {
			t.Errorf("ParseModuleID(%q) = %q, %v", good, got, err)
		}
	}
	for _, bad := range []string{"", ".", "..", "a/b", "a%2Fb", "a b", "módulo", "a\n", strings.Repeat("m", 65)} {
		if got, err := ocpi.ParseModuleID(bad); err == nil {
			t.Errorf("ParseModuleID(%q) = %q, want an error", bad, got)
		}
	}
}

func TestInterfaceRoles(t *testing.T) {
	t.Parallel()
	for spelled, want := range map[string]ocpi.InterfaceRole{
		"SENDER": ocpi.Sender, "receiver": ocpi.Receiver, " Sender ": ocpi.Sender,
	} {
		if got, err := ocpi.ParseInterfaceRole(spelled); got != want || err != nil {
			t.Errorf("ParseInterfaceRole(%q) = %q, %v", spelled, got, err)
		}
	}
	for _, bad := range []string{"", "BOTH", "CPO"} {
		if _, err := ocpi.ParseInterfaceRole(bad); err == nil {
			t.Errorf("ParseInterfaceRole(%q) succeeded", bad)
		}
	}
}

func TestVersions(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]ocpi.Version{"2.2.1", "2.2"}, ocpi.Versions[:]); diff != "" {
		t.Errorf("offered versions, preferred first:\n%s", diff)
	}
	for v, want := range map[ocpi.Version]bool{"2.2.1": true, "2.2": true, "2.1.1": false, "2.3.0": false, "": false} {
		if v.Supported() != want {
			t.Errorf("%q supported: %v", v, !want)
		}
	}
}
