-- Throws the copy away if it holds a change that the store does not have.
-- KEYS: the copy. ARGV: the store's revision.
local copy, newest = KEYS[1], tonumber(ARGV[1])
if redis.call('TYPE', copy).ok ~= 'hash' then
  redis.call('DEL', copy) -- somebody wrote over it
end
for _, field in ipairs(redis.call('HKEYS', copy)) do
  if (field == 'revision' and tonumber(redis.call('HGET', copy, field)) > newest)
    or (string.sub(field, 1, 2) == 'a:' and tonumber(string.sub(field, 3)) > newest) then
    return redis.call('DEL', copy)
  end
end
return 0
