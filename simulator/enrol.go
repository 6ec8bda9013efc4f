package simulator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"busbar/ocpi"
)

// Enrol asks the operator of a hub for a token A for a platform, which OCPI
// leaves outside the protocol (2.2.1 credentials, Registration). It returns the
// URL of the hub's versions with it.
type Enrol func(ctx context.Context, name string, roles []ocpi.PartyRole) (versionsURL string, tokenA ocpi.CredentialsToken, err error)

// AdminEnrol enrols through the hub's admin API: POST /api/v1/platforms.
// adminURL is the base of the admin listener, adminToken its bearer token.
func AdminEnrol(adminURL, adminToken string) Enrol {
	target := strings.TrimSuffix(adminURL, "/") + "/api/v1/platforms"
	client := &http.Client{Timeout: 30 * time.Second}
	return func(ctx context.Context, name string, roles []ocpi.PartyRole) (string, ocpi.CredentialsToken, error) {
		fail := func(err error) (string, ocpi.CredentialsToken, error) {
			return "", ocpi.CredentialsToken{}, fmt.Errorf("enrol %s: %w", name, err)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(enrolBody(name, roles)))
		if err != nil {
			return fail(err)
		}
		req.Header.Set("Authorization", "Bearer "+adminToken)
		req.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(req)
		if err != nil {
			return fail(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
		if err != nil {
			return fail(err)
		}
		versionsURL, token, err := readEnrolment(resp.StatusCode, body)
		if err != nil {
			return fail(err)
		}
		return versionsURL, token, nil
	}
}

func enrolBody(name string, roles []ocpi.PartyRole) []byte {
	type role struct {
		CountryCode string    `json:"country_code"`
		PartyID     string    `json:"party_id"`
		Role        ocpi.Role `json:"role"`
	}
	body := struct {
		Name  string `json:"name"`
		Roles []role `json:"roles"`
	}{Name: name}
	for _, r := range roles {
		body.Roles = append(body.Roles, role{r.Party.CountryCode(), r.Party.PartyID(), r.Role})
	}
	return encode(body)
}

// readEnrolment never repeats the body in an error: it may hold a token.
func readEnrolment(status int, body []byte) (string, ocpi.CredentialsToken, error) {
	var got struct {
		TokenA      string          `json:"token_a"`
		VersionsURL string          `json:"versions_url"`
		Error       string          `json:"error"`
		Fields      json.RawMessage `json:"fields"`
	}
	err := json.Unmarshal(body, &got)
	if status != http.StatusCreated {
		return "", ocpi.CredentialsToken{}, fmt.Errorf("the admin API answered HTTP %d: %s %s", status, got.Error, got.Fields)
	}
	if err != nil {
		return "", ocpi.CredentialsToken{}, fmt.Errorf("the admin API's answer is not JSON: %w", err)
	}
	token, err := ocpi.ParseCredentialsToken(got.TokenA)
	if err != nil {
		return "", ocpi.CredentialsToken{}, fmt.Errorf("field token_a %w", err)
	}
	if err := ocpi.CheckURL(got.VersionsURL); err != nil {
		return "", ocpi.CredentialsToken{}, fmt.Errorf("field versions_url %w", err)
	}
	return got.VersionsURL, token, nil
}
