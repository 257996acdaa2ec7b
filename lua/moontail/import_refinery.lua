-- Refinery's rules (RulesVersion 2) as policies. What no rule matches is kept there, so the default is keep().
local lua_text = require "moontail.lua_text"
local report = require "moontail.import_report"

local M = {}

local map, call, code = lua_text.map, lua_text.call, lua_text.code

-- ---- samplers ----

-- What Refinery calls it, what it is here, and how it is read.
local KEYS = {
  { "GoalSampleRate", "goal_sample_rate", "number" },
  { "GoalThroughputPerSec", "goal_throughput_per_sec", "number" },
  { "InitialSampleRate", "initial_sample_rate", "number" },
  { "SampleRate", "sample_rate", "number" },
  { "ClearFrequency", "clear_frequency", "duration" },
  { "AdjustmentInterval", "adjustment_interval", "duration" },
  { "UpdateFrequency", "update_frequency", "duration" },
  { "LookbackFrequency", "lookback_frequency", "duration" },
  { "Weight", "weight", "number" },
  { "AgeOutValue", "age_out_value", "number" },
  { "BurstMultiple", "burst_multiple", "number" },
  { "BurstDetectionDelay", "burst_detection_delay", "number" },
  { "FieldList", "field_list", "list" },
  { "MaxKeys", "max_keys", "number" },
  { "UseTraceLength", "use_trace_length", "boolean" },
}

-- Of all others 0 says there that the default is meant.
local REQUIRED = { GoalSampleRate = true, GoalThroughputPerSec = true, SampleRate = true }

local TYPES = {
  DeterministicSampler = "deterministic",
  DynamicSampler = "dynamic",
  EMADynamicSampler = "ema_dynamic",
  EMAThroughputSampler = "ema_throughput",
  WindowedThroughputSampler = "windowed_throughput",
  TotalThroughputSampler = "total_throughput",
}

local function options_of(s)
  local options = map {}
  s:ignore("UseClusterSize", "a goal is each node's own")
  for _, key in ipairs(KEYS) do
    local value = s:has(key[1]) and s[key[3]](s, key[1])
    if s:has(key[1]) and (REQUIRED[key[1]] or (value ~= 0 and value ~= "0s")) then table.insert(options, { key[2], value }) end
  end
  s:done()
  return options
end

local sampler_of

-- ---- rules ----

local OF_TEXT = { ["starts-with"] = true, contains = true, ["does-not-contain"] = true, matches = true }
local OF_ORDER = { ["<"] = true, ["<="] = true, [">"] = true, [">="] = true }
local TRUE = { ["1"] = true, t = true, T = true, ["true"] = true, TRUE = true, True = true }

-- An empty text says nothing there.
local function word(s, key)
  local text = s:string(key)
  return text ~= "" and text or nil
end

-- What Refinery makes of a value: of a text operator's a text, of a datatype's number one, of has-root-span's true or false.
local function value_of(s, operator, datatype)
  if operator == "has-root-span" then return TRUE[tostring(s:value "Value")] == true end
  if operator == "in" or operator == "not-in" or type(s.map.Value) == "table" then return s:list "Value" end
  if OF_TEXT[operator] then return s:string "Value" end
  local value = s:value "Value"
  if (datatype == "int" or datatype == "float") and type(value) == "string" then value = tonumber(value) or value end
  if OF_ORDER[operator] and type(value) ~= "number" then
    s:add("not mapped", "Value", ("%s is for numbers here, not for %s; check refuses this condition"):format(operator, tostring(value)))
  end
  return value
end

-- Names of what events have there and spans here do not: never there, so that not-exists always holds.
local function note_fields(s, fields)
  local of_root = 0
  for _, field in ipairs(fields) do
    local name = tostring(field):gsub("^root%.", "")
    if name ~= field then of_root = of_root + 1 end
    if name:find "^meta%." or name == "span.num_events" or name == "span.num_links" then
      s:add("not mapped", "Field", name .. " is never there: only spans' own fields and attributes are asked here (docs/policies/rules.md)")
    end
  end
  if of_root > 0 and of_root < #fields then
    s:add("not mapped", "Fields", "are either all of the root or none here; check refuses this condition")
  end
end

local function condition_of(s)
  local field, fields = s:string "Field", s:list "Fields"
  local operator, datatype = s:string "Operator", word(s, "Datatype")
  note_fields(s, fields or { field })
  local condition = map {
    { "field", field },
    { "fields", fields },
    { "operator", operator },
    { "value", value_of(s, operator, datatype) },
    { "datatype", datatype },
  }
  s:done()
  return condition
