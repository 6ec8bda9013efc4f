// Package rediscache is the wire between replicas: a copy of the registrations
// in Redis, the news of their changes over its pub/sub, the log of accepted
// broadcasts on its Streams, and what operators look at while they do, through
// go-redis.
//
// # The copy
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
// # The log
//
// Broadcasts implements routing.BroadcastLog. What was accepted stands in SQL;
// Redis carries it. So all of it may be lost: each replica keeps what it has
// appended until it has ended, and appends it again. Senders wait until Redis has
// their broadcasts, for the sake of order, while it keeps up, and not otherwise: see
// taking. The keys, all with the hash tag of the namespace, since scripts touch several:
//
//	epoch                       random; an emptied Redis gets another
//	settled                     the epoch, once nobody can hold partitions of
//	                            before it any more
//	beats                       replica: "NUMBER FORMAT", or "NUMBER -" when it
//	                            does no work; counted up with each sign of life
//	broadcasts:FORMAT:0 to 31   streams of what has not ended, by object
//	broadcasts:FORMAT:leases    partition: "REPLICA NUMBER" of who works it
//	broadcasts:FORMAT:newest    partition:r and :p: the highest revision and
//	                            parcel that was appended; :made: the epoch in
//	                            which the stream was made
//	broadcasts:FORMAT:calls:REPLICA  the last call of its appender, and its ids
//	broadcasts:FORMAT:news      a channel: partitions with something new, or
//	                            that partitions change hands
//
// A replica appends in numbered calls, one at a time. A call whose answer was
// lost is made again under its number, and appends nothing twice. A Redis that
// knows a lower number has lost the tail, as in a fail-over; one of another
// epoch has lost everything. Either is what the appender goes back for.
//
// No clock that can be set decides anything. A replica is dead when its beat
// stood still for Pace.Dead of the watcher's monotonic time, in which Redis
// answered; it holds nothing, by its own, when its last beat began Pace.Fence
// ago. Leases change by compare-and-set, and each take asks for the lease, so
// that one that was frozen takes nothing. After Redis has lost leases, those
// that a replica did not hold are free to it only after Pace.Fence: their owner
// may not know yet. One that starts waits as well, unless a replica has watched the
// epoch for that long and says so in Redis (settled), or nothing was ever accepted.
//
// Beats have a connection of their own, and take and give back leases in the same
// round trip. So a call may take nearly half of Pace.Fence. Beyond that nobody takes
// partitions: they would be lost before the next beat is answered.
//
// An entry is acknowledged and deleted when all its legs have ended. Of what is
// in a stream up to where the group has come, nobody knows how far it was sent:
// whoever takes the partition over hands it over again, in order. The consumer
// has one name for all replicas: who may read, the lease decides. Nobody blocks
// in Redis; the channel wakes those that have a partition, and once in Pace.Look
// they look without being woken, should a message be lost.
//
// What the catalog does not keep, which is Tokens, stands in the streams sealed,
// path and object too. Keys and channels name no object: of a Token they tell
// which of 32 streams it is in.
//
// Redis must not evict keys of the log (maxmemory-policy noeviction or one of the
// volatile ones); another policy is warned of. One that is full refuses new
// broadcasts, which wait in memory; those that it has are delivered and leave it. A
// stream that was deleted is noticed, and counts as an emptied Redis; so does a key
// that is of another kind than it must be, or a stream without its group: they are
// thrown away first.
//
// Shares tells the replicas, for as long as a few seconds, how much busy platforms
// ask of each of them.
//
// # The feed
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
// # What open routing learns
//
// LessonNews implements routing.LessonNews on a channel, lessons: "REPLICA\n" and,
// sealed, what it learned or that some of it was lost. A message without that is a
// sign of life, five a second: who hears none for a second trusts its memory no
// more.
//
// The package keeps no record: Redis may be emptied at any time. It knows one
// Redis server (or its failover address), not Redis Cluster's client.
package rediscache
