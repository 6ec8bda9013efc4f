-- Replaces the copy, unless it stands for a newer revision. What was announced
-- beyond the new revision stays. KEYS: the copy. ARGV: revision, then platform
-- id and row of each platform.
local copy, revision = KEYS[1], tonumber(ARGV[1])
local stands = tonumber(redis.call('HGET', copy, 'revision'))
if stands and stands > revision then
  return 0
end

local keep, ahead = {}, {}
for _, field in ipairs(redis.call('HKEYS', copy)) do
  local kind, name = string.sub(field, 1, 2), string.sub(field, 3)
  if kind == 'a:' and tonumber(name) > revision then
    local id = redis.call('HGET', copy, field)
    ahead[tonumber(name)] = id
    -- false: the newest change was a deletion
    keep[id] = redis.call('HGET', copy, 'p:' .. id)
  end
end

redis.call('DEL', copy)
for i = 2, #ARGV, 2 do
  if keep[ARGV[i]] == nil then
    redis.call('HSET', copy, 'p:' .. ARGV[i], ARGV[i + 1])
  end
end
for id, row in pairs(keep) do
  if row then
    redis.call('HSET', copy, 'p:' .. id, row)
  end
end

while ahead[revision + 1] do
  revision = revision + 1
  ahead[revision] = nil
end
local newest = {}
for at, id in pairs(ahead) do
  redis.call('HSET', copy, string.format('a:%.0f', at), id)
  newest[id] = math.max(newest[id] or 0, at)
end
for id, at in pairs(newest) do
  redis.call('HSET', copy, 't:' .. id, string.format('%.0f', at))
end
redis.call('HSET', copy, 'revision', string.format('%.0f', revision))
return 1
