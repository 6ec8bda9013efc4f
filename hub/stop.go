package hub

import (
	"context"
	"sync"
	"time"
)

// StopTimeout bounds Stop behind the drain and the requests in flight. What is under
// way when it has passed is not lost: the record has every broadcast that was accepted
// and has not reached everybody, and other replicas, or the next start, send it.
const StopTimeout = 5 * time.Second

// inFlight is how long requests in flight are waited for, unless Config says another
// time: only their senders could send them again. With the default drain and
// StopTimeout a stop stays within the 30 s that Kubernetes waits.
const inFlight = 15 * time.Second

// The parts of StopTimeout, by when they end. One that ends sooner leaves its time
// to the next; the rest is for what is to be written.
const (
	workUntil       = 500 * time.Millisecond
	broadcastsUntil = 4 * time.Second
	// lastLegs is how long legs are waited for once the log waits for none.
	lastLegs = time.Second
)

// Stop ends the hub: it stops being ready, drains, and refuses new connections.
// Requests and broadcasts in flight may finish; what takes too long is cut off, and
// so are stores that do not answer: behind the requests all of it takes StopTimeout
// and a moment, or less when ctx ends.
func (h *Hub) Stop(ctx context.Context) {
	h.stopping.Store(true)
	h.drain(ctx)
	h.endRequests(ctx)
	began := time.Now()
	late := time.AfterFunc(StopTimeout, func() {
		h.logger.Warn("a store does not answer; the hub stops without it")
		h.stores.CutOff()
	})
	defer late.Stop()
	within := func(until time.Duration, do func(context.Context)) {
		part, cancel := context.WithDeadline(ctx, began.Add(until))
		defer cancel()
		do(part)
	}
	h.cancel()
	within(workUntil, func(ctx context.Context) { await(ctx, &h.running) })
	within(broadcastsUntil, h.endSending)
	h.endCatalog()
	h.running.Wait()
	if err := h.outbox.Flush(ctx); err != nil {
		h.logger.Warn("note which broadcasts have ended; another replica, or the next start, sends them again", "error", err)
	}
	h.endRecords()
	h.logger.Info("hub stopped")
	h.close()
}

// drain goes on serving until the balancer sends its requests to other replicas.
func (h *Hub) drain(ctx context.Context) {
	if h.stores.Embedded || h.cfg.Drain == 0 {
		return
	}
	h.ocpi.Drain()
	select {
	case <-ctx.Done():
	case <-time.After(h.cfg.Drain):
	}
}

// endRequests refuses connections, and waits for the requests in flight.
func (h *Hub) endRequests(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.InFlight)
	defer cancel()
	if err := h.ocpi.Shutdown(ctx); err != nil {
		h.logger.Warn("requests that were still in flight were cut off", "after", h.cfg.InFlight, "error", err)
	}
	// A Serve that begins only now, because Stop came right after Start, finds
	// nothing to accept from.
	h.ocpiListener.Close()
	if err := h.admin.Shutdown(ctx); err != nil {
		h.admin.Close()
	}
}

// endSending gives the broadcasts that were accepted, and those that this replica
// delivers, a while to reach their receivers. What a receiver that hangs does not
// take, and what no replica has taken over, comes again.
func (h *Hub) endSending(ctx context.Context) {
	h.endBroadcasts()
	h.outbox.Settle(ctx)
	select {
	case <-h.handedOut:
	case <-ctx.Done():
		h.stores.Broadcasts.CutShort()
	}
	ctx, cancel := context.WithTimeout(ctx, lastLegs)
	defer cancel()
	h.fanout.Stop(ctx)
	<-h.handedOut // a broadcast may have waited for the record until the fan-out stopped
}

// await waits until all have ended, or ctx has.
func await(ctx context.Context, all *sync.WaitGroup) {
	ended := make(chan struct{})
	go func() { defer close(ended); all.Wait() }()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

func (h *Hub) close() {
	if h.stores != nil {
		if err := h.stores.Close(); err != nil {
			h.logger.Warn("close stores", "error", err)
		}
	}
	h.log.Flush()
}
