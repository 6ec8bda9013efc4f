package parties

import (
	"crypto/rand"
	"encoding/base32"
	"slices"
	"strings"
	"time"

	"busbar/ocpi"
)

// PlatformID is the hub's own name of a platform in the admin API. It is
// opaque, and safe in URLs.
type PlatformID string

// NewPlatformID draws a fresh id.
func NewPlatformID() PlatformID {
	var raw [10]byte
	rand.Read(raw[:])
	return PlatformID(strings.ToLower(base32.StdEncoding.EncodeToString(raw[:])))
}

// Platform is one connected system and everything the hub keeps of it. It is a
// value: whoever changes one works on a Clone and saves it whole.
type Platform struct {
	ID   PlatformID
	Name string
	// Approved are the parties that the operator lets this platform register.
	// Empty approves whatever no other platform has claimed.
	Approved []ocpi.PartyRole
	// Roles are the registered ones, in the order of the credentials object;
	// empty until the first handshake.
	Roles []ocpi.CredentialsRole

	// Status is what other parties are told of the parties, since StatusSince:
	// the last_updated of their ClientInfo.
	Status      ocpi.ConnectionStatus
	StatusSince time.Time
	// Held is the operator's suspension: every inbound token answers 401 and
	// nothing is sent, whatever else is known.
	Held bool

	// Version is the OCPI version in use; empty while the platform is not
	// registered.
	Version ocpi.Version
	// VersionLimit pins the handshake to one version; empty leaves the choice
	// to the rule (latest mutual).
	VersionLimit ocpi.Version
	VersionsURL  string
	Endpoints    []ocpi.Endpoint

	Inbound  []InboundToken
	Outbound ocpi.CredentialsToken
	// Unopened is the outbound token as it stands sealed in the record, when no
	// secret of this hub opens it: Outbound is zero then, and nothing can be sent.
	Unopened string
	// ClientCertificate is the key of the client certificate without which the
	// platform's tokens are worth nothing; zero binds none.
	ClientCertificate CertificateKey
	Quirks            Quirks

	CreatedAt time.Time
	UpdatedAt time.Time
	// LastSeen is when the platform last called the hub or answered a still-alive
	// check; zero for never. It is written in batches and does not count as a
	// change.
	LastSeen time.Time
	// Revision is the directory revision that last wrote this platform. An
	// Update with another one than the stored is refused with ErrStale.
	Revision int64
}

// Quirks are what one platform needs beyond the letter of OCPI, learned by the
// hub or set by the operator.
type Quirks struct {
	// TokenForm is how the platform reads the Authorization header. Empty:
	// not yet learned, Base64 is tried first.
	TokenForm ocpi.TokenForm `json:"token_form,omitempty"`
	// RegisterStatus is the HTTP status of the answer to POST credentials, 200
	// or 201. Zero: 201 for version 2.2, whose peers expect it, else 200.
	RegisterStatus int `json:"register_status,omitempty"`
	// ExtraRole is a second role that the hub claims towards this platform,
	// for peers that push only to an EMSP.
	ExtraRole ocpi.Role `json:"extra_role,omitempty"`
	// SpentTokenReads lets the used-up token A go on reading versions and
	// details, which some peers do at every PUT.
	SpentTokenReads bool `json:"spent_token_reads,omitempty"`
	// CredentialsTwice lists the hub's credentials endpoint with the interface
	// role RECEIVER besides SENDER: some peers look for nothing else.
	CredentialsTwice bool `json:"credentials_twice,omitempty"`
	// HideModules leaves modules out of the version details, for peers that
	// break on one that they do not know.
	HideModules []ocpi.ModuleID `json:"hide_modules,omitempty"`
}

// InboundToken is a token with which the platform calls the hub. Only its hash
// is kept.
type InboundToken struct {
	Hash ocpi.TokenHash
	Kind TokenKind
	// ExpiresAt ends the token; zero is never.
	ExpiresAt time.Time
}

// TokenKind says what an inbound token opens, and what ends it.
type TokenKind string

const (
	// TokenRegistration is A: versions and credentials only; the handshake
	// uses it up.
	TokenRegistration TokenKind = "registration"
	// TokenOffered is B of a handshake that the hub began and that has not
	// ended: like A on a platform that is not registered, like an access token
	// on one that is. It has an expiry.
	TokenOffered TokenKind = "offered"
	// TokenUnconfirmed is an offer whose call's answer was lost: good until it
	// expires and, if the platform uses it, for good.
	TokenUnconfirmed TokenKind = "unconfirmed"
	// TokenAccess is C (or B, once accepted): everything.
	TokenAccess TokenKind = "access"
	// TokenRetiring is an access token that was renewed: valid until its
	// successor is first used, and no longer than its expiry.
	TokenRetiring TokenKind = "retiring"
	// TokenSpent is a used-up A that still reads versions and details
	// (Quirks.SpentTokenReads).
	TokenSpent TokenKind = "spent"
)

// Registered tells that a handshake has been completed and not been undone.
func (p *Platform) Registered() bool { return p.Version != "" }

// Reachable tells that the hub may send to the platform.
func (p *Platform) Reachable() bool {
	return p.Registered() && !p.Held && p.Status == ocpi.Connected
}

// LeaveUnopened notes that no secret opens the outbound token. The platform is
// OFFLINE until a secret does, or it registers or renews again; what is sealed
// stays in the record.
func (p *Platform) LeaveUnopened(sealed string) {
	p.Unopened = sealed
	if p.Status == ocpi.Connected {
		p.Status = ocpi.Offline
	}
}

// renewing tells that more than one token may be in use, so that one may have to
// end.
func (p *Platform) renewing() bool {
	return slices.ContainsFunc(p.Inbound, func(t InboundToken) bool { return t.Kind == TokenRetiring || t.Kind == TokenUnconfirmed })
}

// Parties are the parties that the platform speaks for, each once: the
// registered ones or, before the first handshake, those approved.
func (p *Platform) Parties() []ocpi.PartyKey {
	var keys []ocpi.PartyKey
	for _, pr := range p.PartyRoles() {
		if !slices.Contains(keys, pr.Party) {
			keys = append(keys, pr.Party)
		}
	}
	return keys
}

// PartyRoles are the same with their roles.
func (p *Platform) PartyRoles() []ocpi.PartyRole {
	if len(p.Roles) == 0 {
		return p.Approved
	}
	prs := make([]ocpi.PartyRole, len(p.Roles))
	for i, r := range p.Roles {
		prs[i] = r.PartyRole
	}
	return prs
}

// Claims are all (party, role) pairs that no other platform may take: approved
// and registered ones (C8).
func (p *Platform) Claims() []ocpi.PartyRole {
	claims := slices.Clone(p.Approved)
	for _, r := range p.Roles {
		if !slices.Contains(claims, r.PartyRole) {
			claims = append(claims, r.PartyRole)
		}
	}
	return claims
}

// Clone copies the platform so that the copy can be changed.
func (p Platform) Clone() Platform {
	p.Approved = slices.Clone(p.Approved)
	p.Roles = slices.Clone(p.Roles)
	p.Endpoints = slices.Clone(p.Endpoints)
	p.Inbound = slices.Clone(p.Inbound)
	p.Quirks.HideModules = slices.Clone(p.Quirks.HideModules)
	return p
}

// setStatus changes the status and its time, if it is another one.
func (p *Platform) setStatus(s ocpi.ConnectionStatus, now time.Time) {
	if p.Status != s {
		p.Status, p.StatusSince = s, now
	}
}
