-- limit, seen, counter: what scripts may remember beyond a trace. It lies in C, for all workers; here
-- are its declarations, by component and name, and the calls.
local ffi = require "ffi"
local access = require "moontail.access"
local core = require "moontail.policy_core"
local env = require "moontail.env"
local host = require "moontail.host"

local c = ffi.cast(ffi.typeof(core.handles_type .. " *"), core.handles)
local c_take, c_share, c_seen_add, c_seen_has = c.take, c.share, c.seen_add, c.seen_has
local c_count, c_per_second, c_rate = c.count, c.per_second, c.rate

local type, error, tostring, getmetatable = type, error, tostring, getmetatable
local huge = math.huge

-- enum cell_kind
local LIMIT, SEEN, COUNTER, RATE = 0, 1, 2, 3
local MAX_KEYS, DEFAULT_KEYS = 100000, 10000
local MAX_NAME = 64
local MIN_INTERVAL_NS = 1000 -- a million a second
local MAX_SPAN_NS = 2 ^ 60
local NO_TIME = -1

local M = {}

-- What declares: its name, and the kinds and names that it has declared.
function M.scope(name) return { name = name, declared = {} } end

local config = M.scope "config.lua"
local scope = config

-- What is declared from now on belongs to `to` (nil: to config.lua). Gives the scope before.
function M.enter(to)
  local before = scope
  scope = to or config
  return before
end

-- ---- declarations ----

local function show(v) return type(v) == "string" and ("'" .. v .. "'") or tostring(v) end

local function check_fields(kind, t, known, example)
  if access.reader.number ~= 0 then
    error(kind .. "{} inside of decide would be made for every trace: write it at file level or in setup", 3)
  end
  if type(t) ~= "table" then error(kind .. " takes a table: " .. example, 3) end
  for key in pairs(t) do
    if not known[key] then error(kind .. "{} has no '" .. tostring(key) .. "'" .. env.hint(key, known), 3) end
  end
end

local function duration(kind, t, key, example)
  local ns = type(t[key]) == "string" and host.duration(t[key])
  if ns and ns >= 1e6 and ns <= MAX_SPAN_NS then return ns end
  error(("%s{}: %s is %s; allowed: a duration such as %q, at least \"1ms\""):format(kind, key, show(t[key]), example), 3)
end

local function max_keys(kind, t)
  local n = t.max_keys or DEFAULT_KEYS
  if type(n) == "number" and n % 1 == 0 and n >= 1 and n <= MAX_KEYS then return n end
  error(("%s{}: max_keys is %s; allowed: a whole number from 1 to %d"):format(kind, show(n), MAX_KEYS), 3)
end

-- Without a name it is known by its number among those of its kind in the component.
local function name_of(kind, t)
  local name, declared = t.name, scope.declared
  if name == nil then
    declared[kind] = (declared[kind] or 0) + 1
    return "#" .. declared[kind]
  end
  if type(name) ~= "string" or not name:find "^[%w_.-]+$" or #name > MAX_NAME then
    error(("%s{}: name is %s; allowed: up to %d letters, digits, _ . -"):format(kind, show(name), MAX_NAME), 3)
  end
  if declared[kind .. " " .. name] then error(("two of %s{} are called '%s' here"):format(kind, name), 3) end
  declared[kind .. " " .. name] = true
  return name
end

-- ---- calls ----

local function no_answer(what, answer)
  if answer == NO_TIME then error(what .. " is asked while a trace is decided, not when the script is loaded", 4) end
  error("no room for the state of " .. what, 4)
end

local function text_of(key, what)
  if type(key) == "number" then return tostring(key) end
  error("a key of " .. what .. " is a string, not " .. type(key), 4)
end

local function check_self(self, kind)
  if getmetatable(self) ~= kind then error("call it as " .. kind .. ":method(...)", 4) end
end

