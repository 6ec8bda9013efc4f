package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
	s.want = slices.DeleteFunc(s.want, func(want string) bool { return shows(string(p), want) })
	if len(s.want) == 0 {
		s.done()
	}
	return len(p), nil
}

// shows tells whether a text has a part, in which % stands for any letter.
func shows(text, part string) bool {
	pattern := strings.ReplaceAll(regexp.QuoteMeta(part), "%", ".")
	return regexp.MustCompile(pattern).MatchString(text)
}

// freePort is a port that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	for range 1000 {
		// Below the range that outgoing connections take theirs from.
		port := 10_000 + rand.IntN(20_000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// watch runs the demo until every line that is waited for was shown, in any
// order.
func watch(t *testing.T, want []string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &terminal{done: cancel, want: want}
	var errs bytes.Buffer
	code := run(ctx, append([]string{
		"demo", "--listen", fmt.Sprintf("127.0.0.1:%d", freePort(t)), "--admin-listen", "127.0.0.1:0", "--pace", "200",
	}, args...), streams{out: out, err: &errs})
	if code != 0 || len(out.want) > 0 {
		t.Errorf("exit code %d, still waiting for %q\n%s\n%s", code, out.want, out.text.String(), errs.String())
	}
}

// The test changes TMPDIR, so it is not parallel.
func TestDemo_CarsAreChargedAndCommandsAnswered(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	watch(t, []string{
		"Busbar is up, party EUBUS", "/ocpi/versions", "Authorization: Bearer ", // where to look
		"/api/v1/messages", "/api/v1/catalog/locations", "/api/v1/explain -d '{",
		"/authorize", "PUT    sessions/", "PATCH  sessions/", "POST   cdrs", "commands/",
	}, "--direct")
	if left, _ := filepath.Glob(filepath.Join(temp, "busbar-demo-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestDemoTellsOfBroadcasts, of what the hub finds out by itself, and of a
// platform that goes offline and comes back.
func TestDemoTellsOfBroadcasts(t *testing.T) {
	t.Parallel()
	watch(t, []string{
		"7 CPOs broadcast 96 Locations and 14 Tariffs",
		"⇉ EUBUS  PUT    tariffs/", "⇉ EUBUS  PUT    locations/", // accepted
		"EUBUS ⇉ 5      PUT    locations of", // and sent to the other platforms' eMSPs
		"all Locations and Tariffs are broadcast", "⇉ EUBUS  PATCH  locations/",
		"goes offline", "other platforms know by HubClientInfo: Mésange Mobilité is OFFLINE",
		"Mésange Mobilité is back", "FRMES catches up by GET All", "other platforms know by HubClientInfo: Mésange Mobilité is CONNECTED",
	})
}

// TestDemoTellsOfOpenRouting: of cards and sessions whose party only the hub
// knows, of lists of all parties, and of smart charging.
func TestDemoTellsOfOpenRouting(t *testing.T) {
	t.Parallel()
	watch(t, []string{
		"⇢", "⇢ %%%%%  POST   tokens/", "⇢ %%%%%  POST   commands/START_SESSION", "⇢ %%%%%  POST   commands/STOP_SESSION",
		"⇢ %%%%%  PUT    chargingprofiles/", "→ EUBUS  GET    locations", "→ NLSLO  PUT    sessions/", "→ NLSLO  POST   chargingprofiles",
	})
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
		code := run(t.Context(), append([]string{"demo"}, test.args...), streams{out: &out, err: &errs})
		if code != test.code || !strings.Contains(errs.String(), test.says) {
			t.Errorf("%s: exit code %d, %q", name, code, errs.String())
		}
	}
}

func TestDemo_TellsWhichLocationsAreLeftOut(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "locations.jsonl")
	lines := `{"id":"L1","country_code":"NL","party_id":"ABC"}` + "\n" + `{"name":"X"}` + "\nnope\n"
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	_, err := (&demoCommand{Locations: file}).locations(streams{out: &out})
	want := "1 Locations of 1 parties from " + file + "\n  1 left out: no id\n  1 left out: not JSON\n  the first: line 2: no id\n"
	if err != nil || out.String() != want {
		t.Errorf("told %q, %v, want %q", out.String(), err, want)
	}
}
