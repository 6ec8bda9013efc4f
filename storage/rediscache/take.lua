-- Takes new entries of a partition, for whoever has its lease.
-- KEYS: leases, stream. ARGV: partition, lease, group, consumer, the most entries.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return {'lost'}
end
if redis.call('EXISTS', KEYS[2]) == 0 then
  return {'taken', {}}
end
local taken = redis.call('XREADGROUP', 'GROUP', ARGV[3], ARGV[4], 'COUNT', ARGV[5], 'STREAMS', KEYS[2], '>')
return {'taken', taken and taken[1][2] or {}}
