package simulator

// session is the object of the sessions module (2.2.1 mod_sessions, Session
// object).
type session struct {
	CountryCode     string           `json:"country_code"`
	PartyID         string           `json:"party_id"`
	ID              string           `json:"id"`
	StartDateTime   string           `json:"start_date_time"`
	EndDateTime     string           `json:"end_date_time,omitempty"`
	KWh             float64          `json:"kwh"`
	CDRToken        cdrToken         `json:"cdr_token"`
	AuthMethod      string           `json:"auth_method"`
	AuthReference   string           `json:"authorization_reference,omitempty"`
	LocationID      string           `json:"location_id"`
	EVSEUID         string           `json:"evse_uid"`
	ConnectorID     string           `json:"connector_id"`
	Currency        string           `json:"currency"`
	ChargingPeriods []chargingPeriod `json:"charging_periods,omitempty"`
	TotalCost       *Price           `json:"total_cost,omitempty"`
	Status          string           `json:"status"`
	LastUpdated     string           `json:"last_updated"`
}

// sessionPatch is what a running session sends: its periods are added to those
// the receiver has (2.2.1 mod_sessions, PATCH).
type sessionPatch struct {
	KWh             float64          `json:"kwh"`
	ChargingPeriods []chargingPeriod `json:"charging_periods,omitempty"`
	TotalCost       *Price           `json:"total_cost,omitempty"`
	Status          string           `json:"status"`
	LastUpdated     string           `json:"last_updated"`
}

// The session states that the simulator passes through (2.2.1 mod_sessions,
// SessionStatus).
const (
	sessionActive    = "ACTIVE"
	sessionCompleted = "COMPLETED"
)

// How a session was authorised (2.2.1 mod_cdrs, AuthMethod).
const (
	authRequest = "AUTH_REQUEST"
	authCommand = "COMMAND"
)

// chargingPeriod is a stretch of a session (2.2.1 mod_cdrs, ChargingPeriod). It
// ends where the next one starts.
type chargingPeriod struct {
	StartDateTime string         `json:"start_date_time"`
	Dimensions    []cdrDimension `json:"dimensions"`
	TariffID      string         `json:"tariff_id,omitempty"`
}

type cdrDimension struct {
	Type   Dimension `json:"type"`
	Volume float64   `json:"volume"`
}

// cdr is the charge detail record (2.2.1 mod_cdrs, CDR object).
type cdr struct {
	CountryCode      string           `json:"country_code"`
	PartyID          string           `json:"party_id"`
	ID               string           `json:"id"`
	StartDateTime    string           `json:"start_date_time"`
	EndDateTime      string           `json:"end_date_time"`
	SessionID        string           `json:"session_id"`
	CDRToken         cdrToken         `json:"cdr_token"`
	AuthMethod       string           `json:"auth_method"`
	AuthReference    string           `json:"authorization_reference,omitempty"`
	Location         cdrLocation      `json:"cdr_location"`
	Currency         string           `json:"currency"`
	Tariffs          []Tariff         `json:"tariffs"`
	ChargingPeriods  []chargingPeriod `json:"charging_periods"`
	TotalCost        Price            `json:"total_cost"`
	TotalFixedCost   *Price           `json:"total_fixed_cost,omitempty"`
	TotalEnergy      float64          `json:"total_energy"`
	TotalEnergyCost  *Price           `json:"total_energy_cost,omitempty"`
	TotalTime        float64          `json:"total_time"`
	TotalTimeCost    *Price           `json:"total_time_cost,omitempty"`
	TotalParkingTime float64          `json:"total_parking_time"`
	TotalParkingCost *Price           `json:"total_parking_cost,omitempty"`
	LastUpdated      string           `json:"last_updated"`
}

// cdrLocation is what a CDR keeps of a Location (2.2.1 mod_cdrs, CdrLocation).
type cdrLocation struct {
	ID                 string      `json:"id"`
	Name               string      `json:"name,omitempty"`
	Address            string      `json:"address"`
	City               string      `json:"city"`
	PostalCode         string      `json:"postal_code,omitempty"`
	Country            string      `json:"country"`
	Coordinates        coordinates `json:"coordinates"`
	EVSEUID            string      `json:"evse_uid"`
	EVSEID             string      `json:"evse_id"`
	ConnectorID        string      `json:"connector_id"`
	ConnectorStandard  string      `json:"connector_standard"`
	ConnectorFormat    string      `json:"connector_format"`
	ConnectorPowerType string      `json:"connector_power_type"`
}

type coordinates struct {
	Latitude  string `json:"latitude"`
	Longitude string `json:"longitude"`
}
