package journal

import (
	"context"

	"busbar/routing"
)

// Feed carries what an operator looks at between the replicas of one hub: events
// while somebody listens, and the figures of the last minute. Nothing of it is
// kept, and all of it may be lost.
type Feed interface {
	// Report leaves this replica's figures for all to read, in the place of those
	// before, for about five seconds. It tells whether another replica listens.
	Report(ctx context.Context, figures []byte) (listened bool, err error)
	// Reports are the figures that replicas have left, this one's among them.
	Reports(ctx context.Context) (map[routing.ReplicaID][]byte, error)
	// Publish hands news to the other replicas that listen.
	Publish(ctx context.Context, news []byte) error
	// Listen hears the news of the other replicas, one after the other, until ctx
	// ends, and tells whether it does: when it begins to, when it no longer can, and
	// when it can again. hear may keep the news.
	Listen(ctx context.Context, hearing func(bool), hear func(news []byte))
}
