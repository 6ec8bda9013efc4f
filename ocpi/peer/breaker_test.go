package peer

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"
)

// flaky is a platform whose connections can be made to fail. dials counts the
// attempts.
func flaky(t *testing.T) (p *platform, down *error, dials *int) {
	p = pipe(t, answers("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 55\r\n\r\n"+success))
	open := p.dialer.open
	down, dials = new(error), new(int)
	p.dialer.open = func(ctx context.Context, to *Target) (net.Conn, error) {
		*dials++
		if *down != nil {
			return nil, *down
		}
		return open(ctx, to)
	}
	return p, down, dials
}

func TestTheBreakerOpensAndRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, down, dials := flaky(t)
		c := p.client(t)
		*down = errors.New("refused")
		for range breakerFailures {
			p.do(t, c, "POST").fails(t, Unreachable)
		}
		for range 3 { // at once, without a dial
			got := p.do(t, c, "POST")
			if got.fails(t, Unreachable); !errors.Is(got.err, gobreaker.ErrOpenState) {
				t.Fatalf("the error is %v", got.err)
			}
		}
		if *dials != breakerFailures {
			t.Fatalf("%d dials", *dials)
		}
		time.Sleep(breakerPause + 1) // one may try, and fails
		p.do(t, c, "POST").fails(t, Unreachable)
		p.do(t, c, "POST").fails(t, Unreachable)
		if *dials != breakerFailures+1 {
			t.Fatalf("%d dials after the pause", *dials)
		}
		*down = nil
		p.do(t, c, "POST").fails(t, Unreachable) // the pause begins anew
		time.Sleep(breakerPause + 1)
		for range 3 {
			p.do(t, c, "POST").succeeds(t)
		}
		p.counts(t, 3, 3)
	})
}

func TestTheBreakerCountsFailuresInARow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, down, _ := flaky(t)
		c := p.client(t)
		for range 3 {
			*down = errors.New("refused")
			for range breakerFailures - 1 {
				p.do(t, c, "POST").fails(t, Unreachable)
			}
			*down = nil
			p.do(t, c, "POST").succeeds(t)
		}
	})
}

func TestRequestersWhoGoAwaySayNothingAboutTheHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, _, dials := flaky(t)
		open := p.dialer.open
		p.dialer.open = func(ctx context.Context, to *Target) (net.Conn, error) {
			(*dials)++
			<-ctx.Done() // a slow network
			return nil, ctx.Err()
		}
		c := p.client(t)
		for range 2 * breakerFailures {
			ctx, cancel := context.WithCancel(t.Context())
			call := p.start(ctx, t, c, soon())
			cancel()
			(<-call).fails(t, Cancelled)
			(<-p.start(t.Context(), t, c, time.Now().Add(fairDial-1))).fails(t, Unreachable)
		}
		if *dials != 4*breakerFailures {
			t.Errorf("%d dials", *dials)
		}
		p.dialer.open = open
		p.do(t, c, "POST").succeeds(t)
	})
}

func TestDialsThatRunOutOfTimeOpenTheBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, _, _ := flaky(t)
		dials := 0
		p.dialer.open = func(ctx context.Context, _ *Target) (net.Conn, error) {
			dials++
			<-ctx.Done()
			return nil, ctx.Err()
		}
		c := p.client(t)
		for range breakerFailures + 2 {
			(<-p.start(t.Context(), t, c, time.Now().Add(10*time.Second))).fails(t, Unreachable)
		}
		if dials != breakerFailures {
			t.Errorf("%d dials", dials)
		}
	})
}

func TestOneHostsBreakerLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, down, _ := flaky(t)
		c := p.client(t)
		*down = errors.New("refused")
		for range breakerFailures {
			p.do(t, c, "POST").fails(t, Unreachable)
		}
		*down = nil
		finish(c.Do(t.Context(), soon(), &Call{Method: "GET", Target: target(t, "http://other.example/")})).succeeds(t)
		p.do(t, p.client(t), "POST").succeeds(t) // nor does another platform suffer
		p.do(t, c, "POST").fails(t, Unreachable)
	})
}
