// Package rediscache is the wire between replicas: a copy of the registrations
// in Redis, the news of their changes over its pub/sub, and what operators look at
// while they do, through go-redis.
//
// Cache implements parties.Cache. One hash holds the whole copy, so that Redis
// evicts or loses all of it or nothing, and so that one command reads a
// consistent state. Its fields:
//
//	revision    the directory revision R that the copy stands for
//	p:PLATFORM  a platform as JSON, outbound token sealed, inbound ones hashed
//	agreements  all agreements as JSON
//	a:REVISION  the field of a change beyond a gap, see below
//	t:FIELD     the newest of that field's changes beyond a gap
//
// Changes are announced after they were committed, by whichever replica made
// them, and so may arrive in any order or, when a replica dies, not at all. The
// copy never pretends: R rises only over changes that have all arrived. A change
// at or below R is old news to the copy, whatever its field, and is dropped;
// that is why a deleted platform leaves no ghost and no tombstone. A change
// beyond R+1 is applied, and remembered under a: and t: until the gap closes,
// so that an older one of the same field, late, does not undo it. A gap that
// never closes is healed by the next Fill, which whoever finds R behind the
// store's revision makes; a copy that fell too far behind is thrown away. The
// scripts next to this file do each of these steps atomically.
//
// Feed implements journal.Feed. Its keys, all with the hash tag of the namespace:
//
//	reports          the set of the replicas that report
//	reports:REPLICA  its figures of the last minute, for five seconds
//	events           a channel: "REPLICA\n" and what passed it
//
// Whether anybody listens, Redis tells by the number of subscriptions (PUBSUB
// NUMSUB): there is no mark that a dead listener could leave behind. Nothing is
// stored of messages.
//
// The package keeps no record: Redis may be emptied at any time. It knows one
// Redis server (or its failover address), not Redis Cluster's client.
package rediscache
