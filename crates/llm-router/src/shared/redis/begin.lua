-- Looks a value up, or admits a call; see `Begin` and `Begun`. All times are in microseconds.
--
-- KEYS: the holders, [the value] [the session] the subjects of all choices
-- ARGV: now (or '': the server's time), 1 if a value is looked up, the time to live of the session's
--       pin in ms (or 0), the time of a probe, the number of choices, the number of holders,
--       for each holder: as for a subject, and
--       for each choice: the number of its subjects, 1 if it is full, and
--       for each subject: the rates of requests and of tokens, and the call's tokens; a rate is its
--       limit (or -1), the nanoseconds of a unit, and the microseconds of a burst
-- Returns the value (or false), the choice (0: none, -1: a holder does not admit the call), 1 for a
-- probe, and nine numbers for each holder and each subject.
-- A subject is a hash: r and t (what was admitted is paid for then), u (end of the cooldown), n
-- (cooldowns in a row), c (cause), p (end of a probe), m (minute), mr and mt (its requests, tokens).

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end
local ttl, probe_time = tonumber(ARGV[3]), tonumber(ARGV[4])
local minute = math.floor(now / 60000000)
local k, a = 1, 7

-- The same as `Rate`.
local function rate(at)
  return {
    limit = tonumber(ARGV[at]), interval = tonumber(ARGV[at + 1]), slack = tonumber(ARGV[at + 2]),
  }
end

local function charged(paid, rate, cost)
  return math.max(paid, now) + math.ceil(cost * rate.interval / 1000)
end

local function fits(paid, rate, cost)
  if rate.limit < 0 then
    return true
  end
  if cost > rate.limit then
    return false
  end
  return paid + math.ceil(cost * rate.interval / 1000) - rate.slack <= now
end

local function subject()
  local key = KEYS[k]
  local read = redis.call('HMGET', key, 'r', 't', 'u', 'n', 'c', 'p', 'm', 'mr', 'mt')
  local function field(at)
    return tonumber(read[at] or 0)
  end
  local s = {
    key = key, rpm = rate(a), tpm = rate(a + 3), cost = tonumber(ARGV[a + 6]),
    r = field(1), t = field(2), u = field(3), n = field(4), c = field(5), p = field(6),
    mr = field(8), mt = field(9),
  }
  if field(7) ~= minute then
    s.mr, s.mt = 0, 0
  end
  k, a = k + 1, a + 7
  return s
end

local function admits(s)
  return fits(s.r, s.rpm, 1) and fits(s.t, s.tpm, s.cost)
end

-- Returns 1 if the call probes the subject.
local function charge(s)
  local is_probe = 0
  if s.rpm.limit >= 0 then
    s.r = charged(s.r, s.rpm, 1)
  end
  if s.tpm.limit >= 0 then
    s.t = charged(s.t, s.tpm, s.cost)
  end
  s.mr = s.mr + 1
  if s.u > 0 then
    s.p = now + probe_time
    is_probe = 1
  end
  redis.call('HSET', s.key, 'r', string.format('%.0f', s.r), 't', string.format('%.0f', s.t),
    'p', string.format('%.0f', s.p), 'm', string.format('%.0f', minute),
    'mr', string.format('%.0f', s.mr), 'mt', string.format('%.0f', s.mt))
  redis.call('EXPIRE', s.key, 7200)
  return is_probe
end

local function report(subjects, reply)
  for _, s in ipairs(subjects) do
    local left = -1
    if s.u > 0 then
      left = math.max(s.u, s.p, now) - now
    end
    for _, number in ipairs({math.max(s.r - now, 0), math.max(s.t - now, 0), s.r, s.t, left, s.n, s.c,
      s.mr, s.mt}) do
      reply[#reply + 1] = number
    end
  end
end

local holders, is_denied = {}, false
for i = 1, tonumber(ARGV[6]) do
  holders[i] = subject()
  is_denied = is_denied or not admits(holders[i])
end
if is_denied then
  local reply = {false, -1, 0}
  report(holders, reply)
  return reply
end
for _, s in ipairs(holders) do
  charge(s)
end

if ARGV[2] == '1' then
  local found = redis.call('GET', KEYS[k])
  k = k + 1
  if found then
    local reply = {found, 0, 0}
    report(holders, reply)
    return reply
  end
end
local session, pin
if ttl > 0 then
  session = KEYS[k]
  pin = redis.call('GET', session)
  k = k + 1
end

local choices, pinned = {}, nil
for i = 1, tonumber(ARGV[5]) do
  local choice = {full = ARGV[a + 1] == '1'}
  local count = tonumber(ARGV[a])
  a = a + 2
  for j = 1, count do
    choice[j] = subject()
  end
  choices[i] = choice
  if pin and count > 0 and choice[1].key == pin then
    pinned = i
  end
end

local function refused(choice)
  for _, s in ipairs(choice) do
    if s.u > 0 and math.max(s.u, s.p) > now then
      return 'health'
    end
  end
  if choice.full then
    return 'limits'
  end
  for _, s in ipairs(choice) do
    if not admits(s) then
      return 'limits'
    end
  end
  return nil
end

local chosen, keeps_pin = 0, false
if pinned then
  local reason = refused(choices[pinned])
  if not reason then
    chosen = pinned
  end
  keeps_pin = reason == 'limits'
end
for i, choice in ipairs(choices) do
  if chosen == 0 and not refused(choice) then
    chosen = i
  end
end

local is_probe = 0
if chosen > 0 then
  for _, s in ipairs(choices[chosen]) do
    is_probe = math.max(is_probe, charge(s))
  end
  if session and not keeps_pin then
    redis.call('SET', session, choices[chosen][1].key, 'PX', ttl)
  end
end

local reply = {false, chosen, is_probe}
report(holders, reply)
for _, choice in ipairs(choices) do
  report(choice, reply)
end
return reply
