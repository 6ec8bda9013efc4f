package simulator

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"busbar/ocpi"
)

// TestC2_PlatformRegistersAsSender: A opens versions, B is used by the hub
// before it answers, C works afterwards, A no more.
func TestC2_PlatformRegistersAsSender(t *testing.T) {
	t.Parallel()
	h := newStubHub(t)
	p := h.serve(Config{Name: "p", Parties: []Party{sampleCPO("NLKVL"), sampleEMSP("NLKVL")}})
	if _, err := p.Do(t.Context(), ocpi.Request{Module: ocpi.ModuleTokens, Interface: ocpi.Sender}); !errors.Is(err, ErrNotRegistered) {
		t.Errorf("before the registration: %v", err)
	}
	versionsURL, tokenA, _ := h.enrol(t.Context(), "p", nil)
	if err := p.Register(t.Context(), versionsURL, tokenA); err != nil {
		t.Fatal(err)
	}
	if got := len(h.peers[0].out.Roles); got != 2 || !p.Registered() {
		t.Errorf("the hub knows %d roles", got)
	}
	if len(h.peers[0].endpoints) != 16 {
		t.Errorf("a platform of both roles has %d endpoints: %v", len(h.peers[0].endpoints), h.peers[0].endpoints)
	}
	if err := p.Register(t.Context(), versionsURL, tokenA); err == nil {
		t.Error("token A works twice")
	}
	if !p.Registered() {
		t.Error("a registration that failed ended the one before")
	}
}

// TestC5_RotateRenewsBothTokens and Unregister ends them.
func TestC5_RotateRenewsBothTokens(t *testing.T) {
	t.Parallel()
	h := newStubHub(t)
	p := h.start(Config{Name: "p", Parties: []Party{sampleCPO("NLKVL")}})
	in, out := h.peers[0].in, h.peers[0].out.Token
	if err := p.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.peers[0].in == in || h.peers[0].out.Token == out {
		t.Error("a token did not change")
	}
	list := p.VersionsURL()[:len(p.VersionsURL())-len(versionsPath)] + face{ocpi.ModuleLocations, ocpi.Sender}.path()
	if got := h.call(http.MethodGet, list, out, nil, nil, nil); got != 401 {
		t.Errorf("the old token answers %d after the new one was used", got)
	}
	if err := p.Unregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	if p.Registered() || p.Rotate(t.Context()) == nil {
		t.Error("the platform is still registered")
	}
}

// TestC2_HubRegistersAsSender: the hub dials, renews by PUT and leaves.
func TestC2_HubRegistersAsSender(t *testing.T) {
	t.Parallel()
	h := newStubHub(t)
	p := h.serve(Config{Name: "p", Parties: []Party{sampleCPO("NLKVL")}})
	versionsURL, tokenA := p.Invite()
	target := strings.TrimSuffix(versionsURL, versionsPath) + credentialsPath
	// The hub's own versions open for the token it hands out.
	hubToken := ocpi.NewCredentialsToken()
	h.peers = append(h.peers, &stubPeer{in: hubToken.Hash()})
	body := h.ownCredentials(hubToken).JSON()

	var answered struct {
		Token string `json:"token"`
		URL   string `json:"url"`
	}
	if got := h.call(http.MethodPut, target, tokenA, nil, body, nil); got != 405 {
		t.Errorf("PUT before POST: %d", got)
	}
	if got := h.call(http.MethodPost, target, tokenA, nil, body, &answered); got != 200 || answered.URL != versionsURL || !p.Registered() {
		t.Fatalf("POST: %d, %s", got, answered.URL)
	}
	tokenC, err := ocpi.ParseCredentialsToken(answered.Token)
	if err != nil {
		t.Fatal(err)
	}
	if got := h.call(http.MethodGet, versionsURL, tokenA, nil, nil, nil); got != 401 {
		t.Errorf("token A after the registration: %d", got)
	}
	if got := h.call(http.MethodPost, target, tokenC, nil, body, nil); got != 405 {
		t.Errorf("second POST: %d", got)
	}
	if got := h.call(http.MethodPut, target, tokenC, nil, body, &answered); got != 200 || answered.Token == tokenC.Reveal() {
		t.Errorf("PUT: %d, new token %v", got, answered.Token != tokenC.Reveal())
	}
	// Until the new token was used once, the old one still opens.
	if got := h.call(http.MethodGet, target, tokenC, nil, nil, nil); got != 200 {
		t.Errorf("the token before the rotation: %d", got)
	}
	if got := h.call(http.MethodDelete, target, tokenC, nil, nil, nil); got != 200 || p.Registered() {
		t.Errorf("DELETE: %d", got)
	}
	if got := h.call(http.MethodGet, versionsURL, tokenC, nil, nil, nil); got != 401 {
		t.Errorf("a token after DELETE: %d", got)
	}
}

// TestC3_UnreadableVersionsAre3001 when the hub's token does not open them.
func TestC3_UnreadableVersionsAre3001(t *testing.T) {
	t.Parallel()
	h := newStubHub(t)
	p := h.serve(Config{Name: "p", Parties: []Party{sampleCPO("NLKVL")}})
	versionsURL, tokenA := p.Invite()
	err := p.Register(t.Context(), h.versionsURL(), ocpi.NewCredentialsToken())
	if err == nil || !strings.Contains(err.Error(), "HTTP 401") {
		t.Errorf("register with a wrong token A: %v", err)
	}
	body := h.ownCredentials(ocpi.NewCredentialsToken()).JSON()
	if got := h.call(http.MethodPost, strings.TrimSuffix(versionsURL, versionsPath)+credentialsPath, tokenA, nil, body, nil); got != 200 {
		t.Errorf("HTTP %d", got)
	}
	if p.Registered() {
		t.Error("registered at a hub that cannot be read")
	}
}

