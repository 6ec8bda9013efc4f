-- Takes partitions, each if it still stands as it was seen: nobody else took it,
-- and its owner has not beaten since. KEYS: epoch, beats, leases. ARGV: epoch,
-- then of each partition its number, the lease as seen, the new lease, the owner
-- as seen (empty: it need not be dead) and the owner's beat.
-- Returns the partitions that were taken.
local epoch, beats, leases = KEYS[1], KEYS[2], KEYS[3]
local taken = {}
if redis.call('GET', epoch) ~= ARGV[1] then
  return taken
end
redis.call('HDEL', leases, '') -- for a Redis that is full, see beat.lua
for i = 2, #ARGV, 5 do
  local partition, seen, lease, owner, beat = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  if (redis.call('HGET', leases, partition) or '') == seen
    and (owner == '' or (redis.call('HGET', beats, owner) or '') == beat) then
    redis.call('HSET', leases, partition, lease)
    taken[#taken + 1] = partition
  end
end
return taken
