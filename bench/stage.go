//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
)

// stage is the load generator, the backend and whatever contestants are up.
type stage struct {
	opts    options
	dir     string
	cores   cores
	waiting waiting
	loader  *loader
	backend *platforms
	random  *rand.Rand
	closers closers
}

// openStage starts what every mark needs. Whoever gets a stage closes it.
func openStage(ctx context.Context, opts options) (*stage, error) {
	if err := ensureProxies(ctx); err != nil {
		return nil, err
	}
	allowed, err := allowedCores()
	if err != nil {
		return nil, err
	}
	cores := layout(allowed)
	how, err := opts.Partners.on(cores)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "busbar-bench-")
	if err != nil {
		return nil, err
	}
	s := &stage{opts: opts, dir: dir, cores: cores, waiting: how, random: rand.New(rand.NewPCG(opts.Seed, 0))}
	s.closers.add(func() { os.RemoveAll(dir) })
	if err := s.startPartners(); err != nil {
		s.closers.close()
		return nil, err
	}
	return s, nil
}

// startPartners starts the backend and the load generator.
func (s *stage) startPartners() error {
	var err error
	if s.backend, err = startPlatforms(backendRole, s.dir, s.cores.Backend, s.waiting); err != nil {
		return err
	}
	s.closers.add(s.backend.stop)
	if s.loader, err = startLoader(s.dir, s.cores.Load, s.waiting); err != nil {
		return err
	}
	s.closers.add(s.loader.stop)
	return nil
}

// add takes what a start function returned into the stage's care.
func (s *stage) add(c *contestant, err error) (*contestant, error) {
	if err != nil {
		return nil, err
	}
	s.closers.add(c.process.stop)
	return c, nil
}

// nginx starts one.
func (s *stage) nginx(ctx context.Context, name string, f field) (*contestant, error) {
	return s.add(startNginx(ctx, s.proxy(name, f)))
}

// haproxy starts one.
func (s *stage) haproxy(ctx context.Context, name string, f field) (*contestant, error) {
	return s.add(startHAProxy(ctx, s.proxy(name, f)))
}

func (s *stage) proxy(name string, f field) proxyConfig {
	return proxyConfig{Name: name, Dir: s.dir, Cores: s.cores.Contestant, Field: f, Backend: s.backend.addr}
}

// hub starts a Busbar and registers the field.
func (s *stage) hub(ctx context.Context, name string, f field) (*contestant, error) {
	return s.add(startHub(ctx, s.hubConfig(name, f)))
}

func (s *stage) hubConfig(name string, f field) hubConfig {
	return hubConfig{
		Name: name, Dir: s.dir, Cores: s.cores.Contestant, Binary: s.opts.Busbar, Field: f, Backend: s.backend.addr,
	}
}

// measure checks the contestants and runs a phase of them; the first two are
// its control.
func (s *stage) measure(ctx context.Context, w work, contestants ...*contestant) ([]round, error) {
	for _, c := range contestants {
		if err := preflight(c, w); err != nil {
			return nil, fmt.Errorf("preflight: %w", err)
		}
	}
	return s.phase(w, s.opts.Plan, contestants...).run(ctx, s.opts.Say)
}

// phase puts contestants under the work; the first two are its control.
func (s *stage) phase(w work, p plan, contestants ...*contestant) *phase {
	return &phase{
		Work: w, Contestants: contestants, Control: [2]string{contestants[0].Name, contestants[1].Name},
		Loader: s.loader, Backend: s.backend, Plan: p, Random: s.random,
	}
}
