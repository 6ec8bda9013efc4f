//go:build linux

package main

import (
	"syscall"
	"testing"
	"time"
)

func TestPatience(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	in := func(d time.Duration) time.Time { return now.Add(d) }
	for _, c := range []struct {
		name             string
		until, pollUntil time.Time
		want             int
	}{
		{"something was ready lately: poll", time.Time{}, in(time.Millisecond), 0},
		{"nothing for long: sleep", time.Time{}, in(0), -1},
		{"sleep until a time", in(20 * time.Millisecond), in(-1), 20},
		{"round up, or the end becomes a poll", in(1500 * time.Microsecond), in(-1), 2},
		{"the time has passed", in(-time.Second), in(-1), 0},
		{"poll although the time has passed", in(-time.Second), in(1), 0},
	} {
		if got := patience(now, c.until, c.pollUntil); got != c.want {
			t.Errorf("%s: %d ms, want %d", c.name, got, c.want)
		}
	}
}

func TestPollerReportsWhatIsReady(t *testing.T) {
	t.Parallel()
	for _, how := range []waiting{polling, blocking} {
		p, err := newPoller(how.linger())
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer socket(pair[0]).Close()
		defer socket(pair[1]).Close()
		if err := p.add(pair[0], 7); err != nil {
			t.Fatal(err)
		}
		if ready, err := p.wait(time.Now()); err != nil || len(ready) != 0 {
			t.Errorf("%s: %v, %v ready, want nothing", how, ready, err)
		}
		if _, err := socket(pair[1]).Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if ready, err := p.wait(time.Time{}); err != nil || len(ready) != 1 || ready[0].Fd != 7 {
			t.Errorf("%s: %v, %v ready, want 7", how, ready, err)
		}
	}
}

func TestSocketRefusesWhatItsBufferCannotTake(t *testing.T) {
	t.Parallel()
	listener, addr, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	s, err := dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Read(make([]byte, 1)); err != syscall.EAGAIN {
		t.Errorf("a read with nothing to read gives %v", err)
	}
	if _, err := s.Write(make([]byte, 64<<20)); err == nil {
		t.Error("64 MB that nobody reads are written")
	}
	for _, bad := range []string{"", "localhost:80", "[::1]:80"} {
		if _, err := dial(bad); err == nil {
			t.Errorf("dial %q succeeds", bad)
		}
	}
}
