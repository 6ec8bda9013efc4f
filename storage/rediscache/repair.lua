-- Throws away keys of the log that are of another kind than they must be, or that
-- nobody can read: then Redis counts as emptied, and what has not ended is appended
-- again. KEYS: epoch, settled, beats, leases, newest, the replica's calls, then
-- streams. ARGV: group, a new epoch. Returns the keys that were thrown away.
local kinds = {'string', 'string', 'hash', 'hash', 'hash', 'hash'}
local function broken(i)
  local kind = redis.call('TYPE', KEYS[i]).ok
  if kind == 'none' then
    return false
  end
  if kind ~= (kinds[i] or 'stream') then
    return true
  end
  if i <= #kinds then
    return false
  end
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[i])) do
    for f = 1, #group, 2 do
      if group[f] == 'name' and group[f + 1] == ARGV[1] then
        return false
      end
    end
  end
  return true
end

local thrown = {}
for i = 1, #KEYS do
  if broken(i) then
    redis.call('UNLINK', KEYS[i])
    thrown[#thrown + 1] = KEYS[i]
  end
end
if #thrown > 0 then
  redis.call('SET', KEYS[1], ARGV[2])
end
return thrown