// TestV1_WrongTokenIs401: with an envelope; token A opens nothing functional,
// a plain token nothing at all.
func TestV1_WrongTokenIs401(t *testing.T) {
	t.Parallel()
	h := newStubHub(t)
	p := h.start(Config{Name: "p", Parties: []Party{sampleCPO("NLKVL")}})
	_, tokenA := p.Invite()
	base := strings.TrimSuffix(p.VersionsURL(), versionsPath)
	list := base + face{ocpi.ModuleLocations, ocpi.Sender}.path()
	good := h.peers[0].out.Token
	tests := []struct {
		name, url, authorization string
		want                     int
	}{
		{"its token", list, good.Authorization(ocpi.TokenBase64), 200},
		{"no header", list, "", 401},
		{"another token", list, ocpi.NewCredentialsToken().Authorization(ocpi.TokenBase64), 401},
		{"not encoded", list, good.Authorization(ocpi.TokenPlain), 401},
		{"without the word Token", list, strings.TrimPrefix(good.Authorization(ocpi.TokenBase64), "Token "), 401},
		{"token A at a functional module", list, tokenA.Authorization(ocpi.TokenBase64), 401},
		{"token A at versions", base + versionsPath, tokenA.Authorization(ocpi.TokenBase64), 200},
		{"nothing there", base + detailsPath + "/sender/nothing", good.Authorization(ocpi.TokenBase64), 404},
	}
	for _, test := range tests {
		req, _ := http.NewRequest(http.MethodGet, test.url, nil)
		if test.authorization != "" {
			req.Header.Set("Authorization", test.authorization)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if _, ok := ocpi.ScanEnvelope(body); resp.StatusCode != test.want || !ok {
			t.Errorf("%s: HTTP %d, want %d: %s", test.name, resp.StatusCode, test.want, body)
		}
	}
}

// TestHeadersKeepTheirSpelling on the wire, both ways: some peers compare
// exactly.
func TestHeadersKeepTheirSpelling(t *testing.T) {
	t.Parallel()
	h := newStubHub(t)
	p := h.start(Config{Name: "p", Parties: []Party{sampleCPO("NLKVL")}})
	want := []string{"OCPI-to-party-id: ", "OCPI-to-country-code: ", "OCPI-from-party-id: ", "OCPI-from-country-code: ", "X-Request-ID: ", "X-Correlation-ID: "}

	conn, err := net.Dial("tcp", p.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET "+face{ocpi.ModuleTariffs, ocpi.Sender}.path()+" HTTP/1.1\r\nHost: x\r\nAuthorization: "+
		h.peers[0].out.Token.Authorization(ocpi.TokenBase64)+"\r\nocpi-to-party-id: KVL\r\nocpi-to-country-code: NL\r\n"+
		"ocpi-from-party-id: ZKM\r\nocpi-from-country-code: DE\r\nx-request-id: r\r\nx-correlation-id: c\r\n\r\n")
	contains(t, "answer", head(t, conn), append(want, "X-Total-Count: 2", "X-Limit: 50", "X-Request-ID: r", "X-Correlation-ID: c"))

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	p.conn.endpoints = []ocpi.Endpoint{{Identifier: ocpi.ModuleTokens, Role: ocpi.Receiver, URL: "http://" + listener.Addr().String() + "/x/"}}
	heads := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			heads <- err.Error()
			return
		}
		defer conn.Close()
		heads <- head(t, conn)
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}()
	got, err := p.Do(t.Context(), ocpi.Request{
		Method: http.MethodPut, Module: ocpi.ModuleTokens, Interface: ocpi.Receiver, Path: "/NL/KVL/a%2Fb", Query: "type=RFID",
		From: ocpi.AddressOf(key("NLKVL")), To: ocpi.AddressOf(key("DEZKM")), Body: []byte("{}"),
	})
	if err != nil || got.Status != 0 || got.Err() == nil {
		t.Errorf("an answer that is no OCPI: %+v, %v", got, err)
	}
	contains(t, "request", <-heads, append(want, "PUT /x/NL/KVL/a%2Fb?type=RFID ", "Content-Type: application/json", "Authorization: Token "))
}

func head(t *testing.T, conn net.Conn) string {
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	var b strings.Builder
	lines := bufio.NewScanner(conn)
	for lines.Scan() && lines.Text() != "" {
		b.WriteString(lines.Text() + "\n")
	}
	if err := lines.Err(); err != nil {
		t.Error(err)
	}
	return b.String()
}

func contains(t *testing.T, what, text string, parts []string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s lacks %q:\n%s", what, part, text)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	hubRole := Party{PartyRole: ocpi.PartyRole{Party: hubParty, Role: ocpi.RoleHub}}
	for want, parties := range map[string][]Party{
		"no party":           nil,
		"stands twice":       {sampleEMSP("NLOOI"), sampleEMSP("NLOOI")},
		"CPO, EMSP and SCSP": {hubRole},
	} {
		if _, err := NewPlatform(Config{Name: "p", Parties: parties}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestStopLeavesNothingBehind, and it may be called twice.
func TestStopLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	h := newStubHub(t)
	p := h.start(Config{Name: "p", Parties: []Party{sampleCPO("NLKVL")}})
	for range 2 {
		if err := p.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if _, err := net.Dial("tcp", p.listener.Addr().String()); err == nil {
		t.Error("it still serves")
	}
}
