-- match{...}: conditions that hold on one span, compiled once to an object that C evaluates.
local access = require "moontail.access"
local asked = require "moontail.asked"
local core = require "moontail.policy_core"
local host = require "moontail.host"

local getmetatable, setmetatable, type, tostring = debug.getmetatable, setmetatable, type, tostring

-- enum match_kind and enum match_place
local ANY, NONE, TEXT, NUMBER, BOOL, GLOB, REGEX, RANGE = 0, 1, 2, 3, 4, 5, 6, 8
local FIELD, ATTR, RESOURCE, SCOPE, EVENT_NAME, EVENT_ATTR = 0, 1, 2, 3, 4, 5
local LINK_TRACE_ID, LINK_SPAN_ID, LINK_ATTR, TRACE_STATE, DECISION, TRACE = 6, 7, 8, 9, 11, 12

local decision_fields = { policy = 0, reason = 1, verdict = 2, p = 3 }
local trace_fields = { span_count = 0, error_count = 1, bytes = 2, duration_ms = 3, complete = 4, trigger = 5 }

local ONE_OF = {
  kind = { "unspecified", "internal", "server", "client", "producer", "consumer" },
  status = { "unset", "ok", "error" },
  ["log.severity"] = { "trace", "debug", "info", "warn", "error", "fatal" },
  ["metric.type"] = { "gauge", "sum", "histogram", "exponential_histogram", "summary" },
  ["metric.temporality"] = { "delta", "cumulative" },
}

-- enum value_type: what a field that is not made of an attribute always is.
local WANTED = {
  [2] = { kind = "boolean", text = "true or false", allowed = "true, false, any, none" },
  [4] = { kind = "number", text = "a number", allowed = "a number, a list of them, range, any, none" },
}
local a_number = { type = 4 }
local own_fields = { [DECISION] = { [decision_fields.p] = a_number }, [TRACE] = {}, [FIELD] = {} }
for _, name in ipairs { "span_count", "error_count", "bytes", "duration_ms" } do
  own_fields[TRACE][trace_fields[name]] = a_number
end
own_fields[TRACE][trace_fields.complete] = { type = 2 }
for _, owner in ipairs { "span", "log", "metric", "point" } do
  for _, f in pairs(access.fields[owner]) do own_fields[FIELD][f.number] = f end
end

local Condition = { __kind = "condition", __metatable = false }
Condition.__tostring = function(self) return self.text end
Condition.__newindex = function() error("a condition can't be changed", 2) end

local function condition(fields)
  return setmetatable(fields, Condition)
end

local function is_condition(v) return type(v) == "table" and getmetatable(v) == Condition end

local function show(v)
  if type(v) == "string" then return "'" .. v .. "'" end
  if is_condition(v) then return v.text end
  return type(v) == "table" and "a table" or tostring(v)
end

local M = { api = {} }
M.api.any = condition { kind = ANY, text = "any" }
M.api.none = condition { kind = NONE, text = "none" }

function M.api.glob(pattern)
  if type(pattern) ~= "string" then error("glob takes a pattern, a string, not " .. show(pattern), 2) end
  return condition { kind = GLOB, value = pattern, text = "glob '" .. pattern .. "'" }
end

function M.api.regex(pattern)
  if type(pattern) ~= "string" then error("regex takes a pattern, a string, not " .. show(pattern), 2) end
  local ok, why = pcall(core.match_regex, pattern)
  if not ok then error("regex '" .. pattern .. "': " .. why, 2) end
  return condition { kind = REGEX, value = pattern, text = "regex '" .. pattern .. "'" }
end

function M.api.range(low, high)
  if (low ~= nil and type(low) ~= "number") or (high ~= nil and type(high) ~= "number") then
    error("range takes numbers: range(low, high), range(low), range(nil, high)", 2)
  end
  if low == nil and high == nil then error("range needs a bound: range(low, high), range(low), range(nil, high)", 2) end
  if low ~= low or high ~= high then error("a bound of range is not a number", 2) end
  if low and high and low > high then error(("range(%s, %s) holds nothing"):format(low, high), 2) end
  return condition { kind = RANGE, value = low, high = high, text = "range(" .. tostring(low) .. ", " .. tostring(high) .. ")" }
end

-- Raised with the position of the script's match{}.
local function fail(build, text) error({ match = text }, 0) end

