//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"busbar/ocpi"
)

// hubConfig says how to start one Busbar with the field registered to it.
type hubConfig struct {
	Name    string
	Dir     string
	Cores   string
	Binary  string
	Field   field
	Backend string
	// Env is what it is told beyond the embedded defaults.
	Env []string
}

// hubSeat is where one Busbar runs, now or later: its addresses, its tokens and
// its data stay the same when it is started again.
type hubSeat struct {
	hubConfig
	listen, admin string
	adminToken    ocpi.CredentialsToken
}

func newHubSeat(cfg hubConfig) (hubSeat, error) {
	s := hubSeat{hubConfig: cfg, adminToken: ocpi.NewCredentialsToken()}
	var err error
	if s.listen, err = freeAddr(); err == nil {
		s.admin, err = freeAddr()
	}
	return s, err
}

// start runs `busbar serve` on its embedded defaults and waits until it is
// ready.
func (s hubSeat) start(ctx context.Context) (*process, error) {
	p, err := start(processConfig{Name: s.Name, Cores: s.Cores, Dir: s.Dir, Argv: []string{s.Binary, "serve"}, Env: append([]string{
		"BUSBAR_LISTEN=" + s.listen,
		"BUSBAR_ADMIN_LISTEN=" + s.admin,
		"BUSBAR_PUBLIC_URL=http://" + s.listen,
		"BUSBAR_DATA_DIR=" + filepath.Join(s.Dir, s.Name),
		"BUSBAR_ADMIN_TOKEN=" + s.adminToken.Reveal(),
		"BUSBAR_PARTY=" + hubParty.String(),
		"BUSBAR_ALLOW_PRIVATE_PEERS=true",
	}, s.Env...)})
	if err != nil {
		return nil, err
	}
	r := s.registration()
	defer r.client.CloseIdleConnections()
	if err := p.await(ctx, func() bool { return r.ready(ctx) }); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// register brings the platforms of f onto the running hub, and notes their
// tokens in it.
func (s hubSeat) register(ctx context.Context, f field) error {
	r := s.registration()
	defer r.client.CloseIdleConnections()
	return r.registerAll(ctx, f)
}

func (s hubSeat) registration() registration {
	return registration{
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: registering}},
		public: "http://" + s.listen, admin: "http://" + s.admin, adminToken: s.adminToken, backend: "http://" + s.Backend,
	}
}

// connected is how many platforms are CONNECTED, as the hub's metrics say.
func (s hubSeat) connected(ctx context.Context) (int, error) {
	text, err := s.metrics(ctx)
	if err != nil {
		return 0, err
	}
	return connectedOf(text)
}

