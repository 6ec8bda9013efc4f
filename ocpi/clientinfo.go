package ocpi

// ConnectionStatus is the state of a party's platform as other parties see it
// (2.2.1 mod_hub_client_info, ConnectionStatus).
type ConnectionStatus string

// The states of a connection.
const (
	Connected ConnectionStatus = "CONNECTED"
	Offline   ConnectionStatus = "OFFLINE"
	Planned   ConnectionStatus = "PLANNED"
	Suspended ConnectionStatus = "SUSPENDED"
)

// ClientInfo is the object of the hubclientinfo module (2.2.1
// mod_hub_client_info, ClientInfo object).
type ClientInfo struct {
	PartyID     string           `json:"party_id"`
	CountryCode string           `json:"country_code"`
	Role        Role             `json:"role"`
	Status      ConnectionStatus `json:"status"`
	LastUpdated string           `json:"last_updated"`
}
