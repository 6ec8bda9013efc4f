package ocpi

import (
	"fmt"
	"slices"
	"strings"
)

// ModuleID names a module (2.2.1 version_information_endpoint, ModuleID).
// Parties may add their own.
type ModuleID string

// The modules of 2.2.1.
const (
	ModuleCDRs             ModuleID = "cdrs"
	ModuleChargingProfiles ModuleID = "chargingprofiles"
	ModuleCommands         ModuleID = "commands"
	ModuleCredentials      ModuleID = "credentials"
	ModuleHubClientInfo    ModuleID = "hubclientinfo"
	ModuleLocations        ModuleID = "locations"
	ModuleSessions         ModuleID = "sessions"
	ModuleTariffs          ModuleID = "tariffs"
	ModuleTokens           ModuleID = "tokens"
)

// FunctionalModules are those a hub routes, in the order it lists them.
var FunctionalModules = [...]ModuleID{
	ModuleLocations, ModuleSessions, ModuleCDRs, ModuleTariffs,
	ModuleTokens, ModuleCommands, ModuleChargingProfiles,
}

// IsConfiguration tells the modules between a platform and the hub, which are
// never routed (2.2.1 transport_and_format, Message Routing Headers).
func (m ModuleID) IsConfiguration() bool {
	return m == ModuleCredentials || m == ModuleHubClientInfo || m == "versions"
}

// IsStandard tells the functional modules of 2.2.1 from custom ones.
func (m ModuleID) IsStandard() bool {
	for _, known := range FunctionalModules {
		if m == known {
			return true
		}
	}
	return false
}

// ClientOwned tells the modules whose Receiver URLs begin with the owner:
// {country_code}/{party_id}/{object id} (2.2.1 transport_and_format, Client
// Owned Object Push).
func (m ModuleID) ClientOwned() bool {
	switch m {
	case ModuleLocations, ModuleTariffs, ModuleTokens, ModuleSessions:
		return true
	}
	return false
}

// ParseModuleID accepts any id that is one plain URL segment, custom ones
// included.
func ParseModuleID(s string) (ModuleID, error) {
	if ModuleID(s).IsStandard() {
		return ModuleID(s), nil
	}
	if len(s) < 1 || len(s) > 64 || s == "." || s == ".." {
		return "", fmt.Errorf("module id %q: must be 1 to 64 characters", clip(s))
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return "", fmt.Errorf("module id %q: only letters, digits, '-', '_' and '.'", clip(s))
		}
	}
	// The hub's rules for OCPI's own modules must not depend on a spelling.
	for _, known := range append(FunctionalModules[:len(FunctionalModules):len(FunctionalModules)],
		ModuleCredentials, ModuleHubClientInfo, "versions") {
		if strings.EqualFold(s, string(known)) {
			return known, nil
		}
	}
	return ModuleID(s), nil
}

// InterfaceRole is the side of a module that an endpoint implements (2.2.1
// version_information_endpoint, InterfaceRole).
type InterfaceRole string

// The two interfaces of a module.
const (
	Sender   InterfaceRole = "SENDER"
	Receiver InterfaceRole = "RECEIVER"
)

// ParseInterfaceRole tolerates case and spaces.
func ParseInterfaceRole(s string) (InterfaceRole, error) {
	switch r := InterfaceRole(strings.ToUpper(strings.TrimSpace(s))); r {
	case Sender, Receiver:
		return r, nil
	}
	return "", fmt.Errorf("interface role %q: must be SENDER or RECEIVER", clip(s))
}

// Implements tells whether a party of this role typically implements the
// interface: CPOs send locations and receive tokens, eMSPs the reverse (2.2.1
// terminology, Typical OCPI implementations per Role). It is a preference for
// choosing between platforms, never a reason to refuse.
func (r Role) Implements(m ModuleID, i InterfaceRole) bool {
	var sender, receiver []Role
	switch m {
	case ModuleLocations, ModuleTariffs:
		sender, receiver = []Role{RoleCPO, RoleNAP}, []Role{RoleEMSP, RoleNSP, RoleNAP, RolePTP, RoleOther}
	case ModuleSessions:
		sender, receiver = []Role{RoleCPO}, []Role{RoleEMSP, RoleSCSP, RolePTP, RoleOther}
	case ModuleCDRs:
		sender, receiver = []Role{RoleCPO}, []Role{RoleEMSP, RolePTP, RoleOther}
	case ModuleTokens:
		sender, receiver = []Role{RoleEMSP, RoleOther}, []Role{RoleCPO}
	case ModuleCommands:
		sender, receiver = []Role{RoleEMSP, RolePTP, RoleOther}, []Role{RoleCPO}
	case ModuleChargingProfiles:
		// 2.2.1 mod_charging_profiles, Topology: an eMSP stands between SCSP
		// and CPO, so it may be either side.
		sender, receiver = []Role{RoleSCSP, RoleEMSP, RoleOther}, []Role{RoleCPO, RoleEMSP}
	default:
		return true
	}
	side := sender
	if i == Receiver {
		side = receiver
	}
	return slices.Contains(side, r)
}
