-- What policies do for a trace is compiled: a function that the compiler does not take would cost ten times that.
local t = require "moontail.testing"
local jit_util = require "jit.util"
local vmdef = require "jit.vmdef"

local status_code = t.make "status_code" { status_codes = { "OK" } }
local rate = { spans_per_second = 1000000, burst_capacity = 1000000 }

local POLICIES = {
  always_sample = {},
  ["and"] = { and_sub_policy = { t.make "latency" { threshold_ms = 0 }, t.make "probabilistic" { sampling_percentage = 10 } } },
  boolean_attribute = { key = "b" },
  budget = { traces_per_second = 1000000, key = { "service" } },
  bytes_limiting = { bytes_per_second = "1GiB" },
  composite = { max_total_spans_per_second = 1000000, composite_sub_policy = { status_code, t.make "always_sample" } },
  deterministic = { sample_rate = 5 },
  dynamic = { sample_rate = 5, field_list = { "name" } },
  drop = { drop_sub_policy = { t.make "probabilistic" { sampling_percentage = 10 } } },
  ema_dynamic = { goal_sample_rate = 5, field_list = { "name", "root.x" }, use_trace_length = true },
  ema_throughput = { goal_throughput_per_sec = 5, field_list = { "name" } },
  latency = { threshold_ms = 5, upper_threshold_ms = 10 },
  ["not"] = { not_sub_policy = { status_code } },
  novelty = {},
  numeric_attribute = { key = "n", min_value = 500 },
  ottl_condition = { span = { 'name == "other" or IsMatch(attributes["x"], "^a")' } },
  per_key_limit = { rate = 1000000, key = { "service", "name" }, policies = { t.make "always_sample" } },
  probabilistic = { sampling_percentage = 10 },
  rate_limiting = rate,
  rules = {
    rules = {
      { name = "big", drop = true, conditions = { { field = "?.NUM_DESCENDANTS", operator = ">", value = 99 } } },
      { name = "s", scope = "span", conditions = { { field = "s", operator = "starts-with", value = "z" }, { field = "root.n", operator = ">", value = 5 } } },
      { name = "rest", sampler = "status_code" },
    },
    samplers = { status_code },
  },
  span_count = { min_spans = 2, max_spans = 10 },
  status_code = { status_codes = { "ERROR", "OK" } },
  string_attribute = { key = "s", values = { "a", "b" }, invert_match = true },
  total_throughput = { goal_throughput_per_sec = 5, field_list = { "name" } },
  trace_flags = {},
  xray_sampling_rules = { rules = '[{"RuleName":"x","FixedRate":0.1,"ReservoirSize":1000000,"Attributes":{"x":"a*"}},{"RuleName":"y","Priority":10001}]' },
  windowed_throughput = { goal_throughput_per_sec = 1000000, field_list = { "name" } },
  trace_state = { key = "tenant", values = { "gold" } },
}

local function upvalue(fn, wanted)
  for i = 1, 60 do
    local name, value = debug.getupvalue(fn, i)
    if name == wanted then return value end
  end
end

-- The look at the clock that loops of scripts have: seldom, but often enough to be compiled here.
local function look_of(p) return jit_util.funcinfo(upvalue(upvalue(p.ask, "decide"), "__mtt")).addr end
local look = look_of(t.policy("composite", POLICIES.composite))

local asking = false -- policies, not what surrounds them here

-- Where compiled code has to leave for the interpreter: a function or operation that the compiler does not take.
-- It also gives up where a loop or a return comes at a bad moment, and begins elsewhere: that is no matter.
local function watched(fn)
  local left, made, called = {}, 0, nil
  local function watch(what, trace, of, pc, code)
    if what == "start" then called = nil end
    if what == "stop" then
      made = made + 1
      if jit_util.traceinfo(trace).linktype == "stitch" and asking and called ~= look then left[#left + 1] = "a function" end
    elseif what == "abort" and vmdef.traceerr[code]:find "^NYI: [^r]" then
      local where = jit_util.funcinfo(of, pc).loc or "?"
      if not where:find "^compiled_spec" and not where:find "^testing" then left[#left + 1] = where .. " " .. vmdef.traceerr[code] end
    end
  end
  local function see_call(_, of, pc)
    local info = jit_util.funcinfo(of, pc)
    called = info.addr or called
    if asking and info.addr and not info.ffid and info.addr ~= look then left[#left + 1] = "C" end
  end
  jit.flush()
  jit.attach(watch, "trace")
  jit.attach(see_call, "record")
  fn()
  jit.attach(watch)
  jit.attach(see_call)
  return left, made
end

local function deciding(p, traces)
  for _, trace in ipairs(traces) do p:decide(trace) end -- makes its verdicts
  return watched(function()
    for _, trace in ipairs(traces) do
      t.read(trace, function(proxy)
        local ask, number = p.ask, rawget(proxy, 2)
        asking = true
        for _ = 1, 500 do ask(number) end
        asking = false
      end)
    end
  end)
end

describe("policies are compiled", function()
  local traces = {
    t.trace { { attr = { s = "a", n = 500, b = true }, trace_state = "tenant=gold", duration_ms = 7, flags = 1 }, {} },
    t.trace { { status = "error", duration_ms = 2 }, { attr = { x = 1 } }, {} },
  }

  for name, options in pairs(POLICIES) do
    it(name, function()
      local left, made = deciding(t.policy(name, options), traces)
      assert.same({}, left)
      assert.is_true(made > 0)
    end)
  end

  it("which this would see", function()
    local left = deciding(t.policy { name = "p", decide = function(trace) if trace.id:match "^%d+x" then return t.keep() end end }, traces)
    assert.is_true(#left > 0)
  end)
end)
