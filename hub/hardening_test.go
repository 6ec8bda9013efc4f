package hub_test

import (
	"fmt"
	"strings"
	"testing"

	"busbar/hub"
	"busbar/hub/hubtest"
)

// raw is one request in the bytes that are sent, with %T for a valid
// Authorization header and %R for the routing headers.
func raw(cpo *hubtest.Platform, text string) string {
	text = strings.ReplaceAll(text, "%T", "Authorization: Token "+cpo.TokenC)
	return strings.ReplaceAll(text, "%R", "OCPI-to-country-code: DE\r\nOCPI-to-party-id: MSP")
}

// Whatever two servers in a row may read in two ways is refused, and the
// connection ends: what follows is no request.
func TestListener_SmugglingIsRefused(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	const post = "POST /ocpi/2.2.1/receiver/cdrs HTTP/1.1\r\nHost: hub\r\n%T\r\n%R\r\n"
	const chunked = post + "Transfer-Encoding: chunked\r\n\r\n"
	for name, text := range map[string]string{
		"a length before chunks":               post + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"chunks before a length":               post + "Transfer-Encoding: chunked\r\nContent-Length: 12\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"two lengths that differ":              post + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"two lengths that are equal":           post + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
		"a list of lengths":                    post + "Content-Length: 2, 2\r\n\r\n{}",
		"a length with a sign":                 post + "Content-Length: +2\r\n\r\n{}",
		"a negative length":                    post + "Content-Length: -2\r\n\r\n{}",
		"a hexadecimal length":                 post + "Content-Length: 0x2\r\n\r\n{}",
		"a length beyond 64 bits":              post + "Content-Length: 18446744073709551618\r\n\r\n{}",
		"an empty length":                      post + "Content-Length: \r\n\r\n{}",
		"chunked twice":                        post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"chunked twice in one line":            post + "Transfer-Encoding: chunked, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"the identity encoding":                post + "Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n{}",
		"xchunked":                             post + "Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"chunked in quotes":                    post + "Transfer-Encoding: \"chunked\"\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"chunked behind a vertical tab":        post + "Transfer-Encoding: \vchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"an empty encoding":                    post + "Transfer-Encoding:\r\nContent-Length: 2\r\n\r\n{}",
		"a folded encoding":                    post + "Transfer-Encoding:\r\n chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"a folded header":                      post + "X-A: b\r\n\tc\r\nContent-Length: 2\r\n\r\n{}",
		"a fold before the first header":       "POST /ocpi/2.2.1/receiver/cdrs HTTP/1.1\r\n X-A: b\r\nHost: hub\r\n%T\r\n%R\r\nContent-Length: 2\r\n\r\n{}",
		"a space before the colon":             post + "Content-Length : 2\r\n\r\n{}",
		"a tab before the colon":               post + "Transfer-Encoding\t: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"a space in a name":                    post + "X A: b\r\nContent-Length: 2\r\n\r\n{}",
		"a tab in a name":                      post + "X\tA: b\r\nContent-Length: 2\r\n\r\n{}",
		"an empty name":                        post + ": b\r\nContent-Length: 2\r\n\r\n{}",
		"a line without a colon":               post + "nonsense\r\nContent-Length: 2\r\n\r\n{}",
		"a header that ends with a bare LF":    post + "X-A: b\nContent-Length: 2\r\n\r\n{}",
		"all lines end with a bare LF":         strings.ReplaceAll(post+"Content-Length: 2\r\n\r\n{}", "\r\n", "\n"),
		"a bare CR in a value":                 post + "X-A: b\rX-C: d\r\nContent-Length: 2\r\n\r\n{}",
		"a NUL in a value":                     post + "X-A: b\x00c\r\nContent-Length: 2\r\n\r\n{}",
		"a NUL in a name":                      post + "X-A\x00: b\r\nContent-Length: 2\r\n\r\n{}",
		"an escape character in a value":       post + "X-A: b\x1b[31m\r\nContent-Length: 2\r\n\r\n{}",
		"DEL in a value":                       post + "X-A: b\x7f\r\nContent-Length: 2\r\n\r\n{}",
		"no host":                              strings.Replace(post, "Host: hub\r\n", "", 1) + "Content-Length: 2\r\n\r\n{}",
		"an empty host":                        strings.Replace(post, "Host: hub", "Host: ", 1) + "Content-Length: 2\r\n\r\n{}",
		"two hosts":                            post + "Host: hub\r\nContent-Length: 2\r\n\r\n{}",
		"a host with a path":                   strings.Replace(post, "Host: hub", "Host: hub/x", 1) + "Content-Length: 2\r\n\r\n{}",
		"a chunk size that is no number":       chunked + "zz\r\n{}\r\n0\r\n\r\n",
		"a chunk size with a sign":             chunked + "+2\r\n{}\r\n0\r\n\r\n",
		"a negative chunk size":                chunked + "-2\r\n{}\r\n0\r\n\r\n",
		"a chunk size with 0x":                 chunked + "0x2\r\n{}\r\n0\r\n\r\n",
		"an empty chunk size":                  chunked + "\r\n{}\r\n0\r\n\r\n",
		"a chunk size beyond 64 bits":          chunked + "10000000000000002\r\n{}\r\n0\r\n\r\n",
		"a chunk size of 1,000 digits":         chunked + strings.Repeat("0", 1000) + "2\r\n{}\r\n0\r\n\r\n",
		"a chunk size with a leading space":    chunked + " 2\r\n{}\r\n0\r\n\r\n",
		"a chunk size that ends with a LF":     chunked + "2\n{}\r\n0\r\n\r\n",
		"a LF in a chunk extension":            chunked + "2;a\n{}\r\n0\r\n\r\n",
		"a chunk without its CR LF":            chunked + "2\r\n{}0\r\n\r\n",
		"a chunk longer than its size":         chunked + "2\r\n{} \r\n0\r\n\r\n",
		"chunks on HTTP/1.0":                   strings.Replace(chunked, "HTTP/1.1", "HTTP/1.0", 1) + "2\r\n{}\r\n0\r\n\r\n",
		"HTTP/0.9":                             "GET /ocpi/versions\r\n\r\n",
		"HTTP/2 without asking":                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"HTTP/1.2":                             strings.Replace(post, "HTTP/1.1", "HTTP/1.2", 1) + "Content-Length: 2\r\n\r\n{}",
		"http in lower case":                   strings.Replace(post, "HTTP/1.1", "http/1.1", 1) + "Content-Length: 2\r\n\r\n{}",
		"a tab in the request line":            strings.Replace(post, " /ocpi", "\t/ocpi", 1) + "Content-Length: 2\r\n\r\n{}",
		"two spaces in the request line":       strings.Replace(post, " /ocpi", "  /ocpi", 1) + "Content-Length: 2\r\n\r\n{}",
		"a method in lower case with a symbol": strings.Replace(post, "POST", "po(st", 1) + "Content-Length: 2\r\n\r\n{}",
		"an authority as the target":           "CONNECT hub:443 HTTP/1.1\r\nHost: hub\r\n%T\r\n\r\n",
		"an asterisk as the target":            "OPTIONS * HTTP/1.1\r\nHost: hub\r\n%T\r\n\r\n",
		"a target of another scheme":           strings.Replace(post, " /ocpi", " file:///ocpi", 1) + "Content-Length: 2\r\n\r\n{}",
		"a fragment":                           strings.Replace(post, "/cdrs", "/cdrs#x", 1) + "Content-Length: 2\r\n\r\n{}",
		"a NUL in the target":                  strings.Replace(post, "/cdrs", "/cdrs\x00", 1) + "Content-Length: 2\r\n\r\n{}",
		"a target that ends at a bare CR":      strings.Replace(post, "/cdrs", "/cdrs\r", 1) + "Content-Length: 2\r\n\r\n{}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := dial(t, h)
			// The second request must not be answered, however the first is read.
			w.say(raw(cpo, text) + raw(cpo, "GET /ocpi/versions HTTP/1.1\r\nHost: hub\r\n%T\r\n\r\n"))
			status, body := w.hear()
			if status/100 != 4 {
				t.Errorf("HTTP %d %s", status, body)
			}
			if again, body := w.hear(); again != 0 {
				t.Errorf("the connection was used again: HTTP %d, then %d %s", status, again, body)
			}
		})
	}
	t.Cleanup(msp.WantNothing)
}

