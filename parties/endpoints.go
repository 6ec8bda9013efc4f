package parties

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"busbar/ocpi"
)

const (
	// mostEndpoints bounds the endpoints of a platform. OCPI's modules have eighteen;
	// each is kept in every replica, and compared with those before it.
	mostEndpoints = 500
	// mostPassedOver bounds those that are named.
	mostPassedOver = 10
)

// endpointReading keeps the endpoints of version details that the hub can use. An
// endpoint of which nothing can be made is passed over, unless the platform's roles
// need it: one mistake must not keep a platform out whose other modules work.
type endpointReading struct {
	roles      []ocpi.CredentialsRole
	kept       []ocpi.Endpoint
	passedOver []string
}

// all reads the endpoints. The error is 3001 and names the one that is needed, or
// 3003 when there is nothing to route.
func (r *endpointReading) all(endpoints []json.RawMessage) error {
	if len(endpoints) > mostEndpoints {
		return ocpi.Errorf(ocpi.UnusableAPI, "version details: field endpoints: must have at most %d entries, has %d",
			mostEndpoints, len(endpoints))
	}
	for i, raw := range endpoints {
		fault, needed := r.one(raw)
		switch {
		case fault == nil:
		case needed:
			return ocpi.Errorf(ocpi.UnusableAPI, "version details: field endpoints[%d]%v", i, fault)
		case len(r.passedOver) == mostPassedOver:
			r.passedOver = append(r.passedOver, "…")
		case len(r.passedOver) < mostPassedOver:
			r.passedOver = append(r.passedOver, fmt.Sprintf("endpoints[%d]%v", i, fault))
		}
	}
	if !slices.ContainsFunc(r.kept, func(e ocpi.Endpoint) bool { return !e.Identifier.IsConfiguration() }) {
		text := "version details list no endpoint of a functional module, so there is nothing to route"
		if len(r.passedOver) > 0 {
			text += "; passed over: " + strings.Join(r.passedOver, "; ")
		}
		return ocpi.Errorf(ocpi.NoMatchingEndpoints, "%s", text)
	}
	return nil
}

// one keeps an endpoint. The fault reads behind its place in the list; needed tells
// that the platform's roles imply the interface.
func (r *endpointReading) one(raw json.RawMessage) (fault error, needed bool) {
	var e ocpi.Endpoint
	if json.Unmarshal(raw, &e) != nil {
		return errors.New(": must be an object of strings"), false
	}
	id, err := ocpi.ParseModuleID(strings.TrimSpace(string(e.Identifier)))
	if err != nil {
		return fmt.Errorf(".identifier: %w", err), false
	}
	sides, err := sidesOf(id, e.Role, r.roles)
	if err != nil {
		return fmt.Errorf(".role (%s): %w", id, err), false
	}
	if err := ocpi.CheckURL(e.URL); err != nil {
		return fmt.Errorf(".url (%s): %w", id, err), r.need(id, sides)
	}
	for _, side := range sides {
		e := ocpi.Endpoint{Identifier: id, Role: side, URL: e.URL}
		same := func(o ocpi.Endpoint) bool { return o.Identifier == e.Identifier && o.Role == e.Role }
		if !slices.ContainsFunc(r.kept, same) {
			r.kept = append(r.kept, e)
		}
	}
	return nil, false
}

// need tells whether the platform's roles imply one of the interfaces.
func (r *endpointReading) need(id ocpi.ModuleID, sides []ocpi.InterfaceRole) bool {
	if !id.IsStandard() {
		return id == ocpi.ModuleCredentials
	}
	return slices.ContainsFunc(sides, func(side ocpi.InterfaceRole) bool { return implied(r.roles, id, side) })
}

func implied(roles []ocpi.CredentialsRole, id ocpi.ModuleID, side ocpi.InterfaceRole) bool {
	return slices.ContainsFunc(roles, func(r ocpi.CredentialsRole) bool { return r.Role.Implements(id, side) })
}

// sidesOf are the interfaces that an endpoint serves. One without a role serves
// those that the platform's roles imply.
func sidesOf(id ocpi.ModuleID, role ocpi.InterfaceRole, roles []ocpi.CredentialsRole) ([]ocpi.InterfaceRole, error) {
	if id == ocpi.ModuleCredentials {
		return []ocpi.InterfaceRole{ocpi.Sender}, nil // the role says nothing there
	}
	if role != "" {
		side, err := ocpi.ParseInterfaceRole(string(role))
		return []ocpi.InterfaceRole{side}, err
	}
	var sides []ocpi.InterfaceRole
	for _, side := range []ocpi.InterfaceRole{ocpi.Sender, ocpi.Receiver} {
		if implied(roles, id, side) {
			sides = append(sides, side)
		}
	}
	if len(sides) == 0 {
		return nil, errors.New("is missing, and no role of the credentials implies it")
	}
	return sides, nil
}
