package ocpi

import (
	"fmt"
	"strings"
)

// Role is what a party is in the market (2.2.1 types, Role enum).
type Role string

// The roles of 2.2.1, and PTP of the 2.3.0 payments extension.
const (
	RoleCPO   Role = "CPO"
	RoleEMSP  Role = "EMSP"
	RoleHub   Role = "HUB"
	RoleNAP   Role = "NAP"
	RoleNSP   Role = "NSP"
	RoleOther Role = "OTHER"
	RoleSCSP  Role = "SCSP"
	RolePTP   Role = "PTP"
)

// ParseRole tolerates lower case and spaces, which real peers send.
func ParseRole(s string) (Role, error) {
	switch r := Role(strings.ToUpper(strings.TrimSpace(s))); r {
	case RoleCPO, RoleEMSP, RoleHub, RoleNAP, RoleNSP, RoleOther, RoleSCSP, RolePTP:
		return r, nil
	}
	return "", fmt.Errorf("role %q: must be one of CPO, EMSP, HUB, NAP, NSP, OTHER, SCSP", clip(s))
}

// PartyRole is a party in one of its roles: the unit that OCPI keeps unique
// (2.2.1 credentials: every role needs a unique combination).
type PartyRole struct {
	Party PartyKey
	Role  Role
}

// String reads "NLCPA (CPO)".
func (r PartyRole) String() string { return r.Party.String() + " (" + string(r.Role) + ")" }