// What looks odd and is sound goes on working.
func TestListener_WhatIsSoundIsTaken(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t)
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	const post = "POST /ocpi/2.2.1/receiver/cdrs HTTP/1.1\r\nHost: hub\r\n%T\r\n%R\r\n"
	for name, text := range map[string]string{
		"a chunk extension":             post + "Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0;c\r\n\r\n",
		"upper-case chunked":            post + "transfer-encoding: CHUNKED\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"a trailer":                     post + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-T: u\r\n\r\n",
		"the absolute form":             strings.Replace(post, " /ocpi", " https://hub.example.com/ocpi", 1) + "Content-Length: 2\r\n\r\n{}",
		"values beyond ASCII":           post + "X-A: \xc3\xa4\xff\r\nContent-Length: 2\r\n\r\n{}",
		"a tab in a value":              post + "X-A: a\tb\r\nContent-Length: 2\r\n\r\n{}",
		"a value without a space":       post + "Content-Length:2\r\n\r\n{}",
		"HTTP/1.0 with a length":        strings.Replace(post, "HTTP/1.1", "HTTP/1.0", 1) + "Content-Length: 2\r\n\r\n{}",
		"HTTP/1.0 without a host":       strings.Replace(strings.Replace(post, "HTTP/1.1", "HTTP/1.0", 1), "Host: hub\r\n", "", 1) + "Content-Length: 2\r\n\r\n{}",
		"an empty line before it":       "\r\n" + post + "Content-Length: 2\r\n\r\n{}",
		"a URL of 8 KiB":                strings.Replace(post, "/cdrs", "/cdrs?x="+strings.Repeat("x", 8<<10-len("/ocpi/2.2.1/receiver/cdrs?x=")), 1) + "Content-Length: 2\r\n\r\n{}",
		"a body of exactly the largest": post + fmt.Sprintf("Content-Length: %d\r\n\r\n{%s}", 1<<20, strings.Repeat(" ", 1<<20-2)),
		"arrays in arrays, 512 deep":    post + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", 2*512, strings.Repeat("[", 512)+strings.Repeat("]", 512)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := dial(t, h)
			w.say(raw(cpo, text))
			if status, body := w.hear(); status != 200 {
				t.Errorf("HTTP %d %s", status, body)
			}
		})
	}
	t.Cleanup(func() {
		if got := len(msp.Received()); got != 13 {
			t.Errorf("%d requests reached the receiver, want 13", got)
		}
	})
}

