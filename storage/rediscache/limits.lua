-- Takes what platforms asked of one replica and returns what they asked of the
-- others.
-- KEYS: one hash a platform; fields are replicas, values "asked milliseconds".
-- ARGV: the replica, how long a value counts in milliseconds, then what was asked,
-- one for each key.
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local life = tonumber(ARGV[2])
local sums = {}
for i, key in ipairs(KEYS) do
	local sum = 0
	if redis.call('TYPE', key).ok ~= 'hash' then
		redis.call('DEL', key) -- somebody wrote over it
	end
	local fields = redis.call('HGETALL', key)
	for f = 1, #fields, 2 do
		if fields[f] ~= ARGV[1] then
			local asked, at = string.match(fields[f + 1], '^(%d+) (%d+)$')
			-- One from the future was written before the clock went back.
			if asked and math.abs(ms - tonumber(at)) <= life then
				sum = sum + tonumber(asked)
			else
				redis.call('HDEL', key, fields[f])
			end
		end
	end
	redis.call('HSET', key, ARGV[1], string.format('%.0f %.0f', tonumber(ARGV[2 + i]), ms))
	redis.call('PEXPIRE', key, life)
	sums[i] = sum
end
return sums
