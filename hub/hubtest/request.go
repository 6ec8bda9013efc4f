package hubtest

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Request is one request to the hub.
type Request struct {
	Method string
	// Path is the request target as it goes over the wire.
	Path string
	// Token is the credentials token; empty sends no Authorization header.
	Token string
	Plain bool
	// From and To are "NL/CPA"; empty leaves the pair out.
	From, To string
	Header   http.Header
	Body     string
	// Context, if set, cancels the request.
	Context context.Context
}

// Response is the hub's answer.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

// OCPI is the status_code of the envelope, 0 if there is none.
func (r *Response) OCPI() int {
	var envelope struct {
		StatusCode int `json:"status_code"`
	}
	if json.Unmarshal([]byte(r.Body), &envelope) != nil {
		return 0
	}
	return envelope.StatusCode
}

// Message is the status_message.
func (r *Response) Message() string {
	var envelope struct {
		StatusMessage string `json:"status_message"`
	}
	_ = json.Unmarshal([]byte(r.Body), &envelope)
	return envelope.StatusMessage
}

// Token is the token of the credentials object in the answer.
func (r *Response) Token() string {
	var envelope struct {
		Data struct {
			Token string `json:"token"`
		} `json:"data"`
	}
	_ = json.Unmarshal([]byte(r.Body), &envelope)
	return envelope.Data.Token
}

// Send sends a request and reads the whole answer.
func (h *Hub) Send(t testing.TB, r Request) *Response {
	t.Helper()
	resp, err := h.TrySend(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.Path, err)
	}
	return resp
}

// TrySend is Send for a request that may fail.
func (h *Hub) TrySend(r Request) (*Response, error) {
	ctx := r.Context
	if ctx == nil {
		ctx = context.Background()
	}
	var body io.Reader
	if r.Body != "" {
		body = strings.NewReader(r.Body)
	}
	// The path travels as it is written, dot segments and escapes included.
	req, err := http.NewRequestWithContext(ctx, r.Method, h.URL, body)
	if err != nil {
		return nil, err
	}
	path, query, _ := strings.Cut(r.Path, "?")
	req.URL.Opaque, req.URL.RawQuery = path, query
	if r.Token != "" {
		req.Header.Set("Authorization", authorization(r.Token, r.Plain))
	}
	if r.Body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	address(req.Header, "from", r.From)
	address(req.Header, "to", r.To)
	for name, values := range r.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	transport := h.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	return &Response{Status: resp.StatusCode, Header: resp.Header, Body: string(raw)}, err
}

func address(h http.Header, direction, party string) {
	if party == "" {
		return
	}
	country, id, _ := strings.Cut(party, "/")
	if country != "" {
		h.Set("OCPI-"+direction+"-country-code", country)
	}
	if id != "" {
		h.Set("OCPI-"+direction+"-party-id", id)
	}
}

// Send sends a request as the platform, under its token C.
func (p *Platform) Send(r Request) *Response {
	p.t.Helper()
	r.Token, r.Plain = p.TokenC, p.Plain
	return p.hub.Send(p.t, r)
}

// List asks a party, like "NL/CPA", for its list of a module.
func (p *Platform) List(module, of string) *Response {
	p.t.Helper()
	return p.Send(Request{Method: http.MethodGet, Path: "/ocpi/2.2.1/sender/" + module, To: of})
}
