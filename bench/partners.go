//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// startPartner starts this command once more, as the load generator or as the
// backend.
func startPartner(role, dir, cores string, how waiting) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(processConfig{
		Name: role, Cores: cores, Dir: dir, Piped: true,
		Env: []string{"GOMAXPROCS=1"}, Argv: []string{self, role, string(how)},
	})
}

// lost explains why a partner does not answer.
func (p *process) lost(err error) error {
	select {
	case <-p.done:
		return p.ended()
	case <-time.After(time.Second):
		return fmt.Errorf("%s: %w", p.name, err)
	}
}

// platforms is the running backend, as the run sees it.
type platforms struct {
	*process
	addr  string
	lines *bufio.Reader
}

func startPlatforms(role, dir, cores string, how waiting) (*platforms, error) {
	p, err := startPartner(role, dir, cores, how)
	if err != nil {
		return nil, err
	}
	b := &platforms{process: p, lines: bufio.NewReader(p.out)}
	if b.addr, err = b.line(); err != nil {
		p.stop()
		return nil, err
	}
	return b, nil
}

// used is what the backend has done so far: see poller.used.
func (b *platforms) used() (time.Duration, error) {
	if _, err := b.in.Write([]byte{'\n'}); err != nil {
		return 0, b.lost(err)
	}
	line, err := b.line()
	if err != nil {
		return 0, err
	}
	ns, err := strconv.ParseInt(line, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("backend: %w", err)
	}
	return time.Duration(ns), nil
}

func (b *platforms) line() (string, error) {
	line, err := b.lines.ReadString('\n')
	if err != nil {
		return "", b.lost(err)
	}
	return strings.TrimSpace(line), nil
}
