-- Processors: what their files return, their options, and the functions that C calls for a span.
local access = require "moontail.access"
local cells = require "moontail.cells"
local edit = require "moontail.edit"
local script = require "moontail.script"

local M = {}

local KEYS = {
  doc = "string",
  options = "table",
  setup = "function",
  on = "string",
  signals = "table",
  trace = "function",
  span = "function",
  resource = "function",
  metric = "function",
  point = "function",
  log = "function",
  body = "function",
  on_error = "string",
}
M.keys = KEYS -- for the test that holds them and the table of the API together
local ON = { received = true, kept = true }
local ON_ERROR = { pass = true, strip = true, drop = true }
-- Options that say which items of a signal it is asked about.
local SIGNALS = { when = "traces", metrics = "metrics", logs = "logs" }
-- The functions for a signal's items.
local FUNCTIONS = { traces = { "span", "trace" }, metrics = { "point", "metric", "resource" }, logs = { "log", "resource" } }

local function has_functions(spec, signal)
  for _, name in ipairs(FUNCTIONS[signal]) do
    if spec[name] then return true end
  end
  return false
end

local function check_signals(spec)
  for _, signal in ipairs(spec.signals or {}) do
    if not FUNCTIONS[signal] then return "signals are traces, metrics, logs; not " .. tostring(signal) end
  end
end

local kind = script.kind {
  name = "processor",
  plural = "processors",
  keys = KEYS,
  example = 'processor { doc = "...", on = "kept", span = function(span, opt, my) ... end }',
  an_option = "max_bytes",
  asked = "asked only about spans that match",
  labels = { head_sampling = true },
  signals = SIGNALS,
  check = function(spec)
    if not ON[spec.on] then return 'a processor needs on = "received" (may drop spans at the door) or on = "kept" (edits kept ones)' end
    if not (spec.body or has_functions(spec, "traces") or has_functions(spec, "metrics") or has_functions(spec, "logs")) then
      return "a processor needs span = function(span, opt, my) ... end"
    end
    if spec.body and spec.on ~= "kept" then return 'body = function... lets one that is on = "kept" stand in processors.received too' end
    if spec.on_error and not ON_ERROR[spec.on_error] then return "on_error is '" .. spec.on_error .. "'; allowed: pass, strip, drop" end
    if spec.on == "received" and spec.trace then return 'on = "received" sees no trace: trace = function... is for on = "kept"' end
    if spec.on == "received" and spec.on_error == "strip" then return 'on_error = "strip" edits a span: with on = "received" it can only pass or drop' end
    return check_signals(spec)
  end,
}

-- Compiled anew for every processor: the compiler's traces belong to a function's code.
local SPAN = [[
local fn, opt, my, Span, Trace, setmetatable = ...
local trace
return function(number, span)
  if Trace and not (trace and trace[2] == number) then trace = setmetatable({ 0, number }, Trace) end
  return fn(setmetatable({ span, number }, Span), opt, my, trace)
end]]

local TRACE = [[
local fn, opt, my, Trace, setmetatable = ...
return function(number)
  return fn(setmetatable({ 0, number }, Trace), opt, my)
end]]

local ITEM = [[
local fn, opt, my, Class, setmetatable = ...
return function(number, item)
  return fn(setmetatable({ item, number }, Class), opt, my)
end]]

local CLASSES = { resource = edit.Resource, metric = edit.Metric, point = edit.Point, log = edit.Log }

local function item_runner(spec, name, opt, my)
  return spec[name] and loadstring(ITEM, "=processor")(spec[name], opt, my, CLASSES[name], setmetatable)
end

local function span_runner(spec, opt, my)
  if not spec.span then return nil end
  local kept = spec.on == "kept"
  return loadstring(SPAN, "=processor")(spec.span, opt, my, kept and edit.Span or access.Span, kept and access.Trace or nil, setmetatable)
end

local function trace_runner(spec, opt, my)
  return spec.trace and loadstring(TRACE, "=processor")(spec.trace, opt, my, access.Trace, setmetatable)
end

local function matcher(value) return type(value) ~= "boolean" and value or nil end

