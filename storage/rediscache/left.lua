-- Tells which entries of a stream were taken and have not ended, in a range, and
-- how far the group has come: what is behind that has not ended either.
-- KEYS: epoch, the replica's calls, stream. ARGV: epoch, the number of the
-- replica's last call that was answered, group, from, to, the most entries.
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
local left = {'kept', '0-0'}
if redis.call('EXISTS', KEYS[3]) == 0 then
  return left
end
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[3])) do
  for i = 1, #group, 2 do
    if group[i] == 'last-delivered-id' then
      left[2] = group[i + 1]
    end
  end
end
for _, entry in ipairs(redis.call('XPENDING', KEYS[3], ARGV[3], ARGV[4], ARGV[5], ARGV[6])) do
  left[#left + 1] = entry[1]
end
return left
