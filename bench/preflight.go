//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"busbar/ocpi"
)

// preflight proves that a contestant does the work it is timed for: it routes
// by party to the right platform, there with the platform's own token, a new
// X-Request-ID and everything else unchanged, and refuses a token or a party
// that it does not know.
func preflight(c *contestant, w work) error {
	w.Object = echoPath + w.Object
	receivers := c.Target.Receivers
	for i, caller := range c.Target.Callers {
		to := receivers[i*len(receivers)/len(c.Target.Callers)]
		if err := checkRouted(c, w, caller, to); err != nil {
			return fmt.Errorf("%s, %s to %s: %w", c.Name, w.Name, to, err)
		}
	}
	caller := c.Target.Callers[0]
	unknown := partyNumber(maxParties - 1)
	head, body, err := exchangeOnce(c.Target.Addr, newRequest(w, c.Target.Addr, caller, caller.Parties[0]), unknown)
	if err != nil {
		return err
	}
	if code, _ := ocpi.ScanEnvelope(body); statusOf(head) != 404 && code != ocpi.UnknownReceiver {
		return fmt.Errorf("%s routes to the unknown party %s: %.300s", c.Name, unknown, head)
	}
	caller.Authorization = ocpi.NewCredentialsToken().Authorization(ocpi.TokenBase64)
	head, _, err = exchangeOnce(c.Target.Addr, newRequest(w, c.Target.Addr, caller, caller.Parties[0]), receivers[0])
	if err != nil {
		return err
	}
	if statusOf(head) != 401 {
		return fmt.Errorf("%s lets an unknown token pass: %.300s", c.Name, head)
	}
	return nil
}

// checkRouted sends one request and compares what the backend saw.
func checkRouted(c *contestant, w work, caller caller, to ocpi.PartyKey) error {
	platform, ok := c.Field.platformOf(to)
	if !ok {
		return fmt.Errorf("the party is nobody's")
	}
	req := newRequest(w, c.Target.Addr, caller, caller.Parties[0])
	head, body, err := exchangeOnce(c.Target.Addr, req, to)
	if err != nil {
		return err
	}
	var answer struct {
		Data echo `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Data.Head == "" {
		return fmt.Errorf("answer is not the backend's: %.300s … %.300s", head, body)
	}
	sent, _, _ := strings.Cut(string(req.bytes), "\r\n\r\n")
	return compareHeads(sent, answer.Data, platform)
}

// compareHeads tells what a contestant forgot.
func compareHeads(sent string, arrived echo, receiver platform) error {
	in, out := []byte(sent), []byte(arrived.Head)
	method, path, _ := strings.Cut(requestLine(sent), " ")
	if want := method + " /" + receiver.Name + path; requestLine(arrived.Head) != want {
		return fmt.Errorf("request line is %q, want %q", requestLine(arrived.Head), want)
	}
	if headerOf(out, "Authorization") != receiver.Outbound.Authorization(ocpi.TokenBase64) {
		return fmt.Errorf("header Authorization is not the receiver's")
	}
	if id := headerOf(out, ocpi.HeaderRequestID); id == "" || id == headerOf(in, ocpi.HeaderRequestID) {
		return fmt.Errorf("%s is %q: it must be a new one", ocpi.HeaderRequestID, id)
	}
	for _, name := range []string{
		ocpi.HeaderCorrelationID, ocpi.HeaderFromCountryCode, ocpi.HeaderFromPartyID,
		ocpi.HeaderToCountryCode, ocpi.HeaderToPartyID,
	} {
		if headerOf(out, name) != headerOf(in, name) {
			return fmt.Errorf("%s is %q, want %q", name, headerOf(out, name), headerOf(in, name))
		}
	}
	if length := headerOf(in, "Content-Length"); strconv.Itoa(arrived.BodyBytes) != length {
		return fmt.Errorf("body has %d bytes, want %s", arrived.BodyBytes, length)
	}
	return nil
}

func requestLine(head string) string {
	line, _, _ := strings.Cut(head, "\r\n")
	return line
}

// exchangeOnce sends one request on a connection of its own.
func exchangeOnce(addr string, r *request, to ocpi.PartyKey) (head, body []byte, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, nil, err
	}
	r.readdress(to, 0)
	if _, err := conn.Write(r.bytes); err != nil {
		return nil, nil, err
	}
	return newWire(conn).next()
}
