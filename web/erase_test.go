package web_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"busbar/ocpi"
	"busbar/routing"
)

// passToken takes note of a message about a token, as the hub does.
func (s *site) passToken(at int, id, path string) {
	s.pass(at, id, func(m *routing.Message) {
		m.Module, m.Path = ocpi.ModuleTokens, path
		m.Interface = ocpi.Receiver
		if strings.HasSuffix(path, "/authorize") {
			m.Interface = ocpi.Sender
		}
		routing.NewDiscreet(s.stores.Names.Token, change(func(discreet *routing.Message) { *m = *discreet })).Record(m)
	})
}

// change is a journal that is a function.
type change func(*routing.Message)

func (c change) Record(m *routing.Message) { c(m) }
func (c change) RecordLegs(*routing.Legs)  {}

func TestMessages_AreSearchedByTokenUID(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.passToken(1, "push", "/DE/MSP/UID-4711")
	s.passToken(2, "ask", "/uid-4711/authorize")
	s.passToken(3, "another", "/DE/MSP/uid-4712")
	s.pass(4, "no token", func(*routing.Message) {})
	for uid, want := range map[string]string{"UID-4711": "ask push", "uid-4711%20": "ask push", "uid-4712": "another", "uid-47": ""} {
		if got := s.messages("?token_uid=" + uid).ids(); got != want {
			t.Errorf("%s: %q, want %q", uid, got, want)
		}
	}
	for _, uid := range []string{"", "%20", "a%00", strings.Repeat("x", 201)} {
		s.call("GET", "/api/v1/messages?token_uid="+uid, "").want(http.StatusUnprocessableEntity).wantFields("token_uid")
	}
	if all := string(s.call("GET", "/api/v1/messages", "").want(http.StatusOK).body); strings.Contains(strings.ToLower(all), "uid-47") ||
		!strings.Contains(all, "/DE/MSP/"+s.stores.Names.Token("uid-4712")) {
		t.Errorf("a uid is shown, or a pseudonym is not: %s", all)
	}
}

func TestErase_WhatIsKnownOfATokenIsGone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, owner := range []string{"DE", "NL"} {
		from := key(t, owner+"MSP")
		s.index.Learn(&ocpi.Request{
			Method: "PUT", Module: ocpi.ModuleTokens, Interface: ocpi.Receiver, Path: "/" + owner + "/MSP/uid-4711",
			From: ocpi.AddressOf(from), To: ocpi.AddressOf(key(t, "NLCPA")),
		}, []byte(`{"status_code":1000}`))
	}
	s.passToken(1, "mine", "/DE/MSP/UID-4711")
	s.passToken(2, "theirs", "/NL/MSP/UID-4711")
	s.passToken(3, "another", "/DE/MSP/uid-4712")
	type erased struct {
		Pseudonym         string
		Lessons, Messages int
	}
	erase := func(body string) (got erased) {
		s.call("POST", "/api/v1/erase", body).want(http.StatusOK).decode(&got)
		return got
	}
	name := s.stores.Names.Token("uid-4711")
	for _, step := range []struct {
		body string
		want erased
		left string
	}{
		{`{"token_uid":"Uid-4711","owner":"nlmsp"}`, erased{name, 1, 1}, "another mine"},
		{`{"token_uid":" uid-4711 "}`, erased{name, 1, 1}, "another"},
		{`{"token_uid":"uid-4711","owner":""}`, erased{name, 0, 0}, "another"},
	} {
		if got := erase(step.body); got != step.want {
			t.Errorf("%s: %+v, want %+v", step.body, got, step.want)
		}
		if got := s.messages("").ids(); got != step.left {
			t.Errorf("%s: left are %q, want %q", step.body, got, step.left)
		}
	}
	if left := s.index.Token("uid-4711", "RFID"); len(left) != 0 {
		t.Errorf("the token is still known of %v", left)
	}
}

func TestErase_TheInputIsChecked(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for body, field := range map[string]string{
		`{}`: "token_uid", `{"token_uid":" "}`: "token_uid", `{"token_uid":"a\u0000"}`: "token_uid",
		fmt.Sprintf(`{"token_uid":%q}`, strings.Repeat("x", 201)): "token_uid",
		`{"token_uid":"a","owner":"N"}`:                           "owner",
	} {
		got := s.call("POST", "/api/v1/erase", body).want(http.StatusUnprocessableEntity)
		got.wantFields(field)
	}
	s.call("POST", "/api/v1/erase", `{"token_uid":"a","uid":"b"}`).want(http.StatusBadRequest)
	s.callAs("", "POST", "/api/v1/erase", `{"token_uid":"a"}`).want(http.StatusUnauthorized)
}

// failingLessons are a record of lessons that is down, if it is to be.
type failingLessons struct {
	routing.LessonStore
	down atomic.Bool
}

func (f *failingLessons) EraseLessons(ctx context.Context, e []routing.Erasure, now time.Time) (int64, error) {
	if f.down.Load() {
		return 0, errors.New("the record is down")
	}
	return f.LessonStore.EraseLessons(ctx, e, now)
}

func TestErase_ADatabaseThatFailsIsSaid(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.lessons.down.Store(true)
	s.call("POST", "/api/v1/erase", `{"token_uid":"uid-4711"}`).want(http.StatusServiceUnavailable).wantError("call again")
	name := s.stores.Names.Token("uid-4711")
	if logs := s.logs.String(); strings.Contains(logs, "uid-4711") || !strings.Contains(logs, name) {
		t.Errorf("the log has the uid, or not the pseudonym: %s", logs)
	}
	trail := s.trailOf("?limit=1")
	if len(trail) != 1 || trail[0].Target != name || trail[0].Outcome != "failed" {
		t.Errorf("the trail says %+v", trail)
	}
	s.lessons.down.Store(false)
	s.call("POST", "/api/v1/erase", `{"token_uid":"uid-4711"}`).want(http.StatusOK)
}
