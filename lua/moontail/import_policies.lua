-- The collector's tail_sampling as ours. Its policies all vote: a drop wins, else a keep. Ours are asked in
-- order: so drops come first, then what keeps, and of several shares the largest counts.
local lua_text = require "moontail.lua_text"
local conditions = require "moontail.import_ottl"
local report = require "moontail.import_report"

local M = {}

local map, call = lua_text.map, lua_text.call
local policy_of

-- nil where one of them can't be: the others alone would say something else.
local function sub_policies(s, key)
  local list, all, taken = {}, true, {}
  for _, sub in ipairs(s:sections(key)) do
    local made = policy_of(sub, taken)
    if made then list[#list + 1] = made.call else all = false end
  end
  return all and #list > 0 and list or nil
end

local function of_policies(s, key)
  local list = sub_policies(s, key)
  return list and map { { key, list } }
end

-- ---- options of the types, without invert_match ----

local types = {}

local RATE_MAX = 1000000

-- Of spans in a second, as there are here.
local function rate(s, key)
  local value = s:number(key)
  if type(value) ~= "number" or value >= 1 and value <= RATE_MAX then return value end
  s:add("different", key, ("is from 1 to %d here"):format(RATE_MAX))
  return math.min(math.max(value, 1), RATE_MAX)
end

-- Both bounds, of which a 0 is none there; nil where neither is one, or nothing is within.
local function bounds(s)
  local low, high = s:unless_zero "min_value", s:unless_zero "max_value"
  if not low and not high then
    s:add("not mapped", "min_value", "there is no bound: 0 is none there")
    return nil
  end
  for _, key in ipairs { "min_value", "max_value" } do
    if s.map[key] == 0 then s:add("different", key, "0 is no bound there, and is left out; here it can be one") end
  end
  if s:is_nothing_within("min_value", low, "max_value", high) then return nil end
  return low, high
end

function types.always_sample() return map {} end
function types.trace_flags() return map {} end

function types.latency(s)
  local low, high = s:number "threshold_ms" or 0, s:unless_zero "upper_threshold_ms"
  if s:is_nothing_within("threshold_ms", low, "upper_threshold_ms", high) then return nil end
  return map { { "threshold_ms", low }, { "upper_threshold_ms", high } }
end

function types.numeric_attribute(s)
  local key, low, high = s:string "key", bounds(s)
  return (low or high) and map { { "key", key }, { "min_value", low }, { "max_value", high } }
end

function types.probabilistic(s)
  if s:has "hash_salt" then s:ignore("hash_salt", "the draw is the consistent one of W3C trace context, equal on every node") end
  return map { { "sampling_percentage", s:share "sampling_percentage" } }
end

function types.status_code(s) return map { { "status_codes", s:list "status_codes" } } end

function types.string_attribute(s)
  return map {
    { "key", s:string "key" },
    { "values", s:list "values" },
    { "enabled_regex_matching", s:boolean "enabled_regex_matching" },
    { "cache_max_size", s:number "cache_max_size" },
  }
end

function types.boolean_attribute(s)
  local value = s:boolean "value"
  return map { { "key", s:string "key" }, { "value", value == nil and false or value } }
end

function types.rate_limiting(s)
  return map { { "spans_per_second", rate(s, "spans_per_second") }, { "burst_capacity", s:unless_zero "burst_capacity" } }
end

function types.bytes_limiting(s)
  return map { { "bytes_per_second", s:number "bytes_per_second" }, { "burst_capacity", s:unless_zero "burst_capacity" } }
end

function types.span_count(s)
  local least, most = s:number "min_spans", s:unless_zero "max_spans"
  if s:is_nothing_within("min_spans", least, "max_spans", most) then return nil end
  return map { { "min_spans", least }, { "max_spans", most } }
end

function types.trace_state(s) return map { { "key", s:string "key" }, { "values", s:list "values" } } end

function types.ottl_condition(s)
  s:raw "error_mode"
  local span, event = conditions.of(s, "span"), conditions.of(s, "spanevent")
  if not span or not event or #span + #event == 0 then return nil end
  return map { { "span", span[1] and span }, { "spanevent", event[1] and event } }
end

types["and"] = function(s) return of_policies(s, "and_sub_policy") end
types["drop"] = function(s) return of_policies(s, "drop_sub_policy") end

types["not"] = function(s)
  local made = policy_of(s:section "not_sub_policy", {})
  return made and map { { "not_sub_policy", { made.call } } }
end

function types.composite(s)
  local subs, names, allocation, taken = {}, {}, map {}, {}
  for _, sub in ipairs(s:sections "composite_sub_policy") do
    local made = policy_of(sub, taken)
    if not made then return nil end
    subs[#subs + 1], names[made.theirs] = made.call, made.call.argument
  end
  local order = s:list "policy_order"
  for i, name in ipairs(order or {}) do order[i] = names[tostring(name)] or tostring(name) end
  for _, part in ipairs(s:sections "rate_allocation") do
    local name = part:string "policy"
    table.insert(allocation, { names[tostring(name)] or tostring(name), part:number "percent" })
    part:done()
  end
  s:add("different", "rate_allocation", "what a part leaves unused goes to the others, and the whole is never passed")
  return map {
    { "max_total_spans_per_second", rate(s, "max_total_spans_per_second") },
    { "policy_order", order },
    { "composite_sub_policy", subs },
    { "rate_allocation", #allocation > 0 and allocation or nil },
  }
end

-- ---- one policy ----

-- taken: the names beside it. Two that differ there, in characters that no name here has, differ here too.
local function name_of(type_, name, taken)
  local instance = report.safe(name)
  local first = (instance == "" or instance == type_) and type_ or type_ .. "/" .. instance
  local unique, number = first, 1
  while taken[unique] do
    number = number + 1
    unique = (first == type_ and type_ .. "/" or first .. "-") .. number
  end
  taken[unique] = true
  return unique
end

-- { type, theirs = their name, options, call }, or nil where it can't be.
function policy_of(s, taken)
  local type_, name = s:string "type", s:string "name"
  local read = types[type_]
  if not read then
    s:add("not mapped", "type", ("there is no policy '%s' here"):format(tostring(type_)))
    for _, key in ipairs(report.keys(s.map)) do s:raw(key) end
    return nil
  end
  local own = s:section(type_)
  local invert = own:boolean "invert_match"
  local options = read(own)
  own:done()
  s:done()
  if not options then
    s.notes:add("not mapped", s.path, "the whole policy is left out")
    return nil
  end
  if invert then table.insert(options, { "invert_match", true }) end
  return {
    type = type_,
    theirs = tostring(name),
    options = options,
    call = call("policy", name_of(type_, tostring(name or ""), taken), #options > 0 and options or nil),
  }
end

-- ---- all of them ----

local function percentage(p)
  for _, pair in ipairs(p.options) do
    if pair[1] == "sampling_percentage" then return type(pair[2]) == "number" and pair[2] or 0 end
  end
  return 0
end

-- Drops, others and shares, each in their order; shares from the largest.
local function sorted(list)
  local drops, others, shares = {}, {}, {}
  for i, p in ipairs(list) do
    local to = p.type == "drop" and drops or p.type == "probabilistic" and shares or others
    to[#to + 1], p.order = p, i
  end
  table.sort(shares, function(a, b)
    local pa, pb = percentage(a), percentage(b)
    if pa ~= pb then return pa > pb end
    return a.order < b.order
  end)
  return drops, others, shares
end

local function ordered(policies)
  local list = {}
  for _, group in ipairs { sorted(policies) } do
    for _, p in ipairs(group) do list[#list + 1] = p.call end
  end
  return list
end

local function cache_size(s)
  if not s:has "decision_cache" then return nil end
  local cache = s:section "decision_cache"
  local kept, dropped = cache:number "sampled_cache_size" or 0, cache:number "non_sampled_cache_size" or 0
  cache:done()
  local sum = type(kept) == "number" and type(dropped) == "number" and kept + dropped or 0
  if sum == 0 then
    cache:add("different", "sampled_cache_size", "without a cache late spans are decided a second time there; here they share their trace's decision")
    return nil
  end
  return sum
end

local IGNORED = {
  expected_new_traces_per_sec = "the table grows as it is needed",
  sample_on_first_match = "the first keep or drop is final here in any case",
  drop_pending_traces_on_shutdown = "journal.on_shutdown: decide or keep",
  block_on_overflow = "bounds are those of memory_limiter and journal",
  num_shards = "workers is the number of threads",
  tail_storage = "traces wait in the journal",
  sampling_strategy = "traces are judged when they are complete",
}

-- The map of tail_sampling. s: the section of the processor.
function M.tail_sampling(s)
  local policies, taken = {}, {}
  for _, sub in ipairs(s:sections "policies") do
    local made = policy_of(sub, taken)
    if made then
      policies[#policies + 1] = made
      s.notes:add("mapped", sub.path, ('policy "%s"'):format(made.call.argument))
    end
  end
  s:ignore_all(IGNORED)
  local traces = s:number "num_traces"
  local result = map {
    { "decision_wait", s:duration "decision_wait" or "30s" },
    { "decision_wait_after_root", s:duration "decision_wait_after_root_received" },
    { "num_traces", traces == nil and 50000 or traces },
    { "decision_cache", cache_size(s) },
    { "max_trace_bytes", s:number "maximum_trace_size_bytes" },
    { "policies", ordered(policies) },
  }
  s:done()
  if #policies == 0 then s:add("not mapped", "policies", "none is left: moontail wants one at least") end
  return result
end

return M
