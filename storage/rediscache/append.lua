-- Appends broadcasts of one replica, once, however often the call is repeated.
-- KEYS: epoch, newest, the replica's calls, then streams. ARGV: epoch, the number
-- of the call, channel, group, then of each broadcast the place of its stream
-- among KEYS, partition, what it counts by (r: revisions, p: parcels), its number,
-- 1 if it was appended before, the name of its first field, that, the body.
-- Returns what became of it, then the ids.
local epoch, newest, calls = KEYS[1], KEYS[2], KEYS[3]
if redis.call('GET', epoch) ~= ARGV[1] then
  return {'emptied'}
end
local last = 0
if redis.call('HGET', calls, 'epoch') == ARGV[1] then
  last = tonumber(redis.call('HGET', calls, 'call'))
end
if last == tonumber(ARGV[2]) then
  -- The answer to the first try was lost.
  return {'appended', redis.call('HGET', calls, 'ids')}
end
if last ~= tonumber(ARGV[2]) - 1 then
  return {'lost', string.format('%.0f', last)}
end

-- Before anything is written: a script that fails half way would append the first
-- half with every try.
for i = 4, #KEYS do
  local kind = redis.call('TYPE', KEYS[i]).ok
  if kind ~= 'stream' and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is a ' .. kind)
  end
end

local ids, news = {}, {}
for i = 5, #ARGV, 8 do
  local stream, partition, field = KEYS[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 1] .. ':' .. ARGV[i + 2]
  if redis.call('EXISTS', stream) == 0 then
    if redis.call('HGET', newest, partition .. ':made') == ARGV[1] then
      -- Somebody deleted it: nobody can tell what it had.
      redis.call('SET', epoch, ARGV[1] .. '+')
      return {'emptied'}
    end
    redis.call('HSET', newest, partition .. ':made', ARGV[1])
    redis.call('XGROUP', 'CREATE', stream, ARGV[4], '0', 'MKSTREAM')
  end
  local number, highest = tonumber(ARGV[i + 3]), redis.call('HGET', newest, field) or '0'
  local add = {'XADD', stream, '*', ARGV[i + 5], ARGV[i + 6], 'b', ARGV[i + 7]}
  if ARGV[i + 4] == '1' then
    add[#add + 1] = 'again'
    add[#add + 1] = highest
  elseif number > 0 and number < tonumber(highest) then
    add[#add + 1] = 'late'
    add[#add + 1] = highest
  end
  if number > tonumber(highest) then
    redis.call('HSET', newest, field, ARGV[i + 3])
  end
  ids[#ids + 1] = redis.call(unpack(add))
  news[#news + 1] = partition
end
ids = table.concat(ids, ' ')
redis.call('HSET', calls, 'epoch', ARGV[1], 'call', ARGV[2], 'ids', ids)
redis.call('EXPIRE', calls, 86400)
redis.call('PUBLISH', ARGV[3], table.concat(news, ' '))
return {'appended', ids}
