package faults

import (
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"

	"busbar/hub"
	"busbar/hub/hubtest"
	"busbar/storage/storagetest"
)

// replica is one of the hub's processes and its lines to the stores.
type replica struct {
	*hubtest.Process
	name            string
	postgres, redis *line
	ready           atomic.Bool
}

// cluster is a hub of several replicas.
type cluster struct {
	t *testing.T
	// postgres is the database's URL past the lines; redis is the test's own server.
	postgres string
	redis    *server
	replicas []*replica
	*front
}

// stores are what a cluster stands on; what is empty is made.
type stores struct {
	postgres string
	redis    *server
	// settings changes the replicas' settings; nil leaves them.
	settings func(*hub.Settings)
}

// newCluster starts n replicas.
func newCluster(t *testing.T, n int, on stores) *cluster {
	t.Helper()
	if on.postgres == "" {
		on.postgres = storagetest.Postgres(t)
	}
	if on.redis == nil {
		on.redis = newRedis(t)
	}
	c := &cluster{t: t, postgres: on.postgres, redis: on.redis}
	for i := range n {
		r := &replica{name: fmt.Sprintf("replica %d", i)}
		settings := hub.Settings{SecretKey: storagetest.Secret(0), ForwardTimeout: "5s", Drain: "1s"}
		r.postgres, settings.Database = newLine(t, c.postgres)
		r.redis, settings.Redis = newLine(t, c.redis.url)
		if on.settings != nil {
			on.settings(&settings)
		}
		r.Process = hubtest.StartProcess(t, settings)
		transport := &http.Transport{MaxIdleConnsPerHost: 100}
		r.Transport = transport
		t.Cleanup(transport.CloseIdleConnections)
		c.replicas = append(c.replicas, r)
	}
	c.front = newFront(t, slices.Clone(c.replicas))
	return c
}

// each does something to every replica.
func (c *cluster) each(do func(*replica)) {
	for _, r := range c.replicas {
		do(r)
	}
}
