package simulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// ErrOffline tells that the platform was taken offline.
var ErrOffline = errors.New("the platform is offline")

// GoOffline takes the platform off the network: connections to it are refused,
// and it sends nothing, until ComeBack. Requests under way may finish until ctx
// ends. It keeps all that it knows.
func (p *Platform) GoOffline(ctx context.Context) error {
	p.mu.Lock()
	if p.offline == nil {
		p.offline = make(chan struct{})
	}
	p.mu.Unlock()
	p.serving.Lock()
	defer p.serving.Unlock()
	err := p.quit(ctx)
	p.client.CloseIdleConnections()
	if err != nil {
		return fmt.Errorf("platform %s goes offline: %w", p.cfg.Name, err)
	}
	return nil
}

// ComeBack serves again at the address where the hub knows the platform. Until
// the platform sends something, the hub may take it for offline. What the
// platform missed nobody sends again (2.2.1 transport_and_format, Offline
// behaviour): PullClientInfos and Sync fetch it.
func (p *Platform) ComeBack(ctx context.Context) error {
	p.serving.Lock()
	defer p.serving.Unlock()
	p.mu.Lock()
	offline := p.offline
	p.mu.Unlock()
	if offline == nil || p.root == nil || p.root.Err() != nil {
		return nil // it is there, or it was stopped or never started
	}
	listener, err := p.listenAgain(ctx)
	if err != nil {
		return fmt.Errorf("platform %s comes back: %w", p.cfg.Name, err)
	}
	p.serve(listener)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offline = nil
	close(offline)
	return nil
}

// listenAgain takes the address as soon as it is free: another process may have
// been given the port for a connection of its own.
func (p *Platform) listenAgain(ctx context.Context) (net.Listener, error) {
	const pause = 200 * time.Millisecond
	for {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", p.listener.Addr().String())
		if err == nil {
			return listener, nil
		}
		if wait(ctx, pause) != nil {
			return nil, err
		}
	}
}

// IsOffline tells whether the platform was taken offline.
func (p *Platform) IsOffline() bool { return p.back() != nil }

// back is closed when a platform that is offline is back; nil when it is there.
func (p *Platform) back() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.offline
}
