package rediscache

import (
	_ "embed"
	"hash/fnv"
	"strconv"

	"github.com/redis/go-redis/v9"

	"busbar/routing"
)

// logFormat is part of the keys of the log: a binary that divides or writes
// entries in another way counts it up, and replicas of each format work their own
// streams.
const logFormat = "1"

// partitions is how many streams there are: how many replicas can share the
// work. It is part of the format.
const partitions = 32

// One consumer group reads each stream. Its consumer is whoever has the lease, so
// that a name is enough for all.
const (
	group    = "hub"
	consumer = "owner"
)

// logConnections bounds the log's connections beside the heart's: the appender, the
// acknowledgements, the question what has ended, and those that take, which are
// no more than takers at once. So no one waits for another.
const (
	takers         = 8
	logConnections = takers + 6
)

// logKeys are the keys of the log. All have the hash tag of the namespace.
type logKeys struct {
	// epoch, settled and beats are common to all formats.
	epoch, settled, beats  string
	leases, newest, callOf string
	channel                string
	streams                [partitions]string
}

func newLogKeys(namespace string) logKeys {
	prefix := "busbar:{" + namespace + "}:"
	log := prefix + "broadcasts:" + logFormat + ":"
	k := logKeys{
		epoch: prefix + "epoch", settled: prefix + "settled", beats: prefix + "beats",
		leases: log + "leases", newest: log + "newest", callOf: log + "calls:", channel: log + "news",
	}
	for p := range k.streams {
		k.streams[p] = log + strconv.Itoa(p)
	}
	return k
}

func (k *logKeys) calls(id routing.ReplicaID) string { return k.callOf + string(id) }

// partitionOf tells where the broadcasts of an object are.
func partitionOf(object string) int {
	h := fnv.New32a()
	h.Write([]byte(object))
	return int(h.Sum32() % partitions)
}

//go:embed beat.lua
var beatScript string

//go:embed lease.lua
var leaseScript string

//go:embed free.lua
var freeScript string

//go:embed append.lua
var appendScript string

//go:embed take.lua
var takeScript string

//go:embed pending.lua
var pendingScript string

//go:embed acknowledge.lua
var acknowledgeScript string

//go:embed first.lua
var firstScript string

//go:embed left.lua
var leftScript string

//go:embed repair.lua
var repairScript string

type scripts struct {
	beat, lease, free, append, take, pending, acknowledge, first, left, repair *redis.Script
}

func newScripts() scripts {
	return scripts{
		beat: redis.NewScript(beatScript), lease: redis.NewScript(leaseScript), free: redis.NewScript(freeScript),
		append: redis.NewScript(appendScript), take: redis.NewScript(takeScript), pending: redis.NewScript(pendingScript),
		acknowledge: redis.NewScript(acknowledgeScript), first: redis.NewScript(firstScript), left: redis.NewScript(leftScript),
		repair: redis.NewScript(repairScript),
	}
}