func TestListener_WhatIsTooMuchIsRefused(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, func(c *hub.Config) { c.MaxBody = 100_000 })
	cpo, msp := h.Platform("cpo", "NL/CPA:CPO"), h.Platform("msp", "DE/MSP:EMSP")
	const post = "POST /ocpi/2.2.1/receiver/cdrs HTTP/1.1\r\nHost: hub\r\n%T\r\n%R\r\n"
	sized := func(body string) string { return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body) }
	big := strings.Repeat(" ", 100_001)
	for name, test := range map[string]struct {
		text   string
		status int
		says   string
	}{
		"a URL of more than 8 KiB":        {strings.Replace(post, "/cdrs", "/cdrs?"+strings.Repeat("x", 8<<10), 1) + sized("{}"), 414, "URL"},
		"a request line beyond 16 KiB":    {strings.Replace(post, "/cdrs", "/cdrs?"+strings.Repeat("x", 17<<10), 1) + sized("{}"), 431, "bytes"},
		"a header beyond 16 KiB":          {post + "X-A: " + strings.Repeat("a", 17<<10) + "\r\n" + sized("{}"), 431, "bytes"},
		"a thousand headers":              {post + strings.Repeat("X-A: aaaaaaaaaa\r\n", 1000) + sized("{}"), 431, "bytes"},
		"a body that says it is too long": {post + "Content-Length: 100001\r\n\r\n" + big[:8<<10], 413, "100000 bytes"},
		"a chunked body that is too long": {post + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(big), big), 413, "100000 bytes"},
		"10,000 arrays in each other":     {post + sized(strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000)), 400, "nested deeper than 512 levels"},
		"10,000 objects in each other":    {post + sized(strings.Repeat(`{"":`, 10_000)+"1"+strings.Repeat("}", 10_000)), 400, "nested deeper than 512 levels"},
		"arrays that never end":           {post + sized(strings.Repeat("[", 90_000)), 400, "nested deeper than 512 levels"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := dial(t, h)
			w.say(raw(cpo, test.text))
			if status, body := w.hear(); status != test.status || !strings.Contains(body, test.says) || !strings.Contains(body, `"status_code":2`) {
				t.Errorf("HTTP %d %s, want %d and %q", status, body, test.status, test.says)
			}
		})
	}
	t.Cleanup(msp.WantNothing)
}

// The answer is heard by who is still sending what was refused.
func TestListener_ARefusalIsHeardByWhoGoesOnSending(t *testing.T) {
	t.Parallel()
	h := hubtest.Start(t, func(c *hub.Config) { c.MaxBody = 1000 })
	cpo := h.Platform("cpo", "NL/CPA:CPO")
	for _, framing := range []string{"Content-Length: 300000", "Transfer-Encoding: chunked"} {
		for range 20 { // whether it was lost was a matter of luck
			w := dial(t, h)
			w.say(raw(cpo, "POST /ocpi/2.2.1/receiver/cdrs HTTP/1.1\r\nHost: hub\r\n%T\r\n%R\r\n"+framing+"\r\n\r\n493e0\r\n"+strings.Repeat("x", 300_000)))
			if status, body := w.hear(); status != 413 {
				t.Fatalf("%s: HTTP %d %s", framing, status, body)
			}
		}
	}
}
