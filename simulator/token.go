package simulator

// Token is what a driver shows to charge (2.2.1 mod_tokens, Token object).
type Token struct {
	CountryCode  string `json:"country_code"`
	PartyID      string `json:"party_id"`
	UID          string `json:"uid"`
	Type         string `json:"type"`
	ContractID   string `json:"contract_id"`
	VisualNumber string `json:"visual_number,omitempty"`
	Issuer       string `json:"issuer"`
	Valid        bool   `json:"valid"`
	Whitelist    string `json:"whitelist"`
	Language     string `json:"language,omitempty"`
	LastUpdated  string `json:"last_updated"`
	// Allowed is what its eMSP answers when it is authorised; empty means
	// ALLOWED.
	Allowed AllowedType `json:"-"`
}

// The types of tokens that the simulator issues (2.2.1 mod_tokens, TokenType).
const (
	RFID    = "RFID"
	AppUser = "APP_USER"
)

// AllowedType is the outcome of an authorisation (2.2.1 mod_tokens,
// AllowedType).
type AllowedType string

// The outcomes, and one of the simulator's own for a token that no eMSP knows.
const (
	Allowed      AllowedType = "ALLOWED"
	Blocked      AllowedType = "BLOCKED"
	Expired      AllowedType = "EXPIRED"
	NoCredit     AllowedType = "NO_CREDIT"
	NotAllowed   AllowedType = "NOT_ALLOWED"
	UnknownToken AllowedType = "UNKNOWN"
)

// authorizationInfo answers a real-time authorisation (2.2.1 mod_tokens,
// AuthorizationInfo object).
type authorizationInfo struct {
	Allowed   AllowedType         `json:"allowed"`
	Token     Token               `json:"token"`
	Location  *locationReferences `json:"location,omitempty"`
	Reference string              `json:"authorization_reference,omitempty"`
	Info      *DisplayText        `json:"info,omitempty"`
}

// locationReferences is where the driver wants to charge (2.2.1 mod_tokens,
// LocationReferences).
type locationReferences struct {
	LocationID string   `json:"location_id"`
	EVSEUIDs   []string `json:"evse_uids,omitempty"`
}

// cdrToken is the token as Sessions and CDRs carry it (2.2.1 mod_cdrs,
// CdrToken).
type cdrToken struct {
	CountryCode string `json:"country_code"`
	PartyID     string `json:"party_id"`
	UID         string `json:"uid"`
	Type        string `json:"type"`
	ContractID  string `json:"contract_id"`
}

func (t Token) forCDR() cdrToken {
	return cdrToken{t.CountryCode, t.PartyID, t.UID, t.Type, t.ContractID}
}
