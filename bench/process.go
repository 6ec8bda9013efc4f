//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// process is a program that the run started and will end.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	in   io.WriteCloser
	out  io.ReadCloser
	done chan struct{} // closed when it has ended; then err is set
	err  error
}

// processConfig says how to start one.
type processConfig struct {
	Name string
	// Cores is taskset's list; empty leaves the process unpinned.
	Cores string
	// Dir takes the log, Name + ".log".
	Dir string
	// Env is the whole environment beyond PATH, HOME and TMPDIR: what the
	// caller happens to have set must not change a figure.
	Env []string
	// Piped connects standard input and output to this process; else output
	// goes to the log as well.
	Piped bool
	Argv  []string
}

// start runs a program. It must be called from the main goroutine, which is
// locked to its thread: the kernel ends the program when that thread ends,
// however the run dies.
func start(cfg processConfig) (*process, error) {
	argv := cfg.Argv
	if cfg.Cores != "" {
		argv = append([]string{"taskset", "-c", cfg.Cores}, argv...)
	}
	p := &process{
		name: cfg.Name, cmd: exec.Command(argv[0], argv[1:]...),
		log: filepath.Join(cfg.Dir, cfg.Name+".log"), done: make(chan struct{}),
	}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the program has its own descriptor
	p.cmd.Stderr = log
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + cfg.Dir, "TMPDIR=" + cfg.Dir}, cfg.Env...)
	// Its own group: Ctrl-C reaches only the run, which ends all in order.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	p.cmd.Stdout = log
	if cfg.Piped {
		p.cmd.Stdout = nil // for the pipe
		if p.in, err = p.cmd.StdinPipe(); err != nil {
			return nil, err
		}
		if p.out, err = p.cmd.StdoutPipe(); err != nil {
			return nil, err
		}
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cfg.Name, err)
	}
	go p.wait()
	return p, nil
}

// wait notes the end. Unlike exec.Cmd's it leaves the pipes open, in which an
// answer may still stand.
func (p *process) wait() {
	state, err := p.cmd.Process.Wait()
	if err == nil {
		err = errors.New(state.String())
	}
	p.err = err
	close(p.done)
}

// stop ends the program: politely, then for sure.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
	for _, pipe := range []io.Closer{p.in, p.out} {
		if pipe != nil {
			pipe.Close()
		}
	}
}

// ended is the error that a process should not have ended, with what it said
// last.
func (p *process) ended() error {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Errorf("%s ended: %w", p.name, p.err)
	}
	if len(text) > 2000 {
		text = text[len(text)-2000:]
	}
	return fmt.Errorf("%s ended (%w); its log: %s", p.name, p.err, strings.TrimSpace(string(text)))
}

// await calls ready every 20 ms until it answers true, for at most 30 s.
func (p *process) await(ctx context.Context, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for !ready() {
		select {
		case <-p.done:
			return p.ended()
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", p.name, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// accepts tells whether somebody listens on addr.
func accepts(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// freeAddr is an address on which nobody listens. Another process may take it
// before it is used; then its user fails to start, and the run with it.
func freeAddr() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
