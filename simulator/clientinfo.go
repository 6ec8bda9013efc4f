package simulator

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"busbar/ocpi"
)

// infoKey keeps the roles of a party apart, which the URL does not.
func infoKey(r ocpi.PartyRole) string { return fold(r.Party.String(), string(r.Role)) }

// receiveClientInfo keeps what the hub pushes about the parties of other
// platforms (2.2.1 mod_hub_client_info, Receiver interface).
func (p *Platform) receiveClientInfo(in inbound) reply {
	if len(in.segments) != 2 {
		return invalid("URL must be {country_code}/{party_id}")
	}
	party, err := ocpi.ParsePartyKey(in.segments[0], in.segments[1])
	if err != nil {
		return invalid("URL: %v", err)
	}
	switch in.method {
	case http.MethodPut:
		info, fault := readClientInfo(in.body)
		if fault != nil {
			return refuse(fault)
		}
		if info.party() != party {
			return invalid("fields country_code and party_id must be those of the URL")
		}
		p.learn(info)
		return answer(nil)
	case http.MethodGet:
		// The URL has no role: the one that changed last.
		return in.object(p.infos, fold(party.String()))
	}
	return notAllowed(in.method)
}

// clientInfo is a ClientInfo with its bytes.
type clientInfo struct {
	ocpi.ClientInfo
	raw json.RawMessage
}

func (i clientInfo) party() ocpi.PartyKey {
	key, err := ocpi.ParsePartyKey(i.CountryCode, i.PartyID)
	if err != nil {
		return ocpi.PartyKey{} // readClientInfo lets none of these pass
	}
	return key
}

// readClientInfo checks the object (2.2.1 mod_hub_client_info, ClientInfo
// object: every field has cardinality 1).
func readClientInfo(body []byte) (clientInfo, *ocpi.Error) {
	i := clientInfo{raw: body}
	if err := json.Unmarshal(body, &i.ClientInfo); err != nil {
		return i, ocpi.Errorf(ocpi.InvalidParameters, "body does not fit ClientInfo: %v", err)
	}
	if _, err := ocpi.ParsePartyKey(i.CountryCode, i.PartyID); err != nil {
		return i, ocpi.Errorf(ocpi.InvalidParameters, "ClientInfo: %v", err)
	}
	if _, err := ocpi.ParseRole(string(i.Role)); err != nil {
		return i, ocpi.Errorf(ocpi.InvalidParameters, "field role: %v", err)
	}
	switch i.Status {
	case ocpi.Connected, ocpi.Offline, ocpi.Planned, ocpi.Suspended:
	default:
		return i, ocpi.Errorf(ocpi.InvalidParameters, "field status: %q is no ConnectionStatus", i.Status)
	}
	if _, err := ocpi.ParseTime(i.LastUpdated); err != nil {
		return i, ocpi.Errorf(ocpi.InvalidParameters, "field last_updated: %v", err)
	}
	return i, nil
}

// learn keeps a ClientInfo, unless it knows a newer one: what is pushed and what
// is pulled may overtake each other.
func (p *Platform) learn(i clientInfo) {
	updated, _ := ocpi.ParseTime(i.LastUpdated) // readClientInfo has checked it
	d := document{body: i.raw, updated: updated}
	if p.infos.putNewer(infoKey(ocpi.PartyRole{Party: i.party(), Role: i.Role}), d) {
		p.infos.put(fold(i.party().String()), d)
	}
	if p.cfg.told != nil {
		p.cfg.told()
	}
}

// Status is what the hub last said of a party of another platform; empty when it
// said nothing.
func (p *Platform) Status(r ocpi.PartyRole) ocpi.ConnectionStatus {
	d, ok := p.infos.get(infoKey(r))
	if !ok {
		return ""
	}
	var info ocpi.ClientInfo
	if json.Unmarshal(d.body, &info) != nil {
		return ""
	}
	return info.Status
}

// PullClientInfos asks the hub for the status of all parties, as a platform does
// that was away (2.2.1 mod_hub_client_info, Pull model). It returns how many
// came.
func (p *Platform) PullClientInfos(ctx context.Context) (int, error) {
	count := 0
	req := ocpi.Request{Module: ocpi.ModuleHubClientInfo, Interface: ocpi.Sender}
	err := p.Pages(ctx, req, func(page []json.RawMessage) error {
		for _, raw := range page {
			info, fault := readClientInfo(raw)
			if fault != nil {
				return fmt.Errorf("ClientInfo: %w", fault)
			}
			p.learn(info)
			count++
		}
		return nil
	})
	return count, err
}
