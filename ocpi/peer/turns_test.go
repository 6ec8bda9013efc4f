package peer

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// One requester's calls to a host that does not answer them leave it to others.
func TestTurns_OneRequesterLeavesAsMuchAsItHas(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		requesters, calls int
		held              []int
	}{
		{1, 20, []int{8}},
		{2, 20, []int{8, 4}},
		{3, 20, []int{8, 4, 2}},
		{3, 1, []int{1, 1, 1}},
		{16, 1, []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
		{4, 20, []int{8, 4, 2, 1}},
	} {
		t.Run(fmt.Sprintf("%d requesters with %d calls each", one.requesters, one.calls), func(t *testing.T) {
			t.Parallel()
			p := &pool{max: 16}
			for i := range one.requesters {
				of := &Client{}
				held := 0
				for range one.calls {
					if c, _, err := p.take(of); err != nil {
						t.Fatal(err)
					} else if c != nil {
						held++
					}
				}
				if held != one.held[i] {
					t.Errorf("requester %d has %d connections, want %d", i, held, one.held[i])
				}
			}
		})
	}
}

// The hub's own calls, which have their own bounds, may have what is there.
func TestTurns_TheHubItselfHasNoShare(t *testing.T) {
	t.Parallel()
	p := &pool{max: 16}
	for i := range 16 {
		if c, _, err := p.take(nil); err != nil || c == nil {
			t.Fatalf("call %d waits, %v", i, err)
		}
	}
}

// What comes free goes round the requesters, and in the order of its calls to each.
func TestTurns_RequestersTakeTurns(t *testing.T) {
	t.Parallel()
	p := &pool{max: 1}
	held, _, _ := p.take(nil)
	noisy, quiet := &Client{}, &Client{}
	var turns []*turn
	for _, of := range []*Client{noisy, noisy, noisy, quiet, nil, quiet} {
		_, turn, err := p.take(of)
		if err != nil || turn == nil {
			t.Fatalf("it does not wait: %v", err)
		}
		turns = append(turns, turn)
	}
	var served []int
	for range turns {
		p.put(held)
		for i, turn := range turns {
			select {
			case held = <-turn.ready:
				served = append(served, i)
			default:
			}
		}
	}
	if want := []int{0, 3, 4, 1, 5, 2}; !slices.Equal(served, want) {
		t.Errorf("served in the order %v, want %v", served, want)
	}
	if p.put(held); p.open != 1 || p.waiting != 0 || len(p.turns) != 0 {
		t.Errorf("%d open, %d waiting, %d turns at the end", p.open, p.waiting, len(p.turns))
	}
}

// A requester that has its share goes on when others give theirs back.
func TestTurns_WhatOthersGiveBackIsShared(t *testing.T) {
	t.Parallel()
	p := &pool{max: 8}
	a, b := &Client{}, &Client{}
	first, _, _ := p.take(b)
	var waits []*turn
	held := 0
	for range 6 {
		c, turn, err := p.take(a)
		switch {
		case err != nil:
			t.Fatal(err)
		case c != nil:
			held++
		default:
			waits = append(waits, turn)
		}
	}
	if held != 3 || len(waits) != 3 {
		t.Fatalf("%d held, %d wait beside another; want 3 and 3", held, len(waits))
	}
	p.forget(first)
	if len(waits[0].ready) != 1 || len(waits[1].ready) != 0 {
		t.Errorf("alone it has %d, want 4: half", p.holders[a].held)
	}
}

// Nor does one requester fill the queue.
func TestTurns_TheQueueHasSharesToo(t *testing.T) {
	t.Parallel()
	p := &pool{max: 1}
	p.take(nil)
	noisy, quiet := &Client{}, &Client{}
	for range maxWaiting / 2 {
		if _, _, err := p.take(noisy); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := p.take(noisy); err != errPoolBusy {
		t.Errorf("beyond its share it got %v", err)
	}
	if _, _, err := p.take(quiet); err != nil {
		t.Errorf("another got %v", err)
	}
	p.sweep(time.Now(), true)
	if len(p.turns) != 0 || p.waiting != 0 {
		t.Errorf("%d wait for a pool that was closed", p.waiting)
	}
}

func TestTurns_AQuietRequesterIsServedBesideANoisyOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan string)
		p := pipe(t, slow(release))
		p.dialer.maxConns = 4
		c, noisy, quiet := p.client(t), p.client(t), p.client(t)
		var calls []<-chan outcome
		for range 10 {
			calls = append(calls, p.startFor(t.Context(), t, noisy, c, soon()))
		}
		p.counts(t, 2, 2)
		calls = append(calls, p.startFor(t.Context(), t, quiet, c, soon()))
		p.counts(t, 3, 3)
		for range calls {
			release <- ok(success)
			synctest.Wait()
		}
		for _, call := range calls {
			(<-call).succeeds(t)
		}
		if p := c.onlyPool(); p.waiting != 0 || len(p.turns) != 0 || p.open != len(p.idle) {
			t.Errorf("%d open, %d idle, %d waiting", p.open, len(p.idle), p.waiting)
		}
		c.Sweep(time.Now())
		if n := len(c.onlyPool().holders); n != 0 {
			t.Errorf("%d requesters are remembered", n)
		}
	})
}
