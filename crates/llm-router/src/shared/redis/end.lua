-- Records the end of a call; see `End`. All times are in microseconds.
--
-- KEYS: the subject; a hash as in begin.lua
-- ARGV: now (or '': the server's time),
--       for requests and for tokens: the nanoseconds of a unit (or -1), cost, paid, used,
--       the tokens to count, health (0 same, 1 recovered, 2 cooling, 3 unprobed), and of the cooldown
--       its time, the number of cooldowns in a row, and the cause

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local key = KEYS[1]
local read = redis.call('HMGET', key, 'r', 't', 'u', 'm', 'mr', 'mt')
local function field(at)
  return tonumber(read[at] or 0)
end
local function set(name, number)
  redis.call('HSET', key, name, string.format('%.0f', number))
end

-- The same as `Rate::settled`.
local function settled(paid, a)
  local interval, cost, charge, used =
    tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
  if interval < 0 or used == cost then
    return paid
  end
  if used > cost then
    return math.max(paid, now) + math.ceil((used - cost) * interval / 1000)
  end
  local refund = math.ceil((cost - used) * interval / 1000)
  return math.max(paid - math.min(refund, math.max(charge - now, 0)), 0)
end

set('r', settled(field(1), 2))
set('t', settled(field(2), 6))

local minute = math.floor(now / 60000000)
local mr, mt = field(5), field(6)
if field(4) ~= minute then
  mr, mt = 0, 0
end
set('m', minute)
set('mr', mr)
set('mt', mt + tonumber(ARGV[10]))

local health = ARGV[11]
if health == '1' then
  redis.call('HDEL', key, 'u', 'n', 'p')
elseif health == '2' then
  set('u', math.max(field(3), now + tonumber(ARGV[12])))
  set('n', tonumber(ARGV[13]))
  set('c', tonumber(ARGV[14]))
  redis.call('HDEL', key, 'p')
elseif health == '3' then
  redis.call('HDEL', key, 'p')
end
redis.call('EXPIRE', key, 7200)
return now
