-- Gives partitions back, and tells the others. KEYS: leases. ARGV: channel, then
-- partitions and leases.
local freed = 0
for i = 2, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    freed = freed + redis.call('HDEL', KEYS[1], ARGV[i])
  end
end
if freed > 0 then
  redis.call('PUBLISH', ARGV[1], 'fleet')
end
return freed
