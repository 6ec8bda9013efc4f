-- A sign of life: writes the replica's beat, and tells what every replica last
-- wrote and who has which partition. An emptied Redis gets a new epoch, which is
-- settled once a replica says that nobody can hold anything of before any more.
-- KEYS: epoch, settled, beats, leases, the replica's calls. ARGV: replica, beat, an
-- epoch should there be none, the epoch that is settled (empty: not known; *:
-- whichever there is), channel, then replica and beat of those to forget.
local epoch, settled, beats, leases = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
-- A Redis that is full refuses what may need memory, but not behind a write that
-- needs none. Without signs of life nobody would empty the streams that fill it.
redis.call('HDEL', beats, '')
redis.call('SET', epoch, ARGV[3], 'NX')
local before = redis.call('HGET', beats, ARGV[1]) or ''
redis.call('HSET', beats, ARGV[1], ARGV[2])
for i = 6, #ARGV, 2 do
  if redis.call('HGET', beats, ARGV[i]) == ARGV[i + 1] then
    redis.call('HDEL', beats, ARGV[i])
  end
end
redis.call('EXPIRE', KEYS[5], 86400)

local now = redis.call('GET', epoch)
if ARGV[4] == '*' or ARGV[4] == now then
  redis.call('SET', settled, now)
end

-- Whoever joins or leaves the work is told of at once.
local works = '^%S+ (%S+)'
if string.match(before, works) ~= string.match(ARGV[2], works) then
  redis.call('PUBLISH', ARGV[5], 'fleet')
end
return {now, before, redis.call('GET', settled) == now and 1 or 0, redis.call('HGETALL', beats), redis.call('HGETALL', leases)}
