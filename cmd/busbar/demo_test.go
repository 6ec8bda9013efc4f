package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// terminal ends the demo when every line that is waited for was shown.
type terminal struct {
	mu   sync.Mutex
	text bytes.Buffer
	want []string
	done context.CancelFunc
}

func (s *terminal) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	all := s.text.String()
	for len(s.want) > 0 && strings.Contains(all, s.want[0]) {
		s.want = s.want[1:]
	}
	if len(s.want) == 0 {
		s.done()
	}
	return len(p), nil
}

// freePort is a port that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// The test changes TMPDIR, so it is not parallel.
func TestDemo_CarsAreChargedAndCommandsAnswered(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	ctx, cancel := context.WithCancel(t.Context())
	out := &terminal{done: cancel, want: []string{
		"Busbar is up, party EUBUS", "/ocpi/versions", "Authorization: Bearer ", // where to look
		"/authorize", "PUT    sessions/", "PATCH  sessions/", "POST   cdrs", "commands/",
	}}
	var errs bytes.Buffer
	code := run(ctx, []string{
		"demo", "--listen", fmt.Sprintf("127.0.0.1:%d", freePort(t)), "--admin-listen", "127.0.0.1:0", "--pace", "200",
	}, streams{out, &errs})
	if code != 0 || len(out.want) > 0 {
		t.Errorf("exit code %d, still waiting for %q\n%s\n%s", code, out.want, out.text.String(), errs.String())
	}
	if left, _ := filepath.Glob(filepath.Join(temp, "busbar-demo-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDemo_Locations(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no such file":     {[]string{"--locations", "no-such-file"}, exitError, "--locations:"},
		"a broken file":    {[]string{"--locations", file}, exitError, "--locations:"},
		"a pace of nought": {[]string{"--pace", "0"}, exitUsage, "--pace:"},
		"no known port":    {[]string{"--listen", "127.0.0.1:0"}, exitUsage, "--listen:"},
		"a wrong address":  {[]string{"--admin-listen", "nowhere"}, exitUsage, "BUSBAR_ADMIN_LISTEN"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), append([]string{"demo"}, test.args...), streams{&out, &errs})
		if code != test.code || !strings.Contains(errs.String(), test.says) {
			t.Errorf("%s: exit code %d, %q", name, code, errs.String())
		}
	}
}
