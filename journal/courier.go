package journal

import (
	"context"
	"time"
)

const (
	// reportEvery is how often a replica leaves its figures and learns whether
	// somebody listens elsewhere.
	reportEvery = time.Second
	// feedTimeout bounds one call of the feed; figures in Redis outlive two.
	feedTimeout = 2 * time.Second
	// backlogAge bounds how old a message may be that is told to those who begin to
	// listen.
	backlogAge = 3 * time.Second
)

// courier tells the other replicas what they want to know, until ctx ends. All
// that waits for the feed waits here.
type courier struct {
	*Recorder
	writer *newsWriter
}

func (r *Recorder) courier(ctx context.Context) {
	c := courier{r, newNewsWriter(r.cfg.Hub)}
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	c.exchangeFigures(ctx)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.exchangeFigures(ctx)
		case n := <-c.exchange.outgoing:
			c.publish(ctx, n)
		}
	}
}

// exchangeFigures leaves the figures. Whoever began to listen after it was last told that
// nobody does, is told what has passed since: that is what mark is for.
func (c *courier) exchangeFigures(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, feedTimeout)
	defer cancel()
	x := c.exchange
	shown, endings := c.live.shown()
	listened, err := x.feed.Report(ctx, c.report(time.Now()).pack())
	if err != nil {
		return // who listens is as before; the figures are missed by those who look
	}
	if !listened {
		x.mark.Store(shown)
		x.endingsMark.Store(endings)
		x.unsent.Store(0)
	}
	x.listened.Store(listened)
	if listened && x.unsent.Load() > 0 {
		c.publish(ctx, news{})
	}
}

func (c *courier) publish(ctx context.Context, n news) {
	ctx, cancel := context.WithTimeout(ctx, feedTimeout)
	defer cancel()
	x := c.exchange
	unsent := x.unsent.Swap(0)
	packed, left := c.writer.pack(n, unsent)
	x.dropped.Add(int64(left))
	if err := x.feed.Publish(ctx, packed); err != nil {
		x.unsent.Add(unsent + int64(left))
		x.lose(n.count() - left)
	}
}
