-- Ends entries: acknowledges and deletes them. It asks for no lease: what has
-- ended has, whoever says so. KEYS: epoch, then streams. ARGV: epoch, group, then of
-- each entry the place of its stream among KEYS and its id.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
for i = 3, #ARGV, 2 do
  local stream = KEYS[tonumber(ARGV[i])]
  redis.call('XACK', stream, ARGV[2], ARGV[i + 1])
  redis.call('XDEL', stream, ARGV[i + 1])
end
return 1