local function check_place(c, spec, on)
  if spec.on == on or spec.body and on == "received" then return end
  error(("%s%s is on = \"%s\"; write it in processors.%s"):format(script.place(c), tostring(c), spec.on, spec.on), 0)
end

-- At the door it is C that edits, whole bodies by what `body` gives: many spans share a resource.
local function body_redaction(c, spec, opt, my, values)
  if values and matcher(values.when) then error(script.place(c) .. tostring(c) .. ": in processors.received it redacts whole bodies: it takes no when", 0) end
  local ok, made = script.protected(spec.body, opt, my)
  if ok and type(made) == "userdata" and getmetatable(made) == "redaction" then return made end
  error(script.place(c) .. tostring(c) .. ": " .. (ok and "body returned no redaction { ... }" or tostring(made)), 0)
end

-- Which signals it is about: those that are named by an option; else what its file says, or has
-- functions for.
local function signals_of(c, spec, values)
  local default, named, asked = {}, false, {}
  for _, signal in ipairs(spec.signals or { "traces", "metrics", "logs" }) do default[signal] = true end
  for key in pairs(SIGNALS) do named = named or (values[key] ~= nil and values[key] ~= false) end
  for key, signal in pairs(SIGNALS) do
    local can = has_functions(spec, signal) or spec.body
    if named and values[key] and not can then
      error(("%s%s: it can do nothing about %s"):format(script.place(c), tostring(c), signal), 0)
    end
    asked[signal] = can and values[key] ~= false and (not named and default[signal] or named and values[key] ~= nil)
  end
  return asked
end

-- What it does about metrics or logs, for C.
local function items_of(c, spec, opt, my, values, signal)
  local when = matcher(values[signal])
  if has_functions(spec, signal) then
    return {
      when = when,
      resource = item_runner(spec, "resource", opt, my),
      metric = signal == "metrics" and item_runner(spec, "metric", opt, my) or nil,
      item = item_runner(spec, signal == "metrics" and "point" or "log", opt, my),
    }
  end
  if when then error(("%s%s: of %s it redacts whole bodies: true or false, without a match"):format(script.place(c), tostring(c), signal), 0) end
  return { redacts = true }
end

local function prepare(c, on, errors, names)
  local scope = cells.scope("processor " .. script.name_of(c))
  local spec = script.declaring(scope, kind.spec_of, c)
  check_place(c, spec, on)
  local values, fields = kind.read_options(c, spec, errors)
  if not values then return nil end
  local name = values.name or c.name
  kind.check_name(c, name, names)
  local opt, check = script.frozen_options(values, fields)
  local ok, my = script.protected(script.set_up, scope, spec, opt, check)
  if not ok then error(script.place(c) .. tostring(c) .. ": " .. tostring(my), 0) end
  local asked = signals_of(c, spec, values)
  local at_body = on == "received" and spec.body
  local bodies = spec.body and body_redaction(c, spec, opt, my, at_body and values)
  local ready = {
    name = name,
    type = c.type,
    when = matcher(values.when),
    redaction = at_body and asked.traces and bodies or nil,
    bodies = bodies or nil,
    redacts_spans = not at_body and asked.traces and not has_functions(spec, "traces") and bodies or nil,
    span = not at_body and asked.traces and span_runner(spec, opt, my) or nil,
    trace = not at_body and asked.traces and trace_runner(spec, opt, my) or nil,
    on_error = spec.on_error or "pass",
    where = script.where(spec.span or spec.trace or spec.log or spec.point or spec.metric or spec.resource or spec.body),
  }
  for _, signal in ipairs { "metrics", "logs" } do
    ready[signal] = asked[signal] and items_of(c, spec, opt, my, values, signal) or nil
  end
  return ready
end

-- The list of processors -> list of those in Lua, or nil and all errors, a line each.
function M.prepare(list, on)
  local errors, names, ready = {}, {}, {}
  for _, c in ipairs(list or {}) do
    if c.type ~= "resource" or on == "received" then -- "resource" is in C, for all signals
      local ok, result = script.protected(prepare, c, on, errors, names)
      if ok then
        ready[#ready + 1] = result
      else
        errors[#errors + 1] = tostring(result)
      end
    end
  end
  if #errors > 0 then return nil, table.concat(errors, "\n") end
  return ready
end

return M
