//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"busbar/ocpi"
)

// echoPath marks a request whose answer tells what arrived: preflight reads
// from it whether a contestant did its work.
const echoPath = "/ECHO"

// echo is the data of such an answer.
type echo struct {
	// Head is the request line and the headers as they arrived.
	Head string `json:"head"`
	// BodyBytes is the length of the body.
	BodyBytes int `json:"body_bytes"`
}

// backend is every platform behind the contestants: an OCPI platform below
// each path prefix, without state. It accepts any token.
type backend struct {
	addr    string
	success []byte
}

// serveBackend is the backend's process. It prints its address and ends when
// its standard input does, that is, with the process that started it.
func serveBackend() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	b := &backend{addr: listener.Addr().String()}
	b.success = response(200, ocpi.Envelope(nil, ocpi.Success, "Success"))
	fmt.Println(b.addr)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		listener.Close()
	}()
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		go b.serve(conn)
	}
}

// serve answers one connection's requests until it ends.
func (b *backend) serve(conn net.Conn) {
	defer conn.Close()
	for w := newWire(conn); ; {
		head, body, err := w.next()
		if err != nil {
			return // the contestant sees it, and its requester fails
		}
		if _, err := conn.Write(b.answer(head, body)); err != nil {
			return
		}
	}
}

func (b *backend) answer(head, body []byte) []byte {
	line := head
	if i := bytes.IndexByte(head, '\r'); i >= 0 {
		line = head[:i]
	}
	switch {
	case bytes.Contains(line, []byte(echoPath)):
		return answered(echo{Head: string(head), BodyBytes: len(body)})
	case bytes.HasPrefix(line, []byte("PUT ")), bytes.HasPrefix(line, []byte("PATCH ")):
		return b.success
	}
	method, path, _ := strings.Cut(string(line), " ")
	path, _, _ = strings.Cut(path, " ")
	name, rest, _ := strings.Cut(strings.Trim(path, "/"), "/")
	switch {
	case method == "GET" && rest == "ocpi/versions":
		return answered([]ocpi.VersionInfo{{Version: ocpi.V221, URL: b.root(name) + "/2.2.1"}})
	case method == "GET" && rest == "ocpi/2.2.1":
		return answered(b.details(name))
	}
	return response(404, ocpi.Envelope(nil, ocpi.ClientError, "nothing here"))
}

// root is the URL below which a platform's interfaces stand.
func (b *backend) root(platform string) string { return "http://" + b.addr + "/" + platform + "/ocpi" }

// details list what a platform offers. It is no Receiver of hubclientinfo: a
// hub tells each of those about every newcomer, which grows with the square of
// the platforms and is not what is measured.
func (b *backend) details(platform string) ocpi.VersionDetails {
	d := ocpi.VersionDetails{Version: ocpi.V221, Endpoints: []ocpi.Endpoint{
		{Identifier: ocpi.ModuleCredentials, Role: ocpi.Sender, URL: b.root(platform) + "/2.2.1/credentials"},
	}}
	for _, module := range ocpi.FunctionalModules {
		for _, side := range []ocpi.InterfaceRole{ocpi.Sender, ocpi.Receiver} {
			url := b.root(platform) + "/2.2.1/" + strings.ToLower(string(side)) + "/" + string(module)
			d.Endpoints = append(d.Endpoints, ocpi.Endpoint{Identifier: module, Role: side, URL: url})
		}
	}
	return d
}

func answered(data any) []byte {
	body, err := json.Marshal(data)
	if err != nil {
		return response(500, ocpi.Envelope(nil, ocpi.ServerError, err.Error()))
	}
	return response(200, ocpi.Envelope(json.RawMessage(body), ocpi.Success, "Success"))
}

// response is a whole HTTP response.
func response(status int, body []byte) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		status, http.StatusText(status), len(body), body)
}
