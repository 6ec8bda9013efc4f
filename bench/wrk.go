//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// wrkConfig says how wrk is to send one request again and again.
type wrkConfig struct {
	Cores, Dir  string
	Connections int
	Duration    time.Duration
	// URL and Script are of the request.
	URL, Script string
}

// wrk runs it once. Requests, elapsed time and CPU are of the whole run.
func wrk(ctx context.Context, cfg wrkConfig) (sample, error) {
	argv := []string{
		"wrk", "-t", "2", "-c", strconv.Itoa(cfg.Connections),
		// wrk counts whole seconds.
		"-d", strconv.Itoa(int(cfg.Duration.Seconds()+0.5)) + "s", "-s", cfg.Script, cfg.URL,
	}
	if cfg.Cores != "" {
		argv = append([]string{"taskset", "-c", cfg.Cores}, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Dir = cfg.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return sample{}, fmt.Errorf("wrk: %w: %s", err, bytes.TrimSpace(out))
	}
	s, err := readWrk(string(out))
	s.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return s, err
}

var (
	wrkTotal = regexp.MustCompile(`(\d+) requests in ([0-9.]+m?s|[0-9.]+m),`)
	wrkWrong = regexp.MustCompile(`(?m)^\s*(Socket errors|Non-2xx).*$`)
)

// readWrk reads what wrk prints at its end.
func readWrk(out string) (sample, error) {
	if wrong := wrkWrong.FindString(out); wrong != "" {
		return sample{}, wrongAnswer{"wrk: " + strings.TrimSpace(wrong)}
	}
	m := wrkTotal.FindStringSubmatch(out)
	if m == nil {
		return sample{}, fmt.Errorf("wrk printed no total: %s", out)
	}
	requests, err := strconv.ParseUint(m[1], 10, 64)
	if err != nil {
		return sample{}, fmt.Errorf("wrk: %w", err)
	}
	elapsed, err := time.ParseDuration(m[2])
	return sample{Requests: requests, Elapsed: elapsed}, err
}

// wrkRequest makes wrk's script and URL of a request as it arrived at the
// backend: the same method, path, headers and body.
func wrkRequest(backend string, head, body []byte) (url, script string, err error) {
	method, rest, _ := strings.Cut(string(firstOf(head)), " ")
	path, _, ok := strings.Cut(rest, " ")
	if !ok {
		return "", "", fmt.Errorf("%q is no request", head)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "wrk.method = %s\nwrk.body = %s\n", luaString(method), luaString(string(body)))
	for line := range strings.SplitSeq(string(head[len(firstOf(head)):]), "\r\n") {
		name, value, ok := strings.Cut(line, ":")
		// wrk sets these two itself.
		if ok && !strings.EqualFold(name, "Host") && !strings.EqualFold(name, "Content-Length") {
			fmt.Fprintf(&b, "wrk.headers[%s] = %s\n", luaString(name), luaString(strings.TrimSpace(value)))
		}
	}
	return "http://" + backend + path, b.String(), nil
}

// luaString quotes: Lua reads \ddd as a byte in decimal.
func luaString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		if c < ' ' || c == '"' || c == '\\' || c > '~' {
			fmt.Fprintf(&b, "\\%03d", c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
