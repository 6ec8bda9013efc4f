package hubtest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"busbar/hub"
)

// processSettings is the environment variable that makes a test binary a hub
// with the settings that it holds, as JSON.
const processSettings = "BUSBAR_TEST_PROCESS"

// processLogs names a folder that keeps the logs of Processes, to be read after
// a test has failed.
const processLogs = "BUSBAR_TEST_LOGS"

// startPatience bounds how long a process may take to listen, on a machine that
// others use.
const startPatience = time.Minute

// Main is what the TestMain of a package calls whose tests start Processes: in
// such a process it is the hub, and returns the exit code of `busbar serve`.
func Main(m *testing.M) int {
	settings := os.Getenv(processSettings)
	if settings == "" {
		return m.Run()
	}
	if err := serveProcess([]byte(settings)); err != nil {
		fmt.Fprintln(os.Stderr, "busbar:", err)
		return 1
	}
	return 0
}

// serveProcess is cmd/busbar's serve: signals end it the same way. It also ends
// when the test does, however that ends: its standard input is closed then.
func serveProcess(raw []byte) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	var settings hub.Settings
	if err := json.Unmarshal(raw, &settings); err != nil {
		return err
	}
	cfg, err := settings.Config()
	if err != nil {
		return err
	}
	h, err := hub.New(ctx, cfg, os.Stderr)
	if err != nil {
		return err
	}
	if err := h.Start(ctx); err != nil {
		return err
	}
	fmt.Println("listening") // for start
	select {
	case <-ctx.Done():
	case err = <-h.Failed():
	}
	h.Stop(context.WithoutCancel(ctx))
	return err
}

// Process is a hub in a process of its own, which can be killed, frozen and
// started again in the same place.
type Process struct {
	*Hub
	settings []byte
	cmd      *exec.Cmd
	stdin    io.Closer
}

// StartProcess starts a hub in a process until the test ends. What is empty in
// settings and has no sensible default for a test is filled in.
func StartProcess(t testing.TB, settings hub.Settings) *Process {
	t.Helper()
	fill := func(to *string, value string) {
		if *to == "" {
			*to = value
		}
	}
	fill(&settings.Listen, FreeAddress(t))
	fill(&settings.AdminListen, FreeAddress(t))
	fill(&settings.PublicURL, "http://hub.test")
	fill(&settings.DataDir, t.TempDir())
	fill(&settings.AdminToken, "admin-token-of-the-test-hub")
	fill(&settings.ForwardTimeout, "10s")
	fill(&settings.AliveInterval, "1h")
	fill(&settings.AllowPrivatePeers, "true")
	raw, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	p := &Process{settings: raw, Hub: &Hub{
		t: t, URL: "http://" + settings.Listen, AdminURL: "http://" + settings.AdminListen,
		AdminToken: settings.AdminToken, Log: &Log{}, DataDir: settings.DataDir,
	}}
	t.Cleanup(p.end)
	p.Begin()
	p.AwaitReady()
	return p
}

// Begin starts the process, or starts it again after it has ended, and returns
// when it listens.
func (p *Process) Begin() {
	p.t.Helper()
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), processSettings+"="+string(p.settings))
	p.cmd.Stderr = p.Log
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.stdin = stdin
	listens := make(chan error, 1)
	go func() {
		_, err := bufio.NewReader(stdout).ReadString('\n')
		listens <- err
	}()
	select {
	case err = <-listens:
	case <-time.After(startPatience):
		err = errors.New("it takes too long")
	}
	if err != nil {
		p.t.Fatalf("the hub's process did not start: %v\n%s", err, lastLines(p.Log.String(), 20))
	}
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// AwaitReady waits until the hub has loaded what it keeps.
func (p *Process) AwaitReady() {
	p.t.Helper()
	p.awaitReady()
}

// Kill ends the process at once, as kill -9 does.
func (p *Process) Kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	_ = p.cmd.Wait()
	p.stdin.Close()
}

// Freeze stops the process in whatever it is doing, until Thaw.
func (p *Process) Freeze() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
}

// Thaw lets a frozen process go on.
func (p *Process) Thaw() {
	p.t.Helper()
	p.signal(syscall.SIGCONT)
}

// Stop asks the process to end, as SIGTERM does, and waits for it. Its error is
// that of an exit code other than 0.
func (p *Process) Stop() error {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	err := p.cmd.Wait()
	p.stdin.Close()
	return err
}

func (p *Process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("signal %s: %v", s, err)
	}
}

// end kills a process that still runs, and looks what its log complains about:
// the race detector of a process that is killed has no other way to tell.
func (p *Process) end() {
	if p.cmd == nil || p.cmd.Process == nil {
		return
	}
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
	log := p.Log.String()
	for _, sign := range []string{"WARNING: DATA RACE", "panic:", "fatal error:"} {
		if i := strings.Index(log, sign); i >= 0 {
			p.t.Errorf("a hub's process says: %.4000s", log[i:])
		}
	}
	if dir := os.Getenv(processLogs); dir != "" {
		name := fmt.Sprintf("%s-%d.log", strings.ReplaceAll(p.t.Name(), "/", "-"), p.cmd.Process.Pid)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(log), 0o600); err != nil {
			p.t.Error(err)
		}
	}
}

// ports counts the addresses given away.
var ports atomic.Uint32

// host is a loopback address of each test binary's own, where the system has more
// than one: other binaries give theirs away at the same time.
var host = func() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	return fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
}()

// FreeAddress is a loopback address that nobody listens on, and that no outgoing
// connection takes meanwhile: a process can be started on it again.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 1000 {
		// Below the range that outgoing connections take their ports from.
		address := fmt.Sprintf("%s:%d", host, 10_000+ports.Add(1)%20_000)
		l, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		l.Close()
		return address
	}
	t.Fatal("no free port")
	return ""
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
