-- Reads entries of a partition that were taken before and have not ended, for
-- whoever has its lease. What has ended is no longer in the stream, so it is all
-- up to where the group has come.
-- KEYS: leases, stream, newest. ARGV: partition, lease, group, from, the most entries.
-- Returns the entries and the partition's newest revision.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return {'lost'}
end
local newest = redis.call('HGET', KEYS[3], ARGV[1] .. ':r') or '0'
if redis.call('EXISTS', KEYS[2]) == 0 then
  return {'taken', {}, newest}
end
local came = '0-0'
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[2])) do
  for i = 1, #group, 2 do
    if group[i] == 'last-delivered-id' then
      came = group[i + 1]
    end
  end
end
return {'taken', redis.call('XRANGE', KEYS[2], ARGV[4], came, 'COUNT', ARGV[5]), newest}
