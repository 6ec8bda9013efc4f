package simulator

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
)

// broadcast lets every CPO publish what it offers and then stream what changes,
// until ctx ends.
func (n *Network) broadcast(ctx context.Context) {
	var publishing, streaming sync.WaitGroup
	locations, tariffs, owners := 0, 0, 0
	for _, p := range n.platforms {
		for _, member := range p.parties {
			c := member.cpo
			if c == nil {
				continue
			}
			owners++
			locations += c.locations.size()
			tariffs += c.tariffs.size()
			publishing.Add(1)
			streaming.Go(func() {
				// What changes meanwhile waits: an older PUT must not overtake it.
				n.note(ctx, "publish", c.Publish(ctx, n.cfg.publishPace), n.outages.turns.Load())
				publishing.Done()
				n.note(ctx, "stream", c.Stream(ctx), n.outages.turns.Load())
			})
		}
	}
	n.tell("%d CPOs broadcast %d Locations and %d Tariffs", owners, locations, tariffs)
	publishing.Wait()
	if ctx.Err() == nil {
		n.tell("all Locations and Tariffs are broadcast; from now on only what changes")
		close(n.published)
	}
	streaming.Wait()
}

// isPublished tells whether the hub has been given every Location.
func (n *Network) isPublished() bool {
	select {
	case <-n.published:
		return true
	default:
		return false
	}
}

// note logs what went wrong, unless it was the end. What an outage since turns
// explains is no reason to warn.
func (n *Network) note(ctx context.Context, what string, err error, turns int64) {
	if err == nil || ctx.Err() != nil {
		return
	}
	level := slog.LevelWarn
	if n.outages.explain(turns) {
		level = slog.LevelInfo
	}
	n.log.Log(ctx, level, "simulated network: "+what, "error", err)
}

func (n *Network) tell(format string, args ...any) {
	if n.cfg.Story != nil {
		n.cfg.Story(fmt.Sprintf(format, args...))
	}
}
