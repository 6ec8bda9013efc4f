package hub

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// Start listens and returns; Failed tells when a listener ends by itself. A hub
// that cannot start is closed, and must not be stopped.
func (h *Hub) Start(ctx context.Context) error {
	if err := h.listen(); err != nil {
		h.close()
		return err
	}
	// Stop ends what begins here, in its order, whatever becomes of ctx.
	ctx = context.WithoutCancel(ctx)
	h.endRecords = begin(ctx, h.record)
	h.work(ctx)
	h.endCatalog = begin(ctx, h.catalog.Run)
	broadcasting, stopBroadcasting := context.WithCancel(ctx)
	h.endBroadcasts, h.handedOut = stopBroadcasting, make(chan struct{})
	go func() { defer close(h.handedOut); h.stores.Broadcasts.Run(broadcasting, h.fanout.Deliver) }()
	h.serve(h.admin.Serve, h.adminListener)
	h.serve(h.ocpi.Serve, h.ocpiListener)
	h.logger.Info("hub started", "ocpi", h.ocpiListener.Addr().String(), "admin", h.adminListener.Addr().String(),
		"public_url", h.cfg.PublicURL, "party", h.cfg.Party.String(), "embedded", h.stores.Embedded)
	return nil
}

func (h *Hub) listen() (err error) {
	if h.adminListener, err = net.Listen("tcp", h.cfg.AdminListen); err != nil {
		return fmt.Errorf("BUSBAR_ADMIN_LISTEN: %w", err)
	}
	if h.ocpiListener, err = net.Listen("tcp", h.cfg.Listen); err != nil {
		h.adminListener.Close()
		return fmt.Errorf("BUSBAR_LISTEN: %w", err)
	}
	return nil
}

// begin runs something until end, which waits for it.
func begin(ctx context.Context, run func(context.Context)) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { defer close(ended); run(ctx) }()
	return func() { cancel(); <-ended }
}

// work begins what runs beside the requests.
func (h *Hub) work(ctx context.Context) {
	ctx, h.cancel = context.WithCancel(ctx)
	h.running.Go(func() { h.follower.Run(ctx) })
	h.running.Go(func() { h.router.Run(ctx) })
	h.running.Go(func() { h.gateway.Run(ctx) })
	h.running.Go(func() { h.monitor.Run(ctx) })
	h.running.Go(func() { h.puller.Run(ctx) })
	h.running.Go(func() { h.index.Run(ctx) })
	h.running.Go(func() { h.outbox.Run(ctx, h.catalog.Ready()) })
}

// record keeps what happens until ctx ends.
func (h *Hub) record(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { h.recorder.Run(ctx) })
	running.Go(func() { h.keyring.Run(ctx) })
	running.Go(func() { h.trail.Run(ctx) })
	running.Wait()
}

func (h *Hub) serve(serve func(net.Listener) error, l net.Listener) {
	h.running.Go(func() {
		err := serve(l)
		if !h.stopping.Load() {
			h.failed <- fmt.Errorf("listener %s ended: %w", l.Addr(), err)
		}
	})
}
