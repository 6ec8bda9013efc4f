package rediscache

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"busbar/ocpi"
	"busbar/parties"
	"busbar/storage/seal"
)

// format is part of the copy's key: a binary that writes rows which another one
// would misread counts it up, and both keep their own copy.
const format = "3"

// revisionField holds what the copy stands for, agreementsField all agreements;
// platformField the platform of an id.
const (
	revisionField   = "revision"
	agreementsField = "agreements"
)

func platformField(id parties.PlatformID) string { return "p:" + string(id) }

// agreementRow is an agreement as it stands in the copy.
type agreementRow struct {
	Parties [2]ocpi.PartyKey `json:"parties"`
	Modules []ocpi.ModuleID  `json:"modules,omitempty"`
}

func encodeAgreements(all []parties.Agreement) (string, error) {
	rows := make([]agreementRow, len(all))
	for i, a := range all {
		rows[i] = agreementRow(a)
	}
	encoded, err := json.Marshal(rows)
	if err != nil {
		return "", fmt.Errorf("agreements: %w", err)
	}
	return string(encoded), nil
}

func decodeAgreements(encoded string) ([]parties.Agreement, error) {
	var rows []agreementRow
	if err := json.Unmarshal([]byte(encoded), &rows); err != nil {
		return nil, fmt.Errorf("agreements: %w", err)
	}
	all := make([]parties.Agreement, len(rows))
	for i, row := range rows {
		all[i] = parties.Agreement(row)
	}
	return all, nil
}

// platformRow is a platform as it stands in the copy. Times are microseconds
// since 1970, as in the store; nil is the zero time.
type platformRow struct {
	ID                parties.PlatformID     `json:"id"`
	Name              string                 `json:"name,omitempty"`
	Approved          []claimRow             `json:"approved,omitempty"`
	Roles             []claimRow             `json:"roles,omitempty"`
	Status            ocpi.ConnectionStatus  `json:"status,omitempty"`
	StatusSince       *int64                 `json:"status_since,omitempty"`
	Held              bool                   `json:"held,omitempty"`
	Version           ocpi.Version           `json:"version,omitempty"`
	VersionLimit      ocpi.Version           `json:"version_limit,omitempty"`
	VersionsURL       string                 `json:"versions_url,omitempty"`
	Endpoints         []ocpi.Endpoint        `json:"endpoints,omitempty"`
	Inbound           []tokenRow             `json:"inbound,omitempty"`
	Outbound          string                 `json:"outbound,omitempty"` // sealed
	Quirks            parties.Quirks         `json:"quirks"`
	ClientCertificate parties.CertificateKey `json:"client_certificate,omitempty"`
	CreatedAt         *int64                 `json:"created_at,omitempty"`
	UpdatedAt         *int64                 `json:"updated_at,omitempty"`
	LastSeen          *int64                 `json:"last_seen,omitempty"`
	Revision          int64                  `json:"revision"`
}

type claimRow struct {
	Party ocpi.PartyKey `json:"party"`
	Role  ocpi.Role     `json:"role"`
	// Details is a string, not JSON in JSON, which would be reformatted.
	Details string `json:"details,omitempty"`
}

type tokenRow struct {
	Hash      string            `json:"hash"`
	Kind      parties.TokenKind `json:"kind"`
	ExpiresAt *int64            `json:"expires_at,omitempty"`
}

