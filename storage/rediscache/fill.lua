-- Replaces the copy, unless it stands for a newer revision. What was announced
-- beyond the new revision stays. KEYS: the copy. ARGV: revision, then field and
-- row of each platform and of the agreements.
local copy, revision = KEYS[1], tonumber(ARGV[1])
if redis.call('TYPE', copy).ok ~= 'hash' then
  redis.call('DEL', copy) -- somebody wrote over it
end
local stands = tonumber(redis.call('HGET', copy, 'revision'))
if stands and stands > revision then
  return 0
end

local keep, ahead = {}, {}
for _, field in ipairs(redis.call('HKEYS', copy)) do
  local kind, name = string.sub(field, 1, 2), string.sub(field, 3)
  if kind == 'a:' and tonumber(name) > revision then
    local changed = redis.call('HGET', copy, field)
    ahead[tonumber(name)] = changed
    -- false: the newest change was a deletion
    keep[changed] = redis.call('HGET', copy, changed)
  end
end

redis.call('DEL', copy)
for i = 2, #ARGV, 2 do
  if keep[ARGV[i]] == nil then
    redis.call('HSET', copy, ARGV[i], ARGV[i + 1])
  end
end
for field, row in pairs(keep) do
  if row then
    redis.call('HSET', copy, field, row)
  end
end

while ahead[revision + 1] do
  revision = revision + 1
  ahead[revision] = nil
end
local newest = {}
for at, field in pairs(ahead) do
  redis.call('HSET', copy, string.format('a:%.0f', at), field)
  newest[field] = math.max(newest[field] or 0, at)
end
for field, at in pairs(newest) do
  redis.call('HSET', copy, 't:' .. field, string.format('%.0f', at))
end
redis.call('HSET', copy, 'revision', string.format('%.0f', revision))
return 1