// metrics are the hub's, as it exposes them.
func (s hubSeat) metrics(ctx context.Context) ([]byte, error) {
	r := s.registration()
	defer r.client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, "GET", r.admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

var connectedLine = regexp.MustCompile(`(?m)^busbar_platforms\{status="CONNECTED"\} (\d+)$`)

// connectedOf reads metrics.
func connectedOf(metrics []byte) (int, error) {
	m := connectedLine.FindSubmatch(metrics)
	if m == nil {
		return 0, errors.New("the metrics do not tell how many platforms are CONNECTED")
	}
	return strconv.Atoi(string(m[1]))
}

// contestant is the hub once it runs and its field is registered.
func (s hubSeat) contestant(p *process) *contestant {
	return &contestant{Name: s.Name, process: p, seat: s, Field: s.Field, Target: s.Field.target(s.listen)}
}

// startHub starts a Busbar and registers the field.
func startHub(ctx context.Context, cfg hubConfig) (*contestant, error) {
	cfg.Field = slices.Clone(cfg.Field)
	seat, err := newHubSeat(cfg)
	if err != nil {
		return nil, err
	}
	p, err := seat.start(ctx)
	if err != nil {
		return nil, err
	}
	if err := seat.register(ctx, seat.Field); err != nil {
		p.stop()
		return nil, fmt.Errorf("%s: %w", cfg.Name, err)
	}
	return seat.contestant(p), nil
}

// registering is how many platforms register at a time.
const registering = 8

// registration brings a field onto a hub the way an operator and its peers do.
type registration struct {
	client                 *http.Client
	public, admin, backend string // base URLs
	adminToken             ocpi.CredentialsToken
}

// ready asks the hub's readiness probe.
func (r registration) ready(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, "GET", r.admin+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// registerAll registers every platform of f and notes in it the token that the
// hub minted for it. The first error ends it.
func (r registration) registerAll(ctx context.Context, f field) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan *platform)
	var workers sync.WaitGroup
	for range registering {
		workers.Go(func() {
			for p := range next {
				if err := r.register(ctx, p); err != nil {
					cancel(fmt.Errorf("register %s: %w", p.Name, err))
				}
			}
		})
	}
	for i := range f {
		select {
		case next <- &f[i]:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(next)
	workers.Wait()
	return context.Cause(ctx)
}

// partyWire is a role in the admin API.
type partyWire struct {
	Role        ocpi.Role `json:"role"`
	CountryCode string    `json:"country_code"`
	PartyID     string    `json:"party_id"`
}

// register creates the platform as the operator, then plays its part of the
// handshake.
func (r registration) register(ctx context.Context, p *platform) error {
	a, err := r.create(ctx, p)
	if err != nil {
		return err
	}
	p.Inbound, err = r.handshake(ctx, p, a)
	return err
}

// create announces the platform and its parties, and returns token A.
func (r registration) create(ctx context.Context, p *platform) (ocpi.CredentialsToken, error) {
	var roles []partyWire
	for _, key := range p.Parties {
		roles = append(roles, partyWire{Role: p.Role, CountryCode: key.CountryCode(), PartyID: key.PartyID()})
	}
	var created struct {
		TokenA string `json:"token_a"`
	}
	err := r.post(ctx, r.admin+"/api/v1/platforms", "Bearer "+r.adminToken.Reveal(),
		map[string]any{"name": p.Name, "roles": roles}, &created)
	if err != nil {
		return ocpi.CredentialsToken{}, err
	}
	return ocpi.ParseCredentialsToken(created.TokenA)
}

// handshake sends POST credentials with token A and returns token C (2.2.1
// credentials, Registration).
func (r registration) handshake(ctx context.Context, p *platform, a ocpi.CredentialsToken) (ocpi.CredentialsToken, error) {
	credentials := ocpi.Credentials{Token: p.Outbound, URL: r.backend + "/" + p.Name + "/ocpi/versions"}
	for _, key := range p.Parties {
		credentials.Roles = append(credentials.Roles, ocpi.CredentialsRole{PartyRole: ocpi.PartyRole{Party: key, Role: p.Role}})
	}
	var answer struct {
		StatusCode    ocpi.StatusCode `json:"status_code"`
		StatusMessage string          `json:"status_message"`
		Data          struct {
			Token string `json:"token"`
		} `json:"data"`
	}
	err := r.post(ctx, r.public+"/ocpi/2.2.1/credentials", a.Authorization(ocpi.TokenBase64), credentials.JSON(), &answer)
	if err != nil {
		return ocpi.CredentialsToken{}, err
	}
	if answer.StatusCode != ocpi.Success {
		return ocpi.CredentialsToken{}, fmt.Errorf("POST credentials: %d %s", answer.StatusCode, answer.StatusMessage)
	}
	return ocpi.ParseCredentialsToken(answer.Data.Token)
}

// post sends JSON and reads the JSON of a 2xx answer.
func (r registration) post(ctx context.Context, url, authorization string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, "POST", url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", authorization)
	req.Header.Set("Content-Type", "application/json")
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("POST %s: %s: %.300s", req.URL.Path, resp.Status, text)
	}
	return json.Unmarshal(text, answer)
}