// encode writes the row of p at a revision.
func encode(p parties.Platform, revision int64, sealer *seal.Sealer) (string, error) {
	row := platformRow{
		ID: p.ID, Name: p.Name, Status: p.Status, StatusSince: micros(p.StatusSince), Held: p.Held,
		Version: p.Version, VersionLimit: p.VersionLimit, VersionsURL: p.VersionsURL,
		Endpoints: p.Endpoints, Quirks: p.Quirks, ClientCertificate: p.ClientCertificate,
		CreatedAt: micros(p.CreatedAt), UpdatedAt: micros(p.UpdatedAt), LastSeen: micros(p.LastSeen),
		Revision: revision,
	}
	for _, claim := range p.Approved {
		row.Approved = append(row.Approved, claimRow{Party: claim.Party, Role: claim.Role})
	}
	for _, role := range p.Roles {
		row.Roles = append(row.Roles,
			claimRow{Party: role.Party, Role: role.Role, Details: string(role.BusinessDetails)})
	}
	for _, in := range p.Inbound {
		row.Inbound = append(row.Inbound,
			tokenRow{Hash: hex.EncodeToString(in.Hash[:]), Kind: in.Kind, ExpiresAt: micros(in.ExpiresAt)})
	}
	// What this replica cannot open, whoever reads the row looks for in the record.
	if row.Outbound = p.Unopened; !p.Outbound.IsZero() {
		sealed, err := sealer.Seal(p.Outbound.Reveal(), seal.OutboundToken, string(p.ID))
		if err != nil {
			return "", fmt.Errorf("platform %s: %w", p.ID, err)
		}
		row.Outbound = sealed
	}
	encoded, err := json.Marshal(row)
	if err != nil {
		return "", fmt.Errorf("platform %s: %w", p.ID, err)
	}
	return string(encoded), nil
}

func decode(encoded string, sealer *seal.Sealer) (parties.Platform, error) {
	var row platformRow
	if err := json.Unmarshal([]byte(encoded), &row); err != nil {
		return parties.Platform{}, err
	}
	p := parties.Platform{
		ID: row.ID, Name: row.Name, Status: row.Status, StatusSince: moment(row.StatusSince), Held: row.Held,
		Version: row.Version, VersionLimit: row.VersionLimit, VersionsURL: row.VersionsURL,
		Endpoints: row.Endpoints, Quirks: row.Quirks, ClientCertificate: row.ClientCertificate,
		CreatedAt: moment(row.CreatedAt), UpdatedAt: moment(row.UpdatedAt), LastSeen: moment(row.LastSeen),
		Revision: row.Revision,
	}
	for _, claim := range row.Approved {
		p.Approved = append(p.Approved, claim.partyRole())
	}
	for _, role := range row.Roles {
		registered := ocpi.CredentialsRole{PartyRole: role.partyRole()}
		if role.Details != "" {
			registered.BusinessDetails = json.RawMessage(role.Details)
		}
		p.Roles = append(p.Roles, registered)
	}
	if err := row.secrets(&p, sealer); err != nil {
		return parties.Platform{}, fmt.Errorf("platform %s: %w", row.ID, err)
	}
	return p, nil
}

// secrets gives p its inbound hashes and its outbound token.
func (row *platformRow) secrets(p *parties.Platform, sealer *seal.Sealer) error {
	for _, token := range row.Inbound {
		in := parties.InboundToken{Kind: token.Kind, ExpiresAt: moment(token.ExpiresAt)}
		hash, err := hex.DecodeString(token.Hash)
		if err != nil || len(hash) != len(in.Hash) {
			return fmt.Errorf("inbound token: not a hash")
		}
		copy(in.Hash[:], hash)
		p.Inbound = append(p.Inbound, in)
	}
	if row.Outbound == "" {
		return nil
	}
	plain, err := sealer.Open(row.Outbound, seal.OutboundToken, string(row.ID))
	if err != nil {
		return fmt.Errorf("outbound token: %w", err)
	}
	if p.Outbound, err = ocpi.ParseCredentialsToken(plain); err != nil {
		return fmt.Errorf("outbound token: %w", err)
	}
	return nil
}

func (row claimRow) partyRole() ocpi.PartyRole {
	return ocpi.PartyRole{Party: row.Party, Role: row.Role}
}

func micros(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	us := t.UnixMicro()
	return &us
}

func moment(us *int64) time.Time {
	if us == nil {
		return time.Time{}
	}
	return time.UnixMicro(*us).UTC()
}
