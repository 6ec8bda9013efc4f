package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"busbar": main})
}

// TestScripts runs testdata/script with the command itself. Beside testscript's
// own commands there are
//
//	start NAME ARGS…         busbar ARGS in the background, until it says "hub started"; sets $ADMIN, $OCPI
//	token NAME               waits for the printed admin token; sets $TOKEN
//	end NAME [INT]           SIGTERM (or SIGINT) and exit code 0; its output is in NAME.stdout, NAME.stderr
//	ready                    waits until /readyz answers 200; before, it may be 503 and nothing else
//	get STATUS PATH [TOKEN]  GET from $ADMIN; the body is in file "body"
//	holds DIR TEXT           some file under DIR holds TEXT
//	exits CODE ARGS…         busbar ARGS ends with the code; its output is in it.stdout, it.stderr
//	occupy VAR               takes a port until the script ends; sets VAR to its address
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			hubs := &hubs{running: map[string]*process{}}
			env.Values[hubsKey{}] = hubs
			env.Defer(hubs.kill)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"start": start, "token": token, "end": end, "ready": ready, "get": get, "holds": holds, "exits": exits, "occupy": occupy,
		},
	})
}

// patience bounds a wait for output, for a machine that is stuck.
const patience = time.Minute

type hubsKey struct{}

// hubs are the processes that a script has started.
type hubs struct{ running map[string]*process }

func (h *hubs) kill() {
	for _, p := range h.running {
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

type process struct {
	cmd      *exec.Cmd
	out, err *watched
	ended    chan struct{}
	fate     error // once ended is closed
}

// command prepares busbar with the script's environment and directory.
func command(ts *testscript.TestScript, args []string) *exec.Cmd {
	busbar := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path := filepath.Join(dir, "busbar"); isFile(path) {
			busbar = path // testscript puts it first
			break
		}
	}
	cmd := exec.Command(busbar, args...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range append(strings.Fields("PATH HOME TMPDIR GOCOVERDIR"), settingNames()...) {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func launch(ts *testscript.TestScript, args []string) *process {
	p := &process{cmd: command(ts, args), out: newWatched(), err: newWatched(), ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.err
	ts.Check(p.cmd.Start())
	go func() {
		p.fate = p.cmd.Wait()
		p.out.end()
		p.err.end()
		close(p.ended)
	}()
	return p
}

func of(ts *testscript.TestScript, name string) *process {
	p := ts.Value(hubsKey{}).(*hubs).running[name]
	if p == nil {
		ts.Fatalf("no hub %s was started", name)
	}
	return p
}

var started = regexp.MustCompile(`hub started.*?\bocpi"?[=:]"?([0-9.:]+).*?\badmin"?[=:]"?([0-9.:]+)`)

func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: start NAME ARGS…")
	}
	p := launch(ts, args[1:])
	ts.Value(hubsKey{}).(*hubs).running[args[0]] = p
	found := p.err.await(started)
	if found == nil {
		ts.Fatalf("%s did not start: %s%s", args[0], p.out, p.err)
	}
	ts.Setenv("OCPI", found[1])
	ts.Setenv("ADMIN", found[2])
}

var printedToken = regexp.MustCompile(`(?m)^Admin token, .*\n  ([0-9a-f]{64})$`)

func token(ts *testscript.TestScript, neg bool, args []string) {
	found := of(ts, args[0]).out.await(printedToken)
	if neg || found == nil {
		ts.Fatalf("no admin token was printed")
	}
	ts.Setenv("TOKEN", found[1])
}

func end(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: end NAME [INT]")
	}
	p, signal := of(ts, args[0]), os.Signal(syscall.SIGTERM)
	if len(args) > 1 {
		signal = os.Interrupt
	}
	ts.Check(p.cmd.Process.Signal(signal))
	finish(ts, args[0], p)
	if p.fate != nil {
		ts.Fatalf("%s: %v\n%s%s", args[0], p.fate, p.out, p.err)
	}
	delete(ts.Value(hubsKey{}).(*hubs).running, args[0])
}

// finish waits for the end and keeps the output.
func finish(ts *testscript.TestScript, name string, p *process) {
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.ended
		ts.Fatalf("%s did not end: %s%s", name, p.out, p.err)
	}
	ts.Check(os.WriteFile(ts.MkAbs(name+".stdout"), []byte(p.out.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(name+".stderr"), []byte(p.err.String()), 0o600))
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exits CODE ARGS…")
	}
	p := launch(ts, args[1:])
	finish(ts, "it", p)
	if code := fmt.Sprint(p.cmd.ProcessState.ExitCode()); code != args[0] {
		ts.Fatalf("exit code %s, want %s: %s%s", code, args[0], p.out, p.err)
	}
}

// ready waits as a balancer does: a hub listens before it has loaded its catalog.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: ready")
	}
	for deadline := time.Now().Add(patience); ; {
		response, err := http.Get("http://" + ts.Getenv("ADMIN") + "/readyz")
		ts.Check(err)
		response.Body.Close()
		switch {
		case response.StatusCode == http.StatusOK:
			return
		case response.StatusCode != http.StatusServiceUnavailable:
			ts.Fatalf("GET /readyz: HTTP %d, want 503 or 200", response.StatusCode)
		case time.Now().After(deadline):
			ts.Fatalf("the hub does not become ready")
		}
	}
}

func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: get STATUS PATH [TOKEN]")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+ts.Getenv("ADMIN")+args[1], nil)
	ts.Check(err)
	if len(args) > 2 {
		request.Header.Set("Authorization", "Bearer "+args[2])
	}
	response, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	ts.Check(err)
	if status := fmt.Sprint(response.StatusCode); status != args[0] {
		ts.Fatalf("GET %s: HTTP %s, want %s: %s", args[1], status, args[0], body)
	}
	ts.Check(os.WriteFile(ts.MkAbs("body"), body, 0o600))
}

func holds(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 || args[1] == "" {
		ts.Fatalf("usage: holds DIR TEXT")
	}
	found, read := "", 0
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		if read++; bytes.Contains(raw, []byte(args[1])) {
			found = path
		}
		return err
	}))
	if read == 0 {
		ts.Fatalf("%s has no files", args[0])
	}
	if neg != (found == "") {
		ts.Fatalf("holds %s: found in %q", args[1], found)
	}
}

func occupy(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

// watched keeps what was written and wakes who waits for it.
type watched struct {
	mu    sync.Mutex
	text  bytes.Buffer
	ended bool
	news  chan struct{} // closed and replaced at every change
}

func newWatched() *watched { return &watched{news: make(chan struct{})} }

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	w.tell()
	return len(p), nil
}

func (w *watched) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.tell()
}

func (w *watched) tell() {
	close(w.news)
	w.news = make(chan struct{})
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// await waits until the text matches; nil when the process ends without.
func (w *watched) await(pattern *regexp.Regexp) []string {
	deadline := time.After(patience)
	for {
		w.mu.Lock()
		found, ended, news := pattern.FindStringSubmatch(w.text.String()), w.ended, w.news
		w.mu.Unlock()
		if found != nil || ended {
			return found
		}
		select {
		case <-news:
		case <-deadline:
			return nil
		}
	}
}
