package parties

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"busbar/ocpi"
	"busbar/ocpi/peer"
)

// discovery is what the hub learned from a peer's versions and details.
type discovery struct {
	version   ocpi.Version
	endpoints []ocpi.Endpoint
	form      ocpi.TokenForm
}

// handshake is a short-lived conversation with a peer whose registration is
// not complete, or is being renewed.
type handshake struct {
	client  *peer.Client
	timeout time.Duration
	// token is the one that the peer reads; offer the one that the hub sends it
	// in a credentials object.
	token, offer ocpi.CredentialsToken
}

func (r *Registrar) handshake(token ocpi.CredentialsToken, form ocpi.TokenForm) *handshake {
	return &handshake{client: r.cfg.Dialer.NewClient(token, form), timeout: r.cfg.CallTimeout, token: token}
}

// discover fetches versions and details. choose picks the version from the
// peer's list. Every error is an *ocpi.Error: 3001 when the peer's API can't be
// used, 3002 when no version fits, 3003 when there is nothing to route (C3).
func (h *handshake) discover(ctx context.Context, versionsURL string, roles []ocpi.CredentialsRole,
	choose func([]ocpi.VersionInfo) (ocpi.VersionInfo, error)) (discovery, error) {
	var infos []ocpi.VersionInfo
	if err := h.get(ctx, versionsURL, &infos); err != nil {
		return discovery{}, err
	}
	chosen, err := choose(infos)
	if err != nil {
		return discovery{}, err
	}
	var details ocpi.VersionDetails
	if err := h.get(ctx, chosen.URL, &details); err != nil {
		return discovery{}, err
	}
	endpoints, err := checkEndpoints(details.Endpoints, roles)
	if err != nil {
		return discovery{}, err
	}
	return discovery{version: chosen.Version, endpoints: endpoints, form: h.client.Form()}, nil
}

// exactly chooses the version that the peer posted to (C3, V4).
func exactly(v ocpi.Version) func([]ocpi.VersionInfo) (ocpi.VersionInfo, error) {
	return func(infos []ocpi.VersionInfo) (ocpi.VersionInfo, error) {
		for _, info := range infos {
			if info.Version == v {
				return info, nil
			}
		}
		return ocpi.VersionInfo{}, ocpi.Errorf(ocpi.UnsupportedVersion,
			"your versions endpoint lists %s, not %s at which you registered", listVersions(infos), v)
	}
}

// latestMutual chooses as the Sender of a registration does (V4).
func latestMutual(limit ocpi.Version) func([]ocpi.VersionInfo) (ocpi.VersionInfo, error) {
	return func(infos []ocpi.VersionInfo) (ocpi.VersionInfo, error) {
		for _, v := range ocpi.Versions {
			for _, info := range infos {
				if info.Version == v && (limit == "" || limit == v) {
					return info, nil
				}
			}
		}
		return ocpi.VersionInfo{}, ocpi.Errorf(ocpi.UnsupportedVersion,
			"the platform lists versions %s; none is spoken here", listVersions(infos))
	}
}

// mostNamed bounds the versions that an error names: it stands in the log, too.
const mostNamed = 10

func listVersions(infos []ocpi.VersionInfo) string {
	names := make([]string, 0, mostNamed+1)
	for _, info := range infos {
		if len(names) == mostNamed {
			names = append(names, "…")
			break
		}
		names = append(names, fmt.Sprintf("%.12s", info.Version))
	}
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// mostEndpoints bounds the endpoints of a platform. OCPI's modules have eighteen;
// each is kept in every replica, and compared with those before it.
const mostEndpoints = 500

// checkEndpoints keeps the endpoints that the hub can use. An endpoint without
// a role belongs to the interface that the platform's roles imply.
func checkEndpoints(endpoints []ocpi.Endpoint, roles []ocpi.CredentialsRole) ([]ocpi.Endpoint, error) {
	if len(endpoints) > mostEndpoints {
		return nil, ocpi.Errorf(ocpi.UnusableAPI, "version details: field endpoints: must have at most %d entries, has %d",
			mostEndpoints, len(endpoints))
	}
	var kept []ocpi.Endpoint
	functional := false
	for i, e := range endpoints {
		id, err := ocpi.ParseModuleID(strings.TrimSpace(string(e.Identifier)))
		if err != nil {
			return nil, ocpi.Errorf(ocpi.UnusableAPI, "version details: field endpoints[%d].identifier: %v", i, err)
		}
		if err := ocpi.CheckURL(e.URL); err != nil {
			return nil, ocpi.Errorf(ocpi.UnusableAPI, "version details: field endpoints[%d].url (%s): %v", i, id, err)
		}
		sides, err := sidesOf(id, e.Role, roles)
		if err != nil {
			return nil, ocpi.Errorf(ocpi.UnusableAPI, "version details: field endpoints[%d].role (%s): %v", i, id, err)
		}
		functional = functional || !id.IsConfiguration()
		for _, side := range sides {
			e := ocpi.Endpoint{Identifier: id, Role: side, URL: e.URL}
			same := func(o ocpi.Endpoint) bool { return o.Identifier == e.Identifier && o.Role == e.Role }
			if !slices.ContainsFunc(kept, same) {
				kept = append(kept, e)
			}
		}
	}
	if !functional {
		return nil, ocpi.Errorf(ocpi.NoMatchingEndpoints,
			"version details list no endpoint of a functional module, so there is nothing to route")
	}
	return kept, nil
}

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
		if slices.ContainsFunc(roles, func(r ocpi.CredentialsRole) bool { return r.Role.Implements(id, side) }) {
			sides = append(sides, side)
		}
	}
	if len(sides) == 0 {
		return nil, fmt.Errorf("is missing, and no role of the credentials implies it")
	}
	return sides, nil
}

