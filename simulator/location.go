package simulator

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"busbar/ocpi"
)

// Location is a Location object (2.2.1 mod_locations) as bytes, with what a CPO
// must know of it. Fields that the simulator does not know stay in Doc.
type Location struct {
	Owner ocpi.PartyKey
	// ID is the id as text, even where Doc has a number.
	ID string
	// LastUpdated is zero when Doc has none that can be read.
	LastUpdated time.Time
	Doc         json.RawMessage
}

// outline is the part of a Location that a charge needs. It reads what real
// peers write: numbers for ids, nulls, 2.1.1 names are simply absent.
type outline struct {
	ID          text `json:"id"`
	Name        text `json:"name"`
	Address     text `json:"address"`
	City        text `json:"city"`
	PostalCode  text `json:"postal_code"`
	Country     text `json:"country"`
	Coordinates struct {
		Latitude  text `json:"latitude"`
		Longitude text `json:"longitude"`
	} `json:"coordinates"`
	EVSEs []evseOutline `json:"evses"`
}

type evseOutline struct {
	UID          text               `json:"uid"`
	EVSEID       text               `json:"evse_id"`
	Status       text               `json:"status"`
	Capabilities texts              `json:"capabilities"`
	Connectors   []connectorOutline `json:"connectors"`
}

type connectorOutline struct {
	ID               text   `json:"id"`
	Standard         text   `json:"standard"`
	Format           text   `json:"format"`
	PowerType        text   `json:"power_type"`
	MaxVoltage       number `json:"max_voltage"`
	MaxAmperage      number `json:"max_amperage"`
	MaxElectricPower number `json:"max_electric_power"`
	TariffIDs        texts  `json:"tariff_ids"`
}

// Spot is a place to charge: ids as the module URLs have them. Connector may be
// empty for any.
type Spot struct{ Location, EVSE, Connector string }

// site is a Spot with what stands around it.
type site struct {
	Spot
	location  *outline
	evse      *evseOutline
	connector *connectorOutline
}

// sites lists every EVSE of a Location that can be addressed, with its first
// connector.
func (l Location) sites() []site {
	var o outline
	if json.Unmarshal(l.Doc, &o) != nil {
		return nil
	}
	var all []site
	for i := range o.EVSEs {
		e := &o.EVSEs[i]
		if e.UID == "" || len(e.Connectors) == 0 || e.Connectors[0].ID == "" {
			continue
		}
		all = append(all, site{
			Spot:     Spot{Location: l.ID, EVSE: string(e.UID), Connector: string(e.Connectors[0].ID)},
			location: &o, evse: e, connector: &e.Connectors[0],
		})
	}
	return all
}

// kilowatts is the power of the connector; what it does not say is taken for a
// common AC socket.
func (s site) kilowatts() float64 {
	c := s.connector
	if c.MaxElectricPower > 0 {
		return float64(c.MaxElectricPower) / 1000
	}
	phases := 1.0
	if c.PowerType == "AC_3_PHASE" {
		phases = 3
	}
	if kw := phases * float64(c.MaxVoltage) * float64(c.MaxAmperage) / 1000; kw > 0 {
		return kw
	}
	return 11
}

func (s site) direct() bool { return s.connector.PowerType == "DC" }

// can tells a capability (2.2.1 mod_locations, Capability).
func (s site) can(capability string) bool {
	for _, c := range s.evse.Capabilities {
		if strings.EqualFold(string(c), capability) {
			return true
		}
	}
	return false
}

// forCDR is the Location as a CDR keeps it. Required texts that a real Location
// lacks are "#NA" (2.2.1 transport_and_format, No data available).
func (s site) forCDR() cdrLocation {
	o := s.location
	return cdrLocation{
		ID: s.Location, Name: string(o.Name), Address: required(o.Address, 45), City: required(o.City, 45),
		PostalCode: string(o.PostalCode), Country: required(o.Country, 3),
		Coordinates: coordinates{required(o.Coordinates.Latitude, 10), required(o.Coordinates.Longitude, 11)},
		EVSEUID:     s.EVSE, EVSEID: required(s.evse.EVSEID, 48), ConnectorID: s.Connector,
		ConnectorStandard:  required(s.connector.Standard, 64),
		ConnectorFormat:    required(s.connector.Format, 64),
		ConnectorPowerType: required(s.connector.PowerType, 64),
	}
}

// required cuts a text to what the CDR's field allows.
func required(t text, most int) string {
	if t == "" {
		return "#NA"
	}
	if runes := []rune(t); len(runes) > most {
		return string(runes[:most])
	}
	return string(t)
}

// errNoChild tells that a Location has no such EVSE, or the EVSE no such
// Connector.
type errNoChild struct{ list, id string }

func (e errNoChild) Error() string { return fmt.Sprintf("nothing in %s is %s", e.list, e.id) }

// branch is one step down into a Location: in this list the child whose field
// has this id.
type branch struct{ list, field, id string }

// branches lead to an EVSE, or to a Connector of one.
func branches(ids []string) []branch {
	path := []branch{{list: "evses", field: "uid"}, {list: "connectors", field: "id"}}[:len(ids)]
	for i, id := range ids {
		path[i].id = id
	}
	return path
}

// of reads a parent, and returns the list in it and where the child stands there,
// -1 for nowhere.
func (b branch) of(doc json.RawMessage) (parent object, list []json.RawMessage, at int, err error) {
	if parent, err = readObject(doc); err != nil {
		return parent, nil, -1, err
	}
	if raw := parent.get(b.list); raw != nil {
		if err := json.Unmarshal(raw, &list); err != nil {
			return parent, nil, -1, fmt.Errorf("field %s: must be a list", b.list)
		}
	}
	for i, raw := range list {
		child, err := readObject(raw)
		if err == nil && strings.EqualFold(child.text(b.field), b.id) {
			return parent, list, i, nil
		}
	}
	return parent, list, -1, nil
}

// part finds an EVSE or Connector in a Location document.
func part(doc json.RawMessage, path []branch) (json.RawMessage, error) {
	for _, b := range path {
		_, list, i, err := b.of(doc)
		if err != nil {
			return nil, err
		}
		if i < 0 {
			return nil, errNoChild{b.list, b.id}
		}
		doc = list[i]
	}
	return doc, nil
}

// editPart changes what path leads to, or the document itself when it is empty.
// change is given nil for a child that does not exist yet. The parents'
// last_updated is lifted to that of the child (2.2.1 mod_locations, PUT: the
// Receiver SHALL also set the new value on the parents).
func editPart(doc json.RawMessage, path []branch, change func(json.RawMessage) (json.RawMessage, error)) (json.RawMessage, error) {
	if len(path) == 0 {
		return change(doc)
	}
	b := path[0]
	if doc == nil {
		return nil, errNoChild{b.list, b.id} // not even the EVSE above it
	}
	parent, list, i, err := b.of(doc)
	if err != nil {
		return nil, err
	}
	if i < 0 {
		list, i = append(list, nil), len(list)
	}
	if list[i], err = editPart(list[i], path[1:], change); err != nil {
		return nil, err
	}
	if child, err := readObject(list[i]); err == nil {
		// Statuses of two EVSEs may come in another order than they changed.
		updated := child.get("last_updated")
		if updated != nil && !looseTime(child.text("last_updated")).Before(looseTime(parent.text("last_updated"))) {
			parent.set("last_updated", updated)
		}
	}
	parent.set(b.list, joinArray(list))
	return parent.bytes(), nil
}