-- With a key or none.
local function ask_limit(self, key, cost, left)
  check_self(self, "limit")
  local answer
  if key == nil then
    answer = c_take(self, nil, 0, cost, left)
  else
    if type(key) ~= "string" then key = text_of(key, "limit") end
    answer = c_take(self, key, #key, cost, left)
  end
  if answer < 0 then no_answer("limit", answer) end
  return answer
end

local function add_to_counter(self, key, number)
  check_self(self, "counter")
  local answer
  if key == nil then
    answer = c_count(self, nil, 0, number)
  else
    if type(key) ~= "string" then key = text_of(key, "counter") end
    answer = c_count(self, key, #key, number)
  end
  if answer < 0 then no_answer("counter", answer) end
  return answer
end

local function ask_key(fn, self, kind, key)
  check_self(self, kind)
  if type(key) ~= "string" then key = text_of(key, kind) end
  local answer = fn(self, key, #key)
  if answer < 0 then no_answer(kind, answer) end
  return answer
end

local methods_of = {} -- by kind

local function metatable(kind, methods)
  methods_of[kind] = methods
  return {
    __gc = core.handle_gc,
    __metatable = kind,
    __tostring = function() return kind end,
    __index = function(_, key)
      return methods[key] or error(kind .. " has no '" .. tostring(key) .. "'" .. env.hint(key, methods), 2)
    end,
    __newindex = function(_, key) error(kind .. " can't be changed: '" .. tostring(key) .. "'", 2) end,
  }
end

-- The key may be nil: the cell without one.
local function ask_or_all(ask, self, kind, key)
  check_self(self, kind)
  local answer
  if key == nil then
    answer = ask(self, nil, 0)
  else
    if type(key) ~= "string" then key = text_of(key, kind) end
    answer = ask(self, key, #key)
  end
  if answer < 0 then no_answer(kind, answer) end
  return answer
end

local limits = metatable("limit", {
  take = function(self, key, cost, left)
    if cost == nil then cost = 1 end
    if left == nil then left = 0 end
    if type(cost) ~= "number" or not (cost >= 0 and cost < huge) then
      error("a cost is a number of 0 or more, not " .. tostring(cost), 2)
    end
    if type(left) ~= "number" or not (left >= 0 and left < huge) then
      error("what is left is a number of 0 or more, not " .. tostring(left), 2)
    end
    return ask_limit(self, key, cost, left) == 1
  end,
  share = function(self, key)
    local p = ask_or_all(c_share, self, "limit", key) -- no tail call: errors count this frame
    return p
  end,
})

local seens = metatable("seen", {
  add = function(self, key) return ask_key(c_seen_add, self, "seen", key) == 1 end,
  has = function(self, key) return ask_key(c_seen_has, self, "seen", key) == 1 end,
})

local counters = metatable("counter", {
  add = function(self, key, n)
    if n == nil then n = 1 end
    if type(n) ~= "number" or not (n >= 0 and n < huge) then error("a counter adds a number of 0 or more, not " .. tostring(n), 2) end
    add_to_counter(self, key, n)
  end,
  per_second = function(self, key)
    local rate = ask_or_all(c_per_second, self, "counter", key) -- no tail call: errors count this frame
    return rate
  end,
})

-- ---- the globals ----

M.api = {}
M.methods = methods_of

local LIMIT_FIELDS = { rate = true, per = true, burst = true, max_keys = true, name = true }

local function positive(key, value, kind)
  if type(value) == "number" and value > 0 and value < huge then return value end
  error(("%s{}: %s is %s; allowed: a number above 0"):format(kind or "limit", key, show(value)), kind and 4 or 3)
end

function M.api.limit(t)
  check_fields("limit", t, LIMIT_FIELDS, 'limit { rate = 100, per = "1s" }')
  local rate, per_ns = positive("rate", t.rate), duration("limit", t, "per", "1s")
  local interval_ns = math.floor(per_ns / rate + 0.5)
  local burst = t.burst == nil and math.max(rate, 1) or positive("burst", t.burst)
  if interval_ns < MIN_INTERVAL_NS then error("limit{}: the rate is over a million a second", 2) end
  if burst < 1 then error("limit{}: burst is below 1, so that nothing could be taken", 2) end
  if burst * interval_ns > MAX_SPAN_NS then error("limit{}: it would take more than 36 years until it is full again", 2) end
  return core.handle_new(limits, LIMIT, scope.name, name_of("limit", t), max_keys("limit", t), interval_ns, burst * interval_ns)
end

local function windowed(kind, number, meta, fields)
  return function(t)
    check_fields(kind, t, fields, kind .. ' { window = "10m" }')
    local window_ns = duration(kind, t, "window", "10m")
    local name, keys = name_of(kind, t), max_keys(kind, t)
    local when_full = t.when_full
    if when_full ~= nil and when_full ~= "share" and when_full ~= "forget" then
      error(("%s{}: when_full is %s; allowed: \"share\", \"forget\""):format(kind, show(when_full)), 2)
    end
    return core.handle_new(meta, number, scope.name, name, keys, window_ns, 0, when_full == "forget")
  end
end

M.api.seen = windowed("seen", SEEN, seens, { window = true, max_keys = true, name = true, when_full = true })
M.api.counter = windowed("counter", COUNTER, counters, { window = true, max_keys = true, name = true })

local rates = metatable("rates", {
  of = function(self, key, n)
    check_self(self, "rates")
    if n == nil then n = 1 end
    if type(n) ~= "number" or not (n >= 0 and n < huge) then error("what is counted is a number of 0 or more, not " .. tostring(n), 2) end
    if type(key) ~= "string" then key = text_of(key, "rates") end
    local rate = c_rate(self, key, #key, n)
    if rate < 0 then no_answer("rates", rate) end
    return rate
  end,
})

local RATES_FIELDS = {
  goal_rate = true, goal_per_second = true, even = true, interval = true, window = true, weight = true, age_out = true,
  initial = true, burst_multiple = true, burst_delay = true, max_keys = true, name = true,
}
local BY_MEAN, BY_SECOND, BY_SECOND_EVENLY = 0, 1, 2 -- enum rate_goal

local function from_zero(key, value, default, most)
  if value == nil then value = default end
  if type(value) == "number" and value >= 0 and value <= most then return value end
  error(("rates{}: %s is %s; allowed: a number from 0%s"):format(key, show(value), most < huge and (" to " .. most) or ""), 3)
end

local function rate_goal(t)
  if (t.goal_rate == nil) == (t.goal_per_second == nil) then error("rates{} needs goal_rate or goal_per_second", 3) end
  if t.goal_rate ~= nil then
    if t.even or t.window then error("rates{}: even and window go with goal_per_second", 3) end
    return BY_MEAN, positive("goal_rate", t.goal_rate, "rates")
  end
  return t.even and BY_SECOND_EVENLY or BY_SECOND, positive("goal_per_second", t.goal_per_second, "rates")
end

function M.api.rates(t)
  check_fields("rates", t, RATES_FIELDS, 'rates { goal_rate = 10, interval = "15s" }')
  local by, goal = rate_goal(t)
  local kind = t.window and COUNTER or RATE
  local ns = t.window and duration("rates", t, "window", "30s") or duration("rates", t, "interval", "15s")
  local weight = from_zero("weight", t.weight, 1, 1)
  local age_out = from_zero("age_out", t.age_out, weight, huge)
  local initial = t.initial == nil and (by == BY_MEAN and goal or 10) or positive("initial", t.initial, "rates")
  local multiple, delay = from_zero("burst_multiple", t.burst_multiple, 0, huge), from_zero("burst_delay", t.burst_delay, 3, huge)
  local made = core.handle_new(rates, kind, scope.name, name_of("rates", t), max_keys("rates", t), ns, 0)
  core.handle_rates(made, by, goal, weight, age_out, math.max(1, initial), multiple, delay)
  return made
end

return M
