package sqldb

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"busbar/ocpi"
	"busbar/parties"
	"busbar/storage/seal"
)

// The rows of migration 00001. A pointer is a column that may be NULL.

type platformRow struct {
	ID           string
	Name         string
	Status       string
	StatusSince  *int64
	Held         bool
	Version      string
	VersionLimit string
	VersionsURL  string
	Outbound     string
	Quirks       string
	// ClientCertificate is of migration 00011.
	ClientCertificate string
	// gorm sets fields of these names itself unless told not to.
	CreatedAt *int64 `gorm:"autoCreateTime:false"`
	UpdatedAt *int64 `gorm:"autoUpdateTime:false"`
	LastSeen  *int64
	Revision  int64
}

func (platformRow) TableName() string { return "platforms" }

type partyRow struct {
	CountryCode        string
	PartyID            string
	Role               string
	PlatformID         string
	ApprovedPosition   *int
	RegisteredPosition *int
	BusinessDetails    *string
}

func (partyRow) TableName() string { return "platform_parties" }

type endpointRow struct {
	PlatformID    string
	Position      int
	Module        string
	InterfaceRole string
	URL           string
}

func (endpointRow) TableName() string { return "platform_endpoints" }

type tokenRow struct {
	Hash       string
	PlatformID string
	Position   int
	Kind       string
	ExpiresAt  *int64
}

func (tokenRow) TableName() string { return "inbound_tokens" }

// micros is a point in time as the tables keep it.
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

// newPlatformRow seals the outbound token on the way.
func newPlatformRow(p parties.Platform, revision int64, sealer *seal.Sealer) (platformRow, error) {
	quirks, err := json.Marshal(p.Quirks)
	if err != nil {
		return platformRow{}, fmt.Errorf("encode quirks: %w", err)
	}
	row := platformRow{
		ID: string(p.ID), Name: p.Name,
		Status: string(p.Status), StatusSince: micros(p.StatusSince), Held: p.Held,
		Version: string(p.Version), VersionLimit: string(p.VersionLimit), VersionsURL: p.VersionsURL,
		Quirks: string(quirks), ClientCertificate: string(p.ClientCertificate),
		CreatedAt: micros(p.CreatedAt), UpdatedAt: micros(p.UpdatedAt), LastSeen: micros(p.LastSeen),
		Revision: revision,
	}
	if row.Outbound = p.Unopened; !p.Outbound.IsZero() {
		row.Outbound, err = sealer.Seal(p.Outbound.Reveal(), seal.OutboundToken, row.ID)
	}
	return row, err
}

// platform gives back what stands in the platform's own row.
func (row *platformRow) platform(sealer *seal.Sealer) (parties.Platform, error) {
	p := parties.Platform{
		ID: parties.PlatformID(row.ID), Name: row.Name,
		Status: ocpi.ConnectionStatus(row.Status), StatusSince: moment(row.StatusSince), Held: row.Held,
		Version: ocpi.Version(row.Version), VersionLimit: ocpi.Version(row.VersionLimit),
		VersionsURL: row.VersionsURL, ClientCertificate: parties.CertificateKey(row.ClientCertificate),
		CreatedAt: moment(row.CreatedAt), UpdatedAt: moment(row.UpdatedAt), LastSeen: moment(row.LastSeen),
		Revision: row.Revision,
	}
	if err := json.Unmarshal([]byte(row.Quirks), &p.Quirks); err != nil {
		return p, fmt.Errorf("platform %s: quirks: %w", row.ID, err)
	}
	if row.Outbound == "" {
		return p, nil
	}
	// One platform's must not stop the others.
	plain, err := sealer.Open(row.Outbound, seal.OutboundToken, row.ID)
	if err == nil {
		p.Outbound, err = ocpi.ParseCredentialsToken(plain)
	}
	if err != nil {
		p.LeaveUnopened(row.Outbound)
	}
	return p, nil
}

// newPartyRows merges approved and registered claims. A claim that stands twice
// in one list is kept once.
func newPartyRows(p parties.Platform) []partyRow {
	var rows []partyRow
	index := make(map[ocpi.PartyRole]int, len(p.Approved)+len(p.Roles))
	row := func(claim ocpi.PartyRole) *partyRow {
		i, ok := index[claim]
		if !ok {
			i = len(rows)
			index[claim] = i
			rows = append(rows, partyRow{
				CountryCode: claim.Party.CountryCode(), PartyID: claim.Party.PartyID(),
				Role: string(claim.Role), PlatformID: string(p.ID),
			})
		}
		return &rows[i]
	}
	for i, claim := range p.Approved {
		if r := row(claim); r.ApprovedPosition == nil {
			r.ApprovedPosition = &i
		}
	}
	for i, role := range p.Roles {
		if r := row(role.PartyRole); r.RegisteredPosition == nil {
			r.RegisteredPosition, r.BusinessDetails = &i, text(role.BusinessDetails)
		}
	}
	return rows
}

// text keeps bytes as a column can hold them: Postgres refuses text that is not
// UTF-8. Outside JSON's strings nothing changes.
func text(raw json.RawMessage) *string {
	if len(raw) == 0 {
		return nil
	}
	s := string(bytes.ToValidUTF8(raw, []byte("\uFFFD")))
	return &s
}

func (row *partyRow) claim() (ocpi.PartyRole, error) {
	key, err := ocpi.ParsePartyKey(row.CountryCode, row.PartyID)
	if err != nil {
		return ocpi.PartyRole{}, fmt.Errorf("platform %s: party: %w", row.PlatformID, err)
	}
	return ocpi.PartyRole{Party: key, Role: ocpi.Role(row.Role)}, nil
}

func newEndpointRows(p parties.Platform) []endpointRow {
	rows := make([]endpointRow, len(p.Endpoints))
	for i, e := range p.Endpoints {
		rows[i] = endpointRow{
			PlatformID: string(p.ID), Position: i,
			Module: string(e.Identifier), InterfaceRole: string(e.Role), URL: e.URL,
		}
	}
	return rows
}

func (row *endpointRow) endpoint() ocpi.Endpoint {
	return ocpi.Endpoint{
		Identifier: ocpi.ModuleID(row.Module), Role: ocpi.InterfaceRole(row.InterfaceRole), URL: row.URL,
	}
}

func newTokenRows(p parties.Platform) []tokenRow {
	rows := make([]tokenRow, len(p.Inbound))
	for i, in := range p.Inbound {
		rows[i] = tokenRow{
			Hash: hex.EncodeToString(in.Hash[:]), PlatformID: string(p.ID), Position: i,
			Kind: string(in.Kind), ExpiresAt: micros(in.ExpiresAt),
		}
	}
	return rows
}

func (row *tokenRow) token() (parties.InboundToken, error) {
	in := parties.InboundToken{Kind: parties.TokenKind(row.Kind), ExpiresAt: moment(row.ExpiresAt)}
	if hex.DecodedLen(len(row.Hash)) != len(in.Hash) {
		return in, fmt.Errorf("platform %s: inbound token: hash of %d characters", row.PlatformID, len(row.Hash))
	}
	if _, err := hex.Decode(in.Hash[:], []byte(row.Hash)); err != nil {
		return in, fmt.Errorf("platform %s: inbound token: %w", row.PlatformID, err)
	}
	return in, nil
}
