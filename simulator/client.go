package simulator

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"busbar/ocpi"
)

// Answer is what came back for a request.
type Answer struct {
	HTTP int
	// Status is the envelope's status_code, 0 when the body is no OCPI answer.
	Status  ocpi.StatusCode
	Message string
	// Data is the envelope's data, nil when there is none.
	Data   json.RawMessage
	Header http.Header
}

// Err is nil for 1xxx, else a *Refusal.
func (a Answer) Err() error {
	if a.Status >= 1000 && a.Status < 2000 && a.HTTP < 300 {
		return nil
	}
	return &Refusal{a.HTTP, a.Status, a.Message}
}

// Refusal is an answer other than 1xxx. Status is 0 for no OCPI answer.
type Refusal struct {
	HTTP    int
	Status  ocpi.StatusCode
	Message string
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("answered HTTP %d, OCPI %d: %s", r.HTTP, r.Status, r.Message)
}

// Do sends a request to the hub's interface that it names and returns the
// answer, refusals included; the error is for no answer, ErrNotRegistered,
// ErrOffline, or an interface that the hub does not have. Version, RequestID, CorrelationID
// and ContentType may be empty.
func (p *Platform) Do(ctx context.Context, req ocpi.Request) (Answer, error) {
	base := p.Endpoint(req.Module, req.Interface)
	if base == "" {
		if _, err := p.hubToken(); err != nil {
			return Answer{}, err
		}
		return Answer{}, fmt.Errorf("the hub has no %s interface of %s", req.Interface, req.Module)
	}
	target := strings.TrimSuffix(base, "/")
	if path := strings.TrimPrefix(req.Path, "/"); path != "" {
		target += "/" + path
	}
	if req.Query != "" {
		target += "?" + req.Query
	}
	return p.follow(ctx, target, req.Path, req)
}

// Follow sends a request to a URL that was handed out: a response_url, a Link,
// a Location. It must be on the hub's host; req's Path and Query do not count.
func (p *Platform) Follow(ctx context.Context, target string, req ocpi.Request) (Answer, error) {
	u, err := url.Parse(target)
	if err != nil || !p.isHubURL(u) {
		return Answer{}, fmt.Errorf("URL %q is not on the hub's host", target)
	}
	return p.follow(ctx, target, u.EscapedPath(), req)
}

func (p *Platform) follow(ctx context.Context, target, path string, req ocpi.Request) (Answer, error) {
	token, err := p.hubToken()
	if err != nil {
		return Answer{}, err
	}
	return p.send(ctx, outbound{
		method: req.Method, url: target, token: token, body: req.Body,
		module: req.Module, side: req.Interface, path: path, from: req.From, to: req.To,
		requestID: req.RequestID, correlationID: req.CorrelationID,
	})
}

// Pages walks a list page by page and calls each with the objects of one page,
// until the last or until each returns an error. Every page is paced.
func (p *Platform) Pages(ctx context.Context, req ocpi.Request, each func([]json.RawMessage) error) error {
	req.Method = http.MethodGet
	next := ""
	for {
		if err := p.cfg.Pace(ctx); err != nil {
			return err
		}
		var got Answer
		var err error
		if next == "" {
			got, err = p.Do(ctx, req)
		} else {
			got, err = p.Follow(ctx, next, req)
		}
		if err == nil {
			err = got.Err()
		}
		if err != nil {
			return err
		}
		var objects []json.RawMessage
		if err := json.Unmarshal(got.Data, &objects); err != nil {
			return fmt.Errorf("list of %s: %w", req.Module, err)
		}
		if err := each(objects); err != nil {
			return err
		}
		if next = readNext(got.Header.Get(ocpi.HeaderLink)); next == "" {
			return nil
		}
	}
}

// outbound is a request as it leaves.
type outbound struct {
	method, url string
	token       ocpi.CredentialsToken
	body        []byte

	module                   ocpi.ModuleID
	side                     ocpi.InterfaceRole
	path                     string
	from, to                 ocpi.Address
	requestID, correlationID string
}

// send makes the exchange and notes it.
func (p *Platform) send(ctx context.Context, out outbound) (Answer, error) {
	if p.IsOffline() {
		return Answer{}, fmt.Errorf("%s %s: platform %s: %w", out.method, out.module, p.cfg.Name, ErrOffline)
	}
	if out.requestID == "" {
		out.requestID = newID()
	}
	if out.correlationID == "" {
		out.correlationID = newID()
	}
	start := p.cfg.Now()
	got, err := p.roundTrip(ctx, out)
	event := Event{
		Time: start, Platform: p.cfg.Name, Method: out.method, Module: out.module, Interface: out.side, Path: out.path,
		From: out.from.Party, To: out.to.Party, RequestID: out.requestID, CorrelationID: out.correlationID,
		HTTP: got.HTTP, Status: got.Status, Message: got.Message, Err: err, Duration: p.cfg.Now().Sub(start),
	}
	p.watcher.note(event)
	if err != nil {
		return Answer{}, fmt.Errorf("%s %s: %w", out.method, out.module, err)
	}
	return got, nil
}

func (p *Platform) roundTrip(ctx context.Context, out outbound) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, out.method, out.url, bytes.NewReader(out.body))
	if err != nil {
		return Answer{}, err
	}
	setHeader(req.Header, "Authorization", out.token.Authorization(ocpi.TokenBase64))
	setHeader(req.Header, ocpi.HeaderRequestID, out.requestID)
	setHeader(req.Header, ocpi.HeaderCorrelationID, out.correlationID)
	setRouting(req.Header, out.from, out.to)
	if len(out.body) > 0 {
		setHeader(req.Header, "Content-Type", "application/json")
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return Answer{}, err
	}
	return readAnswer(resp, body), nil
}

// readAnswer reads the envelope; a body that is none leaves Status 0.
func readAnswer(resp *http.Response, body []byte) Answer {
	got := Answer{HTTP: resp.StatusCode, Header: resp.Header}
	var envelope struct {
		Data    json.RawMessage `json:"data"`
		Status  ocpi.StatusCode `json:"status_code"`
		Message string          `json:"status_message"`
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		got.Message = "the body is no OCPI answer"
		return got
	}
	if string(envelope.Data) != "null" {
		got.Data = envelope.Data
	}
	got.Status, got.Message = envelope.Status, envelope.Message
	return got
}

// newID is a random UUID: for message ids and for sessions, CDRs and
// reservations (2.2.1 transport_and_format, Unique message IDs).
func newID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand aborts the process instead
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
