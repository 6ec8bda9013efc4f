-- A sign of life: writes the replica's beat, and tells what every replica last
-- wrote and who has which partition. An emptied Redis gets a new epoch.
-- KEYS: epoch, beats, leases, the replica's calls. ARGV: replica, beat, an epoch
-- should there be none, channel, then replica and beat of those to forget.
local epoch, beats, leases = KEYS[1], KEYS[2], KEYS[3]
-- A Redis that is full refuses what may need memory, but not behind a write that
-- needs none. Without signs of life nobody would empty the streams that fill it.
redis.call('HDEL', beats, '')
redis.call('SET', epoch, ARGV[3], 'NX')
local before = redis.call('HGET', beats, ARGV[1]) or ''
redis.call('HSET', beats, ARGV[1], ARGV[2])
for i = 5, #ARGV, 2 do
  if redis.call('HGET', beats, ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', beats, ARGV[i])
  end
end
redis.call('EXPIRE', KEYS[4], 86400)

-- Whoever joins or leaves the work is told of at once.
local works = '^%S+ (%S+)'
if string.match(before, works) ~= string.match(ARGV[2], works) then
  redis.call('PUBLISH', ARGV[4], 'fleet')
end
return {redis.call('GET', epoch), before, redis.call('HGETALL', beats), redis.call('HGETALL', leases)}
