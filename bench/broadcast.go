//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"busbar/ocpi"
)

// What P4 and P8 broadcast.
const (
	pushers     = 4  // platforms of CPOs
	pushedBy    = 16 // connections
	pushObjects = 2000
	receivers   = 100
	// pushWindow is how many broadcasts are under way at once.
	pushWindow = 100
)

// broadcastWork names the work of P4 and P8.
func broadcastWork() work { return work{Name: fmt.Sprintf("broadcast PATCH EVSE to %d", receivers)} }

// The names of P4's floor and its control.
const (
	wrkName  = "wrk"
	wrk2Name = "wrk-2"
)

// broadcast compares what a hub pays for a delivery of a broadcast with what wrk
// pays for sending the same bytes (P4).
func (l *lineup) broadcast(ctx context.Context, m mark) (findings, error) {
	hub, err := l.market(ctx, busbarName+"-market", 0)
	if err != nil {
		return findings{}, err
	}
	plan := l.opts.longPlan()
	senders, err := l.senders(hub, plan.Slice)
	if err != nil {
		return findings{}, err
	}
	hub.own = l.onBackend(func(context.Context) (sample, error) {
		return l.push(hub, pace{Duration: plan.Slice, Window: pushWindow, Receivers: receivers})
	})
	rounds, err := l.phase(m.Work, plan, append(senders, hub)...).run(ctx, l.opts.Say)
	if err != nil {
		return findings{}, err
	}
	against := func(subject string, g goal) comparison {
		c := m.compare(rounds, subject, wrkName, g)
		c.Measure = deliveryMeasure
		return c
	}
	return findings{
		Comparisons: []comparison{against(wrk2Name, goal{}), against(hub.Name, m.Goal)},
		Absolutes:   absolutes(m, rounds),
		Notes:       []string{fmt.Sprintf("%s: requests of %s are deliveries, its CPU all that the hub does from the push on", m.ID, hub.Name)},
	}, nil
}

// senders are wrk, twice, sending what the backend got from the hub.
func (l *lineup) senders(hub *contestant, slice time.Duration) ([]*contestant, error) {
	last, err := l.preflightBroadcast(hub)
	if err != nil {
		return nil, fmt.Errorf("preflight: %w", err)
	}
	head, body, _ := bytes.Cut(last, []byte("\r\n\r\n"))
	url, script, err := wrkRequest(l.backend.addr, head, body)
	if err != nil {
		return nil, err
	}
	cfg := wrkConfig{
		Cores: l.cores.Contestant, Dir: l.dir, Connections: receivers, Duration: slice,
		URL: url, Script: filepath.Join(l.dir, "wrk.lua"),
	}
	if err := os.WriteFile(cfg.Script, []byte(script), 0o600); err != nil {
		return nil, err
	}
	own := l.onBackend(func(ctx context.Context) (sample, error) { return wrk(ctx, cfg) })
	return []*contestant{{Name: wrkName, own: own}, {Name: wrk2Name, own: own}}, nil
}

// market starts a hub to which CPOs broadcast, and lets them push their
// Locations there. Of its receivers, some hang.
func (l *lineup) market(ctx context.Context, name string, hang int) (*contestant, error) {
	l.opts.Say("%s: registering %d receivers, %d of which hang", name, receivers, hang)
	hub, err := l.hub(ctx, name, newMarket(pushers, receivers, hang))
	if err != nil {
		return nil, err
	}
	_, err = l.loader.do(loadCommand{Contestant: name, Push: &loadPush{
		Target: hub.Target, Connections: pushedBy, Whole: true, Objects: pushObjects,
		Pace: pace{Count: pushObjects, Window: pushWindow, Receivers: receivers - hang}, Backend: l.backend.addr,
	}})
	return hub, err
}

// push lets the CPOs of a market push; requests are the deliveries.
func (l *lineup) push(hub *contestant, p pace) (sample, error) {
	result, err := l.pushAt(hub, p)
	if err != nil {
		return sample{}, err
	}
	return sample{
		Requests: result.Push.Delivered, Elapsed: result.Elapsed, Load: result.Used, Lag: result.Push.P99,
	}, nil
}

// pushAt goes on where the last push ended, so that statuses change.
func (l *lineup) pushAt(hub *contestant, p pace) (loadResult, error) {
	result, err := l.loader.do(loadCommand{Contestant: hub.Name, Push: &loadPush{
		Target: hub.Target, Connections: pushedBy, Objects: pushObjects, First: hub.pushed, Pace: p, Backend: l.backend.addr,
	}})
	hub.pushed += int(result.Requests)
	return result, err
}

// onBackend lets a slice settle and adds what the backend used in it.
func (l *lineup) onBackend(slice func(context.Context) (sample, error)) func(context.Context) (sample, error) {
	return func(ctx context.Context) (sample, error) {
		before, err := l.backend.used()
		if err != nil {
			return sample{}, err
		}
		s, err := slice(ctx)
		if err != nil {
			return sample{}, err
		}
		time.Sleep(settle)
		after, err := l.backend.used()
		s.Backend = after - before
		return s, err
	}
}

// preflightBroadcast proves that every receiver is sent a push, and that as a
// hub must send it. It returns the delivery that came last, head and body.
func (l *lineup) preflightBroadcast(hub *contestant) ([]byte, error) {
	result, err := l.pushAt(hub, pace{Count: 1, Window: 1, Receivers: receivers})
	if err != nil {
		return nil, err
	}
	return result.Push.Last, checkDelivery(hub.Field, result.Push.Last)
}

// checkDelivery tells what is wrong with a delivery of the first CPO's first
// Location.
func checkDelivery(f field, delivery []byte) error {
	head, body, _ := bytes.Cut(delivery, []byte("\r\n\r\n"))
	party, err := ocpi.ParsePartyKey(headerOf(head, ocpi.HeaderToCountryCode), headerOf(head, ocpi.HeaderToPartyID))
	if err != nil {
		return fmt.Errorf("delivery without a receiver: %w: %.300s", err, head)
	}
	receiver, ok := f.platformOf(party)
	if !ok || receiver.Role != ocpi.RoleEMSP {
		return fmt.Errorf("delivered to %s, which is no eMSP", party)
	}
	owner := f[0].Parties[0]
	path := "PATCH /" + receiver.Name + "/ocpi/2.2.1/receiver/locations/" + owner.CountryCode() + "/" + owner.PartyID() + evsePath(0)
	if got := string(firstOf(head)); got != path+" HTTP/1.1" {
		return fmt.Errorf("request line is %q, want %q", got, path)
	}
	for name, want := range map[string]string{
		"Authorization":            receiver.Outbound.Authorization(ocpi.TokenBase64),
		ocpi.HeaderFromCountryCode: hubParty.CountryCode(),
		ocpi.HeaderFromPartyID:     hubParty.PartyID(),
		"Content-Length":           strconv.Itoa(len(sampleStatus(statuses[0], time.Now()))),
	} {
		if got := headerOf(head, name); got != want {
			return fmt.Errorf("%s is not what it should be in a delivery", name)
		}
	}
	if _, ok := dueOf(head); !ok {
		return fmt.Errorf("%s is not the push's", ocpi.HeaderCorrelationID)
	}
	if !bytes.Contains(body, []byte(statuses[0])) {
		return fmt.Errorf("body is not the push's: %.200s", body)
	}
	return nil
}
