//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ensureProxies installs nginx, HAProxy and wrk from Debian when they are missing.
// Should Debian start them as services, those idle on ports of their own and
// have no part in the run.
func ensureProxies(ctx context.Context) error {
	var missing []string
	for _, name := range []string{"nginx", "haproxy", "wrk"} {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	for _, args := range [][]string{
		{"apt-get", "update", "-q"},
		append([]string{"apt-get", "install", "-q", "-y", "--no-install-recommends"}, missing...),
	} {
		args = append([]string{"env", "DEBIAN_FRONTEND=noninteractive"}, args...)
		if os.Getuid() != 0 {
			args = append([]string{"sudo", "-n"}, args...)
		}
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("install %s: %w: %s", strings.Join(missing, ", "), err, out)
		}
	}
	return nil
}

// proxyConfig says how to start a proxy in front of the field.
type proxyConfig struct {
	Name    string
	Dir     string
	Cores   string
	Field   field
	Backend string
}

// startNginx runs one nginx with two workers.
func startNginx(ctx context.Context, cfg proxyConfig) (*contestant, error) {
	return startProxy(ctx, cfg, func(dir, addr string) ([]string, error) {
		conf := filepath.Join(dir, "nginx.conf")
		text := nginxConf(nginxSettings{Dir: dir, Addr: addr, Backend: cfg.Backend, Root: os.Getuid() == 0}, cfg.Field)
		return []string{"nginx", "-p", dir, "-c", conf, "-e", filepath.Join(dir, "error.log")}, os.WriteFile(conf, []byte(text), 0o600)
	})
}

// startFileServer runs one nginx that serves the directory of a file.
func startFileServer(ctx context.Context, cfg proxyConfig, file string) (*contestant, error) {
	return startProxy(ctx, cfg, func(dir, addr string) ([]string, error) {
		conf := filepath.Join(dir, "nginx.conf")
		text := nginxFileConf(nginxSettings{Dir: dir, Addr: addr, Root: os.Getuid() == 0}, filepath.Dir(file))
		return []string{"nginx", "-p", dir, "-c", conf, "-e", filepath.Join(dir, "error.log")}, os.WriteFile(conf, []byte(text), 0o600)
	})
}

// startHAProxy runs HAProxy with two threads.
func startHAProxy(ctx context.Context, cfg proxyConfig) (*contestant, error) {
	return startProxy(ctx, cfg, func(dir, addr string) ([]string, error) {
		conf := filepath.Join(dir, "haproxy.cfg")
		files := map[string]string{
			conf:                               haproxyConf(dir, addr, cfg.Backend, cfg.Field),
			filepath.Join(dir, "callers.map"):  haproxyCallers(cfg.Field),
			filepath.Join(dir, "parties.map"):  haproxyParties(cfg.Field),
			filepath.Join(dir, "outbound.map"): haproxyOutbound(cfg.Field),
		}
		for name, text := range files {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				return nil, err
			}
		}
		return []string{"haproxy", "-db", "-f", conf}, nil
	})
}

// startProxy writes a proxy's files, starts it and waits until it listens.
func startProxy(ctx context.Context, cfg proxyConfig, prepare func(dir, addr string) ([]string, error)) (*contestant, error) {
	dir := filepath.Join(cfg.Dir, cfg.Name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	argv, err := prepare(dir, addr)
	if err != nil {
		return nil, err
	}
	p, err := start(processConfig{Name: cfg.Name, Cores: cfg.Cores, Dir: cfg.Dir, Argv: argv})
	if err != nil {
		return nil, err
	}
	if err := p.await(ctx, func() bool { return accepts(addr) }); err != nil {
		p.stop()
		return nil, err
	}
	return &contestant{Name: cfg.Name, process: p, Field: cfg.Field, Target: cfg.Field.target(addr)}, nil
}
