package parties

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
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
	// passedOver says of which endpoints nothing could be made, and why.
	passedOver []string
}

// tell logs what was passed over, for whoever wonders why a module does not work.
func (d discovery) tell(logger *slog.Logger, id PlatformID) {
	if len(d.passedOver) > 0 {
		logger.Warn("endpoints of a platform are passed over: mend its version details, and let it register or renew again",
			"platform", id, "endpoints", strings.Join(d.passedOver, "; "))
	}
}

// handshake is a short-lived conversation with a peer whose registration is
// not complete, or is being renewed.
type handshake struct {
	client  *peer.Client
	timeout time.Duration
	// token is the one that the peer reads; offer the one that the hub sends it
	// in a credentials object.
	token, offer ocpi.CredentialsToken
	// requester is the platform's own client, whose memory bounds the answers with all
	// others that are held for it; nil until it has one.
	requester *peer.Client
}

func (r *Registrar) handshake(id PlatformID, token ocpi.CredentialsToken, form ocpi.TokenForm) *handshake {
	h := &handshake{client: r.cfg.Dialer.NewClient(token, form), timeout: r.cfg.CallTimeout, token: token}
	if e := r.cfg.Directory.Snapshot().Platform(id); e != nil {
		h.requester = e.Client
	}
	return h
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
	var details struct {
		Endpoints []json.RawMessage `json:"endpoints"`
	}
	if err := h.get(ctx, chosen.URL, &details); err != nil {
		return discovery{}, err
	}
	read := endpointReading{roles: roles}
	if err := read.all(details.Endpoints); err != nil {
		return discovery{}, err
	}
	return discovery{version: chosen.Version, endpoints: read.kept, passedOver: read.passedOver, form: h.client.Form()}, nil
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
		return ocpi.Errorf(ocpi.UnusableAPI, "GET %s: %v", ShownURL(url), err)
	}
	return nil
}

// refusesToken tells the answers, besides 401, with which real peers refuse a
// token that is written in the other form.
func refusesToken(answer *peer.Answer) bool {
	status, ok := ocpi.ScanEnvelope(answer.Body())
	return answer.Status() == 400 || answer.Status() == 403 || ok && status/1000 == 2 && answer.Status() != 401
}

// ShownURL is a peer's URL as it may stand in errors, logs and the audit trail: a
// query could hold a secret.
func ShownURL(url string) string {
	if end := strings.IndexAny(url, "?#"); end >= 0 {
		return url[:end]
	}
	return url
}

// call sends one request of the handshake; no routing headers (R1).
func (h *handshake) call(ctx context.Context, method, url string, body []byte) (*peer.Answer, error) {
	target, err := peer.ParseTarget(url)
	if err != nil {
		return nil, ocpi.Errorf(ocpi.UnusableAPI, "%v", err)
	}
	id := ocpi.NewMessageID()
	answer, err := h.client.Do(ctx, time.Now().Add(h.timeout), &peer.Call{
		Method: method, Target: &target, Body: body, Requester: h.requester,
		Headers: []ocpi.Header{{Name: ocpi.HeaderRequestID, Value: id}, {Name: ocpi.HeaderCorrelationID, Value: id}},
	})
	if err != nil {
		return nil, &callError{ocpi.Errorf(ocpi.UnusableAPI, "%s %s: %s", method, ShownURL(url), peer.Reason(err)), err}
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
