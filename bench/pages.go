//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"busbar/ocpi"
)

// pages compares a page out of the catalog with nginx sending the same bytes
// from a file, and the last page with the first (P5).
func (l *lineup) pages(ctx context.Context, m mark) (findings, error) {
	s, err := l.stocked(ctx)
	if err != nil {
		return findings{}, err
	}
	contestants, length, err := l.pageServers(ctx, s)
	if err != nil {
		return findings{}, err
	}
	plan := l.opts.Plan
	plan.Rounds = 2 * l.opts.LongRounds
	p := l.phase(m.Work, plan, contestants...)
	p.Tolerance = pageTolerance
	rounds, err := p.run(ctx, l.opts.Say)
	if err != nil {
		return findings{}, err
	}
	return findings{
		Comparisons: []comparison{
			m.compare(rounds, contestants[1].Name, contestants[0].Name, goal{}),
			m.compare(rounds, firstName, contestants[0].Name, m.Goal),
			m.compare(rounds, lastName, firstName, goal{Most: 1.2, Judged: true}),
		},
		Absolutes: absolutes(m, rounds),
		Notes:     []string{fmt.Sprintf("%s: %s; a page of %d has %d bytes", m.ID, s, ocpi.MaxPage, length)},
	}, nil
}

// pageTolerance is wide: how often a file server has to go on with a page
// depends on when the load generator takes what has come, and on how the kernel
// deals the connections to its workers.
const pageTolerance = 0.1

// The names of one hub, by the page that it is asked for.
const (
	firstName = busbarName + "-first-page"
	lastName  = busbarName + "-last-page"
)

// pageServers are two nginx with the first page in a file, and the hub, twice.
// length is that of the page.
func (l *lineup) pageServers(ctx context.Context, s *stock) (servers []*contestant, length int, err error) {
	first, err := s.page(firstPage)
	if err != nil {
		return nil, 0, err
	}
	last, err := s.lastPage()
	if err != nil {
		return nil, 0, err
	}
	if servers, err = l.fileServers(ctx, s, first.body); err != nil {
		return nil, 0, err
	}
	return append(servers,
		&contestant{Name: firstName, process: s.hub.process, Target: s.target(firstPage), shares: true},
		&contestant{Name: lastName, process: s.hub.process, Target: s.target(last), shares: true}), len(first.body), nil
}

// fileServers starts two nginx with the page in a file.
func (l *lineup) fileServers(ctx context.Context, s *stock, body []byte) ([]*contestant, error) {
	file := filepath.Join(l.dir, "page.json")
	if err := os.WriteFile(file, body, 0o644); err != nil {
		return nil, err
	}
	var servers []*contestant
	for _, name := range []string{nginxName + "-file", nginx2Name + "-file"} {
		c, err := l.add(startFileServer(ctx, l.proxy(name, nil), file))
		if err != nil {
			return nil, err
		}
		addr := c.Target.Addr
		c.Target = s.target("/" + filepath.Base(file))
		c.Target.Addr = addr
		servers = append(servers, c)
		if err := serves(addr, c.Target.Path, body); err != nil {
			return nil, fmt.Errorf("preflight: %w", err)
		}
	}
	return servers, nil
}

// serves proves that a file server sends what it should.
func serves(addr, path string, want []byte) error {
	resp, err := http.Get("http://" + addr + path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ContentLength != int64(len(want)) {
		return fmt.Errorf("GET %s: %s with %d bytes, want %d", path, resp.Status, resp.ContentLength, len(want))
	}
	return nil
}