// get calls a configuration endpoint of the peer and decodes its data. The
// error is 3001 and names the URL, which is the peer's own.
func (h *handshake) get(ctx context.Context, url string, data any) error {
	answer, err := h.call(ctx, "GET", url, nil)
	if err != nil {
		return err
	}
	defer func() { answer.Release() }()
	if refusesToken(answer) {
		// Not every peer says 401 to a token in a form that it cannot read.
		form := h.client.Form()
		h.client.SetToken(h.token, form.Other())
		other, err := h.call(ctx, "GET", url, nil)
		if err != nil {
			return err
		}
		if refusesToken(other) {
			other.Release()
			h.client.SetToken(h.token, form)
		} else {
			answer.Release()
			answer = other
		}
	}
	if err := h.decode(answer, data); err != nil {
		return ocpi.Errorf(ocpi.UnusableAPI, "GET %s: %v", shown(url), err)
	}
	return nil
}

// refusesToken tells the answers, besides 401, with which real peers refuse a
// token that is written in the other form.
func refusesToken(answer *peer.Answer) bool {
	status, ok := ocpi.ScanEnvelope(answer.Body())
	return answer.Status() == 400 || answer.Status() == 403 || ok && status/1000 == 2 && answer.Status() != 401
}

// shown is a peer's URL as it may stand in errors and logs: a query could hold
// a secret.
func shown(url string) string {
	path, _, _ := strings.Cut(url, "?")
	return path
}

// call sends one request of the handshake; no routing headers (R1).
func (h *handshake) call(ctx context.Context, method, url string, body []byte) (*peer.Answer, error) {
	target, err := peer.ParseTarget(url)
	if err != nil {
		return nil, ocpi.Errorf(ocpi.UnusableAPI, "%v", err)
	}
	id := ocpi.NewMessageID()
	answer, err := h.client.Do(ctx, time.Now().Add(h.timeout), &peer.Call{
		Method: method, Target: &target, Body: body,
		Headers: []ocpi.Header{{Name: ocpi.HeaderRequestID, Value: id}, {Name: ocpi.HeaderCorrelationID, Value: id}},
	})
	if err != nil {
		return nil, &callError{ocpi.Errorf(ocpi.UnusableAPI, "%s %s: %s", method, shown(url), peer.Reason(err)), err}
	}
	return answer, nil
}

// callError is the refusal that the other side reads, with the failure that
// tells whether the call may have been carried out.
type callError struct {
	refusal *ocpi.Error
	cause   error
}

func (e *callError) Error() string   { return e.refusal.Error() }
func (e *callError) Unwrap() []error { return []error{e.refusal, e.cause} }

// decode checks a peer's answer and reads its data. Real peers wrap a single
// object in an array, or a list of one in nothing: both are read.
func (h *handshake) decode(answer *peer.Answer, data any) error {
	if s := answer.Status(); s == 401 {
		return fmt.Errorf("HTTP 401: the credentials token is refused, both Base64 encoded and plain")
	} else if s/100 == 3 {
		return fmt.Errorf("HTTP %d: redirects are not followed, since a token must not travel to another URL", s)
	} else if s/100 != 2 {
		return fmt.Errorf("HTTP %d%s", s, h.reason(answer))
	}
	if answer.Encoded() {
		return fmt.Errorf("the body has a Content-Encoding that was not asked for")
	}
	var envelope struct {
		Data json.RawMessage `json:"data"`
	}
	status, ok := ocpi.ScanEnvelope(answer.Body())
	if !ok || json.Unmarshal(answer.Body(), &envelope) != nil {
		return fmt.Errorf("the body is not an OCPI response: a JSON object with status_code and data")
	}
	if status/1000 != 1 {
		return fmt.Errorf("OCPI status_code %d%s", status, h.reason(answer))
	}
	if data == nil {
		return nil
	}
	if err := decodeLeniently(envelope.Data, data); err != nil {
		return fmt.Errorf("field data: %v", err)
	}
	return nil
}

// reason is the peer's own status_message, for whoever has to mend it: at most
// 200 characters, and without the tokens of this handshake.
func (h *handshake) reason(answer *peer.Answer) string {
	var envelope struct {
		Message string `json:"status_message"`
	}
	if json.Unmarshal(answer.Body(), &envelope) != nil || envelope.Message == "" {
		return ""
	}
	message := envelope.Message
	for _, token := range []ocpi.CredentialsToken{h.token, h.offer} {
		if token.IsZero() {
			continue
		}
		_, encoded, _ := strings.Cut(token.Authorization(ocpi.TokenBase64), " ")
		message = strings.NewReplacer(token.Reveal(), "[redacted]", encoded, "[redacted]").Replace(message)
	}
	if runes := []rune(message); len(runes) > 200 {
		message = string(runes[:200]) + "…"
	}
	return fmt.Sprintf(", saying %q", message)
}

func decodeLeniently(raw json.RawMessage, data any) error {
	err := json.Unmarshal(raw, data)
	if err == nil {
		return nil
	}
	text := strings.TrimSpace(string(raw))
	if strings.HasPrefix(text, "{") && json.Unmarshal([]byte("["+text+"]"), data) == nil {
		return nil
	}
	if strings.HasPrefix(text, "[") {
		var items []json.RawMessage
		if json.Unmarshal(raw, &items) == nil && len(items) == 1 && json.Unmarshal(items[0], data) == nil {
			return nil
		}
	}
	return err
}
