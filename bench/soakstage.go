//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/bits"
	"os"
	"slices"
	"strconv"
	"time"

	"busbar/ocpi"
)

// soaking is one soak: a hub of one or more replicas, the country around it, and
// what was found out.
type soaking struct {
	opts    soakOptions
	dir     string
	random  *drawing
	backend *platforms
	loader  *loader
	record  *record
	hubs    []*contestant
	caller  *ocpiCaller
	field   soakField
	closers closers

	begun  time.Time
	drive  *drive
	direct *directTraffic
	pulls  pulling
	watch  *watching
	report soakReport
}

// openSoak starts the programs; whoever gets a soaking closes it.
func openSoak(ctx context.Context, o soakOptions) (s *soaking, err error) {
	s = &soaking{opts: o, random: newDrawing(o.Seed), field: newSoakField(o.Platforms)}
	defer func() {
		if err != nil {
			s.closers.close()
		}
	}()
	if s.dir, err = os.MkdirTemp("", "busbar-soak-"); err != nil {
		return s, err
	}
	s.closers.add(func() { os.RemoveAll(s.dir) })
	if s.backend, err = startPlatforms(countryRole, s.dir, "", blocking); err != nil {
		return s, err
	}
	s.closers.add(s.backend.stop)
	if s.loader, err = startLoader(s.dir, "", blocking); err != nil {
		return s, err
	}
	s.closers.add(s.loader.stop)
	if s.record, err = openRecord(ctx, o, s.dir, hubName(0)); err != nil {
		return s, err
	}
	s.closers.add(s.record.close)
	s.caller = newOCPICaller()
	s.closers.add(s.caller.client.CloseIdleConnections)
	return s, s.startHubs(ctx)
}

func hubName(i int) string { return "busbar-" + strconv.Itoa(i+1) }

// startHubs starts the replicas, the first alone: it makes the tables.
func (s *soaking) startHubs(ctx context.Context) error {
	env := append(s.record.env, "BUSBAR_FORWARD_TIMEOUT="+s.opts.ForwardTimeout.String())
	if s.record.shared {
		env = append(env, "BUSBAR_SECRET_KEY="+rand.Text()+rand.Text())
	}
	var first hubSeat
	for i := range s.opts.Replicas {
		seat, err := newHubSeat(hubConfig{
			Name: hubName(i), Dir: s.dir, Binary: s.opts.Busbar, Field: s.field.cpos, Backend: s.backend.addr, Env: env,
		})
		if err != nil {
			return err
		}
		if i == 0 {
			first = seat
		} else {
			// One hub: what it hands out leads to its first replica.
			seat.adminToken = first.adminToken
			seat.Env = append(slices.Clip(env), "BUSBAR_PUBLIC_URL=http://"+first.listen)
		}
		p, err := seat.start(ctx)
		if err != nil {
			return err
		}
		s.hubs = append(s.hubs, seat.contestant(p))
		s.closers.add(p.stop)
	}
	return nil
}

// died is the error that a replica has ended, if one has.
func (s *soaking) died() error {
	for _, h := range s.hubs {
		if err := h.died(); err != nil {
			return err
		}
	}
	return nil
}

// populate registers the CPOs.
func (s *soaking) populate(ctx context.Context) error {
	s.opts.Say("%d replicas on %s; %d CPOs register", s.opts.Replicas, s.record.name, len(s.field.cpos))
	if err := s.hubs[0].seat.register(ctx, s.field.cpos); err != nil {
		return err
	}
	return s.measureAt(ctx, "empty")
}

