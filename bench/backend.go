//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"busbar/ocpi"
)

// echoPath marks a request whose answer tells what arrived: preflight reads
// from it whether a contestant did its work.
const echoPath = "/ECHO"

// hanging begins the names of platforms that take pushes and never answer them;
// all else they answer.
const hanging = "hang"

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
	addr     string
	success  []byte
	poller   *poller
	listener socket
	wires    map[int32]*wire // by their sockets' descriptors
	tally    tally
	// country is that of a soak; nil in a comparison.
	country *country
}

// newBackend listens; serve ends it.
func newBackend(how waiting) (*backend, error) {
	b := &backend{success: response(200, ocpi.Envelope(nil, ocpi.Success, "Success")), wires: make(map[int32]*wire)}
	var err error
	if b.listener, b.addr, err = listen(); err != nil {
		return nil, err
	}
	if b.poller, err = newPoller(how.linger()); err == nil {
		if err = b.poller.add(int(b.listener), int32(b.listener)); err == nil {
			return b, nil
		}
		b.poller.close()
	}
	b.listener.Close()
	return nil, err
}

// serveBackend is the backend's process. It prints its address and ends when
// its standard input does, that is, with the process that started it.
func serveBackend(how waiting, inSoak bool) error {
	b, err := newBackend(how)
	if err != nil {
		return err
	}
	if inSoak {
		b.country = newCountry(b.success)
	}
	fmt.Println(b.addr)
	return b.serve(syscall.Stdin, os.Stdout)
}

// serve answers all connections' requests until the descriptor control, a
// pipe, ends. To each line there it answers on out what it has used so far, in
// nanoseconds.
func (b *backend) serve(control int, out io.Writer) error {
	defer b.close()
	if err := b.poller.add(control, int32(control)); err != nil {
		return err
	}
	for {
		ready, err := b.poller.wait(b.country.until())
		if err != nil {
			return err
		}
		b.country.catchUp(b, time.Now())
		for _, event := range ready {
			switch event.Fd {
			case int32(control):
				err = b.report(control, out)
			case int32(b.listener):
				err = b.accept()
			default:
				b.exchange(event.Fd)
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
}

func (b *backend) close() {
	for fd := range b.wires {
		socket(fd).Close()
	}
	b.poller.close()
	b.listener.Close()
}

// report answers one line on control.
func (b *backend) report(control int, out io.Writer) error {
	if _, err := socket(control).Read(make([]byte, 1)); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, int64(b.poller.used()))
	return err
}

// accept takes all connections that wait.
func (b *backend) accept() error {
	for {
		s, err := b.listener.accept()
		if err == syscall.EAGAIN {
			return nil
		}
		if err != nil {
			return err
		}
		if err := b.poller.add(int(s), int32(s)); err != nil {
			return err
		}
		b.wires[int32(s)] = newWire(s)
	}
}

// exchange answers the requests that have arrived on a connection.
func (b *backend) exchange(fd int32) {
	w := b.wires[fd]
	if w == nil {
		return // it was closed since it became ready
	}
	for {
		head, body, err := w.next()
		if err == syscall.EAGAIN {
			return
		}
		if err == nil {
			err = b.reply(fd, head, body)
		}
		if err != nil { // the contestant sees it, and its requester fails
			b.drop(fd)
			return
		}
		if w.empty() {
			return // without asking the kernel for more
		}
	}
}

func (b *backend) drop(fd int32) {
	socket(fd).Close()
	delete(b.wires, fd)
}

// reply answers a request, if it is to be answered now.
func (b *backend) reply(fd int32, head, body []byte) error {
	if b.country != nil {
		return b.country.reply(b, fd, head, body)
	}
	line := firstOf(head)
	if what, ok := askedFor(line); ok {
		if !b.tally.ask(what, fd) {
			return nil
		}
		_, err := socket(fd).Write(b.tally.answer())
		return err
	}
	if isPush(line) {
		if bytes.Contains(line, []byte(" /"+hanging)) {
			return nil
		}
		b.tally.count(head, body, time.Now())
	}
	if _, err := socket(fd).Write(b.answer(head, body)); err != nil || !b.tally.satisfied() {
		return err
	}
	waiting := b.tally.waiting
	b.tally.waiting = 0
	if _, open := b.wires[waiting]; open {
		socket(waiting).Write(b.tally.answer()) // who asked is gone if it fails
	}
	return nil
}

// firstOf is the request line.
func firstOf(head []byte) []byte {
	if i := bytes.IndexByte(head, '\r'); i >= 0 {
		return head[:i]
	}
	return head
}

func isPush(line []byte) bool {
	return bytes.HasPrefix(line, []byte("PUT ")) || bytes.HasPrefix(line, []byte("PATCH "))
}

func (b *backend) answer(head, body []byte) []byte {
	line := firstOf(head)
	switch {
	case bytes.Contains(line, []byte(echoPath)):
		return answered(echo{Head: string(head), BodyBytes: len(body)})
	case isPush(line):
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
