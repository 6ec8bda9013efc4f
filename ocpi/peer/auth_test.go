package peer

import (
	"sync"
	"testing"
	"testing/synctest"

	"busbar/ocpi"
)

const unauthorized = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nwho?"

// reads is a platform that knows the token only in the given spellings.
func reads(known ...string) func(*link) {
	return func(l *link) {
		for {
			r, more := l.request()
			if !more {
				return
			}
			answer := unauthorized
			for _, value := range known {
				if r.header("Authorization") == value {
					answer = ok(success)
				}
			}
			l.send(answer)
		}
	}
}

const encoded, plain = "Token c2VjcmV0", "Token secret"

func TestC1_TheOtherFormIsTriedOnceAndRemembered(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		knows       string
		first, form ocpi.TokenForm
		requests    int32
	}{
		{encoded, "", ocpi.TokenBase64, 2},
		{encoded, ocpi.TokenBase64, ocpi.TokenBase64, 2},
		{encoded, ocpi.TokenPlain, ocpi.TokenBase64, 3},
		{plain, "", ocpi.TokenPlain, 3},
		{plain, ocpi.TokenBase64, ocpi.TokenPlain, 3},
		{plain, ocpi.TokenPlain, ocpi.TokenPlain, 2},
	} {
		p := listen(t, reads(tt.knows))
		c := p.client(t)
		c.SetToken(c.auth.Load().token, tt.first)
		p.do(t, c, "POST").succeeds(t)
		if c.Form() != tt.form {
			t.Errorf("%s known, %q first: remembered is %s", tt.knows, tt.first, c.Form())
		}
		p.do(t, c, "POST").succeeds(t)
		p.counts(t, 1, tt.requests)
	}
}

func TestC1_ARefusedTokenCostsOneExtraCallEver(t *testing.T) {
	t.Parallel()
	p := listen(t, reads())
	c := p.client(t)
	for n := range int32(3) {
		if got := p.do(t, c, "POST"); got.status != 401 || string(got.body) != "who?" || got.err != nil {
			t.Fatalf("HTTP %d %q, %v", got.status, got.body, got.err)
		}
		p.counts(t, 1, n+2)
	}
	if c.Form() != ocpi.TokenBase64 {
		t.Errorf("the form changed to %s, which was refused too", c.Form())
	}
	// A new token is a new chance.
	c.SetToken(c.auth.Load().token, ocpi.TokenBase64)
	p.do(t, c, "POST")
	p.counts(t, 1, 6)
}

// What was sent a second time may have been carried out: the first answer, that
// it was refused, would then be wrong.
func TestAFailureOfTheSecondCallIsToldAsSuch(t *testing.T) {
	t.Parallel()
	p := listen(t, func(l *link) {
		l.request()
		l.send(unauthorized)
		l.request()
	})
	c := p.client(t)
	p.do(t, c, "POST").fails(t, Broken)
	if auth := c.auth.Load(); auth.refused || auth.form != ocpi.TokenBase64 {
		t.Error("a failure taught something about the token")
	}
}

func TestC5_ANewTokenIsNotOverwrittenByAnOldCall(t *testing.T) {
	t.Parallel()
	for what, second := range map[string]string{"refused": unauthorized, "accepted": ok(success)} {
		synctest.Test(t, func(t *testing.T) {
			rotate := make(chan struct{})
			p := pipe(t, func(l *link) {
				l.request()
				l.send(unauthorized)
				l.request()
				rotate <- struct{}{}
				<-rotate
				l.send(second)
				answers(ok(success))(l)
			})
			c := p.client(t)
			done := make(chan outcome)
			go func() { done <- p.do(t, c, "POST") }()
			<-rotate
			fresh, err := ocpi.ParseCredentialsToken("fresh")
			if err != nil {
				t.Fatal(err)
			}
			c.SetToken(fresh, ocpi.TokenBase64)
			rotate <- struct{}{}
			<-done
			if auth := c.auth.Load(); auth.token != fresh || auth.refused || auth.form != ocpi.TokenBase64 {
				t.Errorf("%s: the new token was overwritten", what)
			}
		})
	}
}

func TestManyCallsLearnTheFormTogether(t *testing.T) {
	t.Parallel()
	p := listen(t, reads(plain))
	c := p.client(t)
	var calls sync.WaitGroup
	for range 50 {
		calls.Go(func() {
			if got := p.do(t, c, "POST"); got.status != 200 || got.err != nil {
				t.Errorf("HTTP %d, %v", got.status, got.err)
			}
		})
	}
	calls.Wait()
	before := p.received.Load()
	p.do(t, c, "POST").succeeds(t)
	if c.Form() != ocpi.TokenPlain || p.received.Load() != before+1 {
		t.Error("the form is not remembered")
	}
}