end

-- samplers: { list, by name } of the policy that the rule stands in.
local function rule_of(s, number, samplers)
  local name, conditions = s:string "Name" or "rule " .. number, {}
  for i, one in ipairs(s:sections "Conditions") do conditions[i] = condition_of(one) end
  local rule = map {
    { "name", name },
    { "scope", word(s, "Scope") },
    { "drop", s:boolean "Drop" },
    { "sample_rate", s:number "SampleRate" },
  }
  if s:has "Sampler" then
    local made = sampler_of(s:section "Sampler", ("%d-%s"):format(number, report.safe(tostring(name))))
    if made then
      table.insert(samplers, made)
      table.insert(rule, { "sampler", made.argument })
    end
  end
  if #conditions > 0 then table.insert(rule, { "conditions", conditions }) end
  if not (s:has "Sampler" or s:has "SampleRate" or s:has "Drop") then
    s:add("different", "SampleRate", "is not given: there the rule drops, here it keeps; say drop = true if that is meant")
  end
  s:done()
  s.notes:add("mapped", s.path, ('rule "%s"'):format(name))
  return rule
end

local function rules_policy(s, instance)
  local rules, samplers = {}, {}
  s:ignore("CheckNestedFields", "attributes are read by their whole name")
  for i, one in ipairs(s:sections "Rules") do rules[i] = rule_of(one, i, samplers) end
  s:done()
  return call("policy", instance and "rules/" .. instance or "rules", map {
    { "rules", rules },
    { "samplers", #samplers > 0 and samplers or nil },
  })
end

-- The policy of a map with one sampler in it; instance nil: its name is the type's alone.
function sampler_of(s, instance)
  local made
  for _, key in ipairs(report.keys(s.map)) do
    if made then
      s:add("not mapped", key, "a second sampler")
    elseif key == "RulesBasedSampler" then
      made = rules_policy(s:section(key), instance)
    elseif TYPES[key] then
      made = call("policy", instance and TYPES[key] .. "/" .. instance or TYPES[key], options_of(s:section(key)))
      s:add("mapped", key, ('policy "%s"'):format(made.argument))
    end
    s:raw(key)
  end
  if not made then s.notes:add("not mapped", s.path, "there is no sampler that is known here") end
  return made
end

-- ---- environments ----

local ENVIRONMENT = "deployment.environment.name"

-- Each environment's sampler is asked about its own traces alone.
local function by_environment(samplers, notes)
  local rules, list = {}, {}
  for _, id in ipairs(report.keys(samplers.map)) do
    local made = sampler_of(samplers:section(id), report.safe(tostring(id)))
    if made then
      table.insert(list, made)
      local rule = map { { "name", id }, { "sampler", made.argument } }
      if id ~= "__default__" then
        table.insert(rule, { "conditions", { map { { "field", ENVIRONMENT }, { "operator", "=" }, { "value", id } } } })
        table.insert(rules, rule)
      else
        rules.default = rule
      end
    end
  end
  if rules.default then rules[#rules + 1], rules.default = rules.default, nil end
  notes:add("different", "Samplers", "the environment is that of an API key there; here it is the attribute " .. ENVIRONMENT)
  return call("policy", "rules/environments", map { { "rules", rules }, { "samplers", list } })
end

function M.convert(doc, notes)
  local top = report.section(notes, doc, "rules")
  local version = top:raw "RulesVersion"
  local samplers = top:section "Samplers"
  local ids, made = report.keys(samplers.map), nil
  top:done()
  if version ~= 2 then top:add("different", "RulesVersion", "is taken as 2") end
  if #ids == 1 then made = sampler_of(samplers:section(ids[1])) elseif #ids > 1 then made = by_environment(samplers, notes) end
  notes:add("different", "rules", "draws are by the trace id, the same on every node; there they are random but for DeterministicSampler")
  notes:add("different", "rules", "rates are kept over a restart; there they begin anew")
  notes:add("not mapped", "rules", 'where traces go is not in this file: give exporter "otlp" its endpoint')
  return map {
    { "tail_sampling", map { { "default", code "keep()" }, { "policies", { made or call("policy", "always_sample") } } } },
    { "exporters", { call("exporter", "debug") } },
  }
end

return M
