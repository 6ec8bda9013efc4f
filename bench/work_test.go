//go:build linux

package main

import (
	"bytes"
	"testing"

	"busbar/ocpi"
)

// The sizes of issue and design: 2.8 KB and 150 B.
func TestBodiesAreOfTheSizeThatTheGoalsName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		work        work
		least, most int
	}{{putLocation(), 2700, 2900}, {patchEVSE(), 140, 160}} {
		if err := ocpi.CheckJSON(c.work.Body); err != nil {
			t.Errorf("%s: %v", c.work.Name, err)
		}
		if n := len(c.work.Body); n < c.least || n > c.most {
			t.Errorf("%s: body of %d bytes, want %d to %d", c.work.Name, n, c.least, c.most)
		}
	}
}

func TestRequestIsReaddressedInPlace(t *testing.T) {
	t.Parallel()
	from := partyNumber(1)
	r := newRequest(putLocation(), "127.0.0.1:80", caller{Authorization: "Token abc"}, from)
	for i, to := range []ocpi.PartyKey{partyNumber(500), partyNumber(17)} {
		r.readdress(to, uint64(40+i))
		w := newWire(script{Reader: bytes.NewReader(r.bytes)})
		head, body, err := w.next()
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"Host": "127.0.0.1:80", "Authorization": "Token abc",
			ocpi.HeaderToCountryCode: to.CountryCode(), ocpi.HeaderToPartyID: to.PartyID(),
			ocpi.HeaderFromCountryCode: from.CountryCode(), ocpi.HeaderFromPartyID: from.PartyID(),
			ocpi.HeaderRequestID:     "4f1d7a52-93c6-4e0b-8a71-00000000004" + string(rune('0'+i)),
			ocpi.HeaderCorrelationID: "b6a0c3de-1f24-47d9-9c55-00000000004" + string(rune('0'+i)),
		}
		for name, value := range want {
			if got := headerOf(head, name); got != value {
				t.Errorf("%s: %q, want %q", name, got, value)
			}
		}
		owner := `{"country_code":"` + from.CountryCode() + `","party_id":"` + from.PartyID() + `",`
		if !bytes.HasPrefix(body, []byte(owner)) || w.start != w.end {
			t.Errorf("body %.60s, want the sender's, and nothing behind it", body)
		}
	}
}