local function sorted(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

local function names(...)
  local list, seen = {}, {}
  for _, t in ipairs { ... } do
    for name in pairs(t) do
      if not seen[name] then list[#list + 1] = name end
      seen[name] = true
    end
  end
  table.sort(list)
  return list
end

local function unknown(build, path, key, known)
  local near = type(key) == "string" and host.nearest(key, known)
  local hint = near and (" (did you mean '" .. near .. "'?)") or ("; allowed: " .. table.concat(known, ", "))
  fail(build, (path == "" and "match{}" or path) .. " has no field " .. show(key) .. hint)
end

local function check_literal(build, path, name, value)
  local allowed = ONE_OF[name]
  if not allowed or type(value) ~= "string" then return end
  for _, one in ipairs(allowed) do
    if one == value then return end
  end
  local near = host.nearest(value:lower(), allowed)
  local hint = near and (" (did you mean '" .. near .. "'?)") or ""
  fail(build, path .. " is never '" .. value .. "'; allowed: " .. table.concat(allowed, ", ") .. hint)
end

-- A number is never equal to a text: what could never hold is an error in the script.
local function check_type(build, path, field, value)
  local wanted = field and WANTED[field.type]
  local kind = type(value)
  if not wanted or kind == "table" and not is_condition(value) then return end
  local fits = kind == wanted.kind
  if is_condition(value) then
    fits = value.kind == ANY or value.kind == NONE or value.kind == RANGE and wanted.kind == "number"
  end
  if not fits then
    fail(build, path .. " is " .. wanted.text .. ", never " .. show(value) .. "; allowed: " .. wanted.allowed)
  end
end

local function add_test(build, path, name, value, field)
  local m, kind = build.matcher, type(value)
  check_literal(build, path, name, value)
  check_type(build, path, field, value)
  if kind == "string" then
    core.match_test(m, TEXT, value)
  elseif kind == "number" then
    if value ~= value then fail(build, path .. " is compared with what is not a number") end
    core.match_test(m, NUMBER, value)
  elseif kind == "boolean" then
    core.match_test(m, BOOL, value)
  elseif is_condition(value) then
    core.match_test(m, value.kind, value.value, value.high)
  else
    fail(build, path .. " is " .. show(value) .. "; allowed: a string, number, boolean, a list of them, any, none, glob, regex, range")
  end
end

-- One term: a condition, or a list of which one must hold.
local function add_term(build, place, field, key, path, name, value)
  local own = own_fields[place] and own_fields[place][field]
  core.match_term(build.matcher, place, field, key, build.negated)
  if type(value) ~= "table" or is_condition(value) then return add_test(build, path, name, value, own) end
  local count = 0
  for _ in pairs(value) do count = count + 1 end
  if count == 0 or count ~= #value then
    fail(build, path .. ": a list of allowed values has one or more, and no keys")
  end
  for i = 1, count do add_test(build, path, name, value[i], own) end
end

local function check_table(build, path, value, example)
  if type(value) ~= "table" or is_condition(value) or getmetatable(value) then
    fail(build, path .. " is " .. show(value) .. "; allowed: a table, " .. example)
  end
end

local function add_map(build, place, path, map)
  check_table(build, path, map, '{ ["key"] = value }')
  for _, key in ipairs(sorted(map)) do
    if type(key) ~= "string" then fail(build, path .. " has the key " .. show(key) .. "; allowed: strings") end
    add_term(build, place, 0, key, path .. '["' .. key .. '"]', nil, map[key])
    if place ~= TRACE_STATE and map[key] ~= M.api.none and not build.negated then asked.key(key, build.place) end
  end
end

local function add_view(view)
  return function(build, path, map)
    check_table(build, path, map, "{ field = value }")
    for _, key in ipairs(sorted(map)) do
      local f = access.fields[view][key]
      if not f then unknown(build, path, key, names(access.fields[view])) end
      add_term(build, FIELD, f.number, nil, path .. "." .. key, view .. "." .. key, map[key])
    end
  end
end

-- Keys of a scope are attributes, but for its name and version.
local function add_scope(build, path, map)
  check_table(build, path, map, '{ name = value, ["key"] = value }')
  local attributes = {}
  for _, key in ipairs(sorted(map)) do
    local f = access.fields.scope[key]
    if f then
      add_term(build, FIELD, f.number, nil, path .. "." .. key, nil, map[key])
    else
      attributes[key] = map[key]
    end
  end
  add_map(build, SCOPE, path, attributes)
end

-- The member `ot` has the randomness that the draw is made with: who asked it would bias the counts.
local function add_trace_state(build, path, map)
  if type(map) == "table" and map.ot ~= nil then fail(build, path .. ".ot is the draw's own and can't be asked") end
  add_map(build, TRACE_STATE, path, map)
end

local function add_inner(places, attr_place, place_names)
  return function(build, path, map)
    check_table(build, path, map, "{ attr = { ... } }")
    for _, key in ipairs(sorted(map)) do
      if key == "attr" then
        add_map(build, attr_place, path .. ".attr", map.attr)
      elseif places[key] then
        add_term(build, places[key], 0, nil, path .. "." .. key, nil, map[key])
      else
        unknown(build, path, key, place_names)
      end
    end
  end
end

local function add_numbered(place, fields)
  return function(build, path, map)
    check_table(build, path, map, "{ field = value }")
    for _, key in ipairs(sorted(map)) do
      if not fields[key] then unknown(build, path, key, names(fields)) end
      add_term(build, place, fields[key], nil, path .. "." .. key, nil, map[key])
    end
  end
end

local groups = {
  attr = function(build, path, map) add_map(build, ATTR, path, map) end,
  resource = function(build, path, map) add_map(build, RESOURCE, path, map) end,
  scope = add_scope,
  trace_state = add_trace_state,
  http = add_view "http",
  db = add_view "db",
  rpc = add_view "rpc",
  log = add_view "log",
  metric = add_view "metric",
  point = add_view "point",
  event = add_inner({ name = EVENT_NAME }, EVENT_ATTR, { "attr", "name" }),
  link = add_inner({ trace_id = LINK_TRACE_ID, span_id = LINK_SPAN_ID }, LINK_ATTR, { "attr", "span_id", "trace_id" }),
  decision = add_numbered(DECISION, decision_fields),
  trace = add_numbered(TRACE, trace_fields),
}

local add_group

local function add_field(build, prefix, key, value)
  local path = prefix .. tostring(key)
  local field = access.fields.span[key]
  if groups[key] then
    if build.negated and (key == "decision" or key == "trace") then fail(build, path .. " can't stand in [\"not\"]") end
    groups[key](build, path, value)
  elseif key == "not" then
    if build.negated then fail(build, "[\"not\"] stands in [\"not\"]; allowed: one level") end
    check_table(build, path, value, "{ field = value }")
    if next(value) == nil then fail(build, "[\"not\"] is empty") end
    build.negated = true
    add_group(build, "not.", value)
    build.negated = false
  elseif field then
    add_term(build, FIELD, field.number, nil, path, key, value)
  else
    unknown(build, prefix:sub(1, -2), key, names(access.fields.span, groups, { ["not"] = true }))
  end
end

function add_group(build, prefix, t)
  for _, key in ipairs(sorted(t)) do add_field(build, prefix, key, t[key]) end
end

local function compile(t, place)
  local build = { matcher = core.match_new(), negated = false, place = place }
  add_group(build, "", t)
  return build.matcher
end

function M.api.match(t)
  if access.reader.number ~= 0 then
    error("match{} inside of decide would be compiled for every trace: write it at file level or in setup", 2)
  end
  if type(t) ~= "table" or getmetatable(t) then error("match takes a table: match { kind = \"server\" }", 2) end
  local caller = debug.getinfo(2, "Sl")
  local place = caller and caller.currentline > 0 and (caller.short_src .. ":" .. caller.currentline .. ":") or nil
  local ok, result = pcall(compile, t, place)
  if ok then return result end
  error(type(result) == "table" and result.match or result, 2)
end

-- decision and trace fields are known to `where` only.
function M.for_policies(m)
  return not core.match_asks(m)
end

-- Whether items of that signal have what the matcher asks for: "traces", "metrics", "logs".
function M.is_of(m, signal)
  local _, _, spans, metrics, logs = core.match_asks(m)
  return not ((spans and signal ~= "traces") or (metrics and signal ~= "metrics") or (logs and signal ~= "logs"))
end

-- A matcher of traces that are not decided yet.
function M.is_of_undecided(m)
  if (getmetatable(m) or {}).__kind ~= "match" then return false end
  local _, asks_decision = core.match_asks(m)
  return not asks_decision
end

return M
