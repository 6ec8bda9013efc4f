-- Brings one change into the copy, if there is one, and tells the replicas.
-- KEYS: the copy. ARGV: revision, field (empty: none), row (empty: deleted), channel,
-- message, the most changes to remember beyond a gap.
local copy, revision, field, row = KEYS[1], tonumber(ARGV[1]), ARGV[2], ARGV[3]
if redis.call('TYPE', copy).ok ~= 'hash' then
  redis.call('DEL', copy) -- somebody wrote over it
end
local stands = tonumber(redis.call('HGET', copy, 'revision'))

if stands and revision > stands and field ~= '' then
  if revision > (tonumber(redis.call('HGET', copy, 't:' .. field)) or 0) then
    if row == '' then
      redis.call('HDEL', copy, field)
    else
      redis.call('HSET', copy, field, row)
    end
    redis.call('HSET', copy, 't:' .. field, ARGV[1])
  end
  redis.call('HSET', copy, 'a:' .. ARGV[1], field)

  -- Close the gap as far as the changes reach.
  local ahead = redis.call('HGET', copy, string.format('a:%.0f', stands + 1))
  while ahead do
    stands = stands + 1
    local this = string.format('%.0f', stands)
    redis.call('HDEL', copy, 'a:' .. this)
    if redis.call('HGET', copy, 't:' .. ahead) == this then
      redis.call('HDEL', copy, 't:' .. ahead)
    end
    ahead = redis.call('HGET', copy, string.format('a:%.0f', stands + 1))
  end
  redis.call('HSET', copy, 'revision', string.format('%.0f', stands))

  if revision - stands > tonumber(ARGV[6]) then
    redis.call('DEL', copy)
  end
end

redis.call('PUBLISH', ARGV[4], ARGV[5])
return 1