// fill pushes the Locations while nobody receives them.
func (s *soaking) fill(ctx context.Context) error {
	n := s.opts.locations()
	s.opts.Say("pushing %d Locations, for at most %v", n, s.opts.FillLimit)
	result, err := s.loader.do(loadCommand{Contestant: hubName(0), Push: &loadPush{
		Target: s.field.cpos.target(s.hubs[0].seat.listen), Connections: stockedBy, Whole: true, Objects: n, Skewed: true,
		Pace: pace{Count: n, Duration: s.opts.FillLimit},
	}})
	if err != nil {
		return err
	}
	s.report.Locations, s.report.Raw, s.report.FillTook = int(result.Requests), result.Push.Bytes, result.Elapsed
	s.opts.Say("%d Locations of %d bytes in %.0f s", s.report.Locations, result.Push.Bytes/int64(max(1, result.Requests)), result.Elapsed.Seconds())
	return s.measureAt(ctx, "filled")
}

// admit registers the receivers, once the Locations are there.
func (s *soaking) admit(ctx context.Context) error {
	s.opts.Say("%d receivers register", len(s.field.receivers))
	for _, p := range s.field.receivers {
		if err := s.country(ctx, "mood/"+p.Name+"/"+string(healthy), nil, nil); err != nil {
			return err
		}
	}
	return s.hubs[0].seat.register(ctx, s.field.receivers)
}

// soakField is who is connected: CPOs and those that receive Locations.
type soakField struct {
	cpos, receivers field
	// Of the receivers, the first are hung, the next slow, the next away for some
	// time.
	hung, slow, away int
}

// leastPlatforms are enough for one receiver of each mood and some healthy ones.
const leastPlatforms = 20

// The shares of the platforms: of all those that receive, of these those that
// hang, are slow, and are away for a while.
const (
	receivingShare = 0.35
	hungShare      = 0.025
	slowShare      = 0.025
	awayShare      = 0.04
	// nspEach is how many receivers there are for each that is an NSP.
	nspEach = 5
)

func newSoakField(platforms int) soakField {
	receivers := int(receivingShare * float64(platforms))
	share := func(of float64) int { return max(1, int(of*float64(receivers)+0.5)) }
	all := newMarket(platforms-receivers, receivers, 0)
	f := soakField{
		cpos: all[:platforms-receivers], receivers: all[platforms-receivers:],
		hung: share(hungShare), slow: share(slowShare), away: share(awayShare),
	}
	for i := range f.receivers {
		if i%nspEach == nspEach-1 {
			f.receivers[i].Role = ocpi.RoleNSP
		}
	}
	return f
}

// in are the receivers in a mood, now or later; healthy are all others.
func (f soakField) in(m mood) field {
	slowEnd, awayEnd := f.hung+f.slow, f.hung+f.slow+f.away
	switch m {
	case hungUp:
		return f.receivers[:f.hung]
	case slow:
		return f.receivers[f.hung:slowEnd]
	case away:
		return f.receivers[slowEnd:awayEnd]
	}
	return f.receivers[awayEnd:]
}

// largestShare is how much of all Locations the largest CPO has.
const largestShare = 0.3

// dealt is whose the n-th Location is, of so many CPOs: the first has
// largestShare; of the others the earlier have more.
func dealt(n, cpos int) int {
	const unit = 1 << 32
	hash, _ := bits.Mul64(uint64(n+1)*0x9e3779b97f4a7c15, unit)
	r := float64(hash) / unit
	if r < largestShare || cpos == 1 {
		return 0
	}
	r = (r - largestShare) / (1 - largestShare)
	return 1 + int(r*r*float64(cpos-1))
}

// country tells the backend something, or asks it; see countryPath.
func (s *soaking) country(ctx context.Context, what string, body []byte, answer any) error {
	method := "GET"
	if body != nil {
		method = "POST"
	}
	return s.caller.ask(ctx, message{Method: method, URL: "http://" + s.backend.addr + countryPath + what, Body: body}, answer)
}

// moods gives receivers a mood.
func (s *soaking) moods(ctx context.Context, of field, m mood) error {
	for _, p := range of {
		if err := s.country(ctx, "mood/"+p.Name+"/"+string(m), nil, nil); err != nil {
			return fmt.Errorf("%s becomes %s: %w", p.Name, m, err)
		}
	}
	return nil
}
