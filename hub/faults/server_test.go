package faults

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"busbar/hub/hubtest"
)

// server is a store's server of one test's own, which can be killed, and started
// again on its port.
type server struct {
	t       testing.TB
	url     string
	command []string
	as      *syscall.Credential
	// ready is what it prints when it serves.
	ready string
	cmd   *exec.Cmd
}

// newRedis starts a Redis without persistence.
func newRedis(t testing.TB) *server {
	t.Helper()
	address := hubtest.FreeAddress(t)
	host, port, _ := net.SplitHostPort(address)
	s := &server{
		t: t, url: "redis://" + address, ready: "eady to accept connections",
		command: []string{"redis-server", "--port", port, "--bind", host, "--save", "", "--appendonly", "no", "--dir", t.TempDir()},
	}
	s.start()
	t.Cleanup(s.kill)
	return s
}

// newPostgres starts a Postgres of the test's own.
func newPostgres(t testing.TB) *server {
	t.Helper()
	bin := postgresBin(t)
	dir, err := os.MkdirTemp("", "busbar-faults-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	address := hubtest.FreeAddress(t)
	host, port, _ := net.SplitHostPort(address)
	s := &server{
		t: t, url: "postgres://busbar@" + address + "/postgres?sslmode=disable", as: postgresUser(t, dir),
		ready: "database system is ready to accept connections",
		command: []string{filepath.Join(bin, "postgres"), "-D", filepath.Join(dir, "data"), "-p", port, "-k", "",
			"-c", "listen_addresses=" + host, "-c", "fsync=off", "-c", "full_page_writes=off"},
	}
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), "-U", "busbar", "-A", "trust",
		"--no-sync", "-E", "UTF8", "--locale=C")
	initdb.Dir, initdb.SysProcAttr = dir, &syscall.SysProcAttr{Credential: s.as}
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.start()
	t.Cleanup(s.kill)
	return s
}

// postgresBin finds the newest Postgres; Debian keeps its programs off the PATH.
func postgresBin(t testing.TB) string {
	t.Helper()
	all, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err == nil && len(all) > 0 {
		return filepath.Dir(slices.Max(all))
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		t.Fatal("no Postgres: run the tests through scripts/services.sh")
	}
	return filepath.Dir(path)
}

// postgresUser gives dir to the user postgres if this is root: Postgres refuses
// to run as root.
func postgresUser(t testing.TB, dir string) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	account, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, err1 := strconv.Atoi(account.Uid)
	gid, err2 := strconv.Atoi(account.Gid)
	if err1 != nil || err2 != nil {
		t.Fatalf("user postgres has ids %s and %s", account.Uid, account.Gid)
	}
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// start starts the server, or starts it again, and waits until it serves.
func (s *server) start() {
	s.t.Helper()
	s.cmd = exec.Command(s.command[0], s.command[1:]...)
	// A group of its own: Postgres has children. They end with this process.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true}
	s.cmd.Dir = os.TempDir()
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.cmd.Stderr = s.cmd.Stdout
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("start %s: %v", s.command[0], err)
	}
	serves := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(out)
		said := ""
		for lines.Scan() {
			said += lines.Text() + "\n"
			if strings.Contains(lines.Text(), s.ready) {
				serves <- ""
				_, _ = io.Copy(io.Discard, out)
				return
			}
		}
		serves <- "it ended: " + said
	}()
	select {
	case fault := <-serves:
		if fault != "" {
			s.t.Fatalf("%s does not serve: %s", s.command[0], fault)
		}
	case <-time.After(time.Minute):
		s.t.Fatalf("%s does not serve", s.command[0])
	}
}

// kill ends the server as kill -9 does, with its children.
func (s *server) kill() {
	if s.cmd.ProcessState == nil {
		_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
		_ = s.cmd.Wait()
	}
}
