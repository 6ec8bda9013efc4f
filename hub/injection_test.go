package hub_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"busbar/hub"
	"busbar/hub/hubtest"
)

// What peers say reaches the log as one line each, without a character that a
// terminal obeys, and headers and the database as what it is.
func TestInjection_NothingThatPeersSayBreaksTheLog(t *testing.T) {
	t.Parallel()
	for _, inJSON := range []bool{false, true} {
		t.Run(fmt.Sprint("json ", inJSON), func(t *testing.T) {
			t.Parallel()
			h := hubtest.Start(t, func(c *hub.Config) { c.LogJSON = inJSON })
			const evil = "evil\n time=forged level=ERROR \x1b[31mred\x1b[0m \u009b31m \r \u2028 ' OR 1=1; -- <script>alert(1)</script>"
			quoted, err := json.Marshal(evil)
			if err != nil {
				t.Fatal(err)
			}
			cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
			sayAll(t, h, cpo, msp, evil, string(quoted))
			h.Stop()
			log := h.Log.String()
			if !strings.Contains(log, "evil") {
				t.Error("nothing of it is in the log: the test looks in the wrong place")
			}
			for i, line := range strings.Split(strings.TrimSuffix(log, "\n"), "\n") {
				switch {
				case inJSON && !json.Valid([]byte(line)), !inJSON && !strings.HasPrefix(line, "time=20"):
					t.Errorf("line %d is forged: %q", i+1, line)
				case strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f || !inJSON && r >= 0x80 && r < 0xa0 }):
					t.Errorf("line %d has a control character: %q", i+1, line)
				}
			}
		})
	}
}

// sayAll puts evil text wherever a peer can.
func sayAll(t *testing.T, h *hubtest.Hub, cpo, msp *hubtest.Platform, evil, quoted string) {
	t.Helper()
	escaped := strings.NewReplacer("\n", "%0A", "\r", "%0D", "\x1b", "%1B", " ", "%20").Replace(evil[:len("evil\n time=forged level=ERROR \x1b[31mred")])
	for _, path := range []string{
		"/ocpi/2.2.1/receiver/sessions/NL/CPA/" + escaped, "/ocpi/2.2.1/" + escaped, "/" + escaped, "/ocpi/" + escaped + "/credentials",
		"/ocpi/2.2.1/receiver/" + escaped + "/x", "/ocpi/2.2.1/sender/tokens?x=" + escaped, "/ocpi/2.2.1/callback/" + escaped,
		"/ocpi/2.2.1/receiver/evil%5C%0A/x",
	} {
		for _, method := range []string{"GET", "PUT", "POST"} {
			cpo.Send(hubtest.Request{Method: method, Path: path, To: "DE/MSP", Body: `{"id":` + quoted + `,"response_url":` + quoted + `}`})
		}
	}
	// Bytes that no library sends: refused, or one line.
	for _, line := range []string{
		"X-Correlation-ID: evil\x1b[31m", "X-Request-ID: evil\rforged", "X-Correlation-ID: evil \xc2\x9b31m \xff", "OCPI-from-party-id: \x1b[",
		"OCPI-from-party-id: evil \xc2\x9b", "Authorization: Token evil\x1b[31m", "Content-Encoding: evil\xc2\x9b",
	} {
		w := dial(t, h)
		w.say("PUT /ocpi/2.2.1/receiver/sessions/NL/CPA/1 HTTP/1.1", "Host: hub", "Authorization: Token "+cpo.TokenC,
			"OCPI-to-country-code: DE", "OCPI-to-party-id: MSP", line, "Content-Length: 2", "", "{}")
		resp, _ := w.reply()
		for name, values := range resp.Header {
			if strings.ContainsAny(strings.Join(values, ""), "\x1b\r\n") {
				t.Errorf("header %s: %q", name, values)
			}
		}
	}
	// What a receiver answers.
	for _, answer := range []hubtest.Answer{
		{Status: 200, Body: `{"status_code":2001,"status_message":` + quoted + `,"timestamp":"2026-01-01T00:00:00Z"}`},
		{Status: 200, Body: evil},
		{Status: 500, Body: evil},
		{Status: 200, Header: http.Header{"Location": {"/evil\x1b[31m"}, "Link": {"<evil\u009b>; rel=next"}}, Body: `{"status_code":1000,"timestamp":"2026-01-01T00:00:00Z"}`},
		{Status: 307, Header: http.Header{"Location": {"http://evil\x1b.example/"}}, Body: ""},
	} {
		msp.Answers(answer)
		for _, call := range []hubtest.Request{
			{Method: "POST", Path: "/ocpi/2.2.1/receiver/cdrs", Body: `{"id":"1"}`}, {Method: "GET", Path: "/ocpi/2.2.1/sender/tokens"},
		} {
			call.To = "DE/MSP"
			resp := cpo.Send(call)
			for name, values := range resp.Header {
				if strings.ContainsAny(strings.Join(values, ""), "\x1b\r\n") {
					t.Errorf("header %s: %q", name, values)
				}
			}
		}
	}
	// What a platform says of itself, and what an operator is told of it.
	p := h.NewPlatform("registrant", "FR/EVL:CPO")
	body := strings.Replace(p.CredentialsBody(nil), `"name":"Company EVL"`, `"name":`+quoted, 1)
	h.Send(t, hubtest.Request{Method: "POST", Path: "/ocpi/2.2.1/credentials", Token: p.TokenA, Body: body})
	h.Send(t, hubtest.Request{Method: "POST", Path: "/ocpi/2.2.1/credentials", Token: p.TokenA, Body: `{"token":` + quoted + `,"url":` + quoted + `}`})
	for _, url := range []string{"http://evil.invalid/" + escaped, "http://evil%0A.invalid/"} {
		h.Send(t, hubtest.Request{Method: "POST", Path: "/ocpi/2.2.1/credentials", Token: p.TokenA, Body: strings.Replace(body, p.VersionsURL(), url, 1)})
	}
	if status, _ := h.Admin("POST", "/api/v1/platforms", map[string]any{"name": evil}); status != 422 {
		t.Errorf("a name with control characters: HTTP %d", status)
	}
	h.Admin("GET", "/api/v1/messages?from="+escaped+"&correlation_id="+escaped, nil)
	if status, answer := h.Admin("GET", "/api/v1/platforms", nil); status != 200 || len(answer["items"].([]any)) != 3 {
		t.Errorf("the platforms are %v", answer)
	}
}
