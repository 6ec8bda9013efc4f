-- Tells the first entry of each stream: what was before it has ended.
-- KEYS: epoch, the replica's calls, then streams. ARGV: epoch, the number of the
-- replica's last call that was answered.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return {'emptied'}
end
local last = '0'
if redis.call('HGET', KEYS[2], 'epoch') == ARGV[1] then
  last = redis.call('HGET', KEYS[2], 'call')
end
if tonumber(last) < tonumber(ARGV[2]) then
  return {'lost', last}
end
local first = {'kept'}
for i = 3, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 then
    -- Somebody deleted it: nobody can tell what it had.
    redis.call('SET', KEYS[1], ARGV[1] .. '+')
    return {'emptied'}
  end
  local entry = redis.call('XRANGE', KEYS[i], '-', '+', 'COUNT', 1)[1]
  first[#first + 1] = entry and entry[1] or ''
end
return first
