-- Processors: what their files return, their options, and the functions that C calls for a span.
local access = require "moontail.access"
local cells = require "moontail.cells"
local edit = require "moontail.edit"
local script = require "moontail.script"

local M = {}

local KEYS = { doc = "string", options = "table", setup = "function", on = "string", trace = "function", span = "function", body = "function", on_error = "string" }
M.keys = KEYS -- for the test that holds them and the table of the API together
local ON = { received = true, kept = true }
local ON_ERROR = { pass = true, strip = true, drop = true }

local kind = script.kind {
  name = "processor",
  plural = "processors",
  keys = KEYS,
  example = 'processor { doc = "...", on = "kept", span = function(span, opt, my) ... end }',
  an_option = "max_bytes",
  asked = "asked only about spans that match",
  labels = { head_sampling = true },
  check = function(spec)
    if not ON[spec.on] then return 'a processor needs on = "received" (may drop spans at the door) or on = "kept" (edits kept ones)' end
    if not spec.span and not spec.trace then return "a processor needs span = function(span, opt, my) ... end" end
    if spec.body and spec.on ~= "kept" then return 'body = function... lets one that is on = "kept" stand in processors.received too' end
    if spec.on_error and not ON_ERROR[spec.on_error] then return "on_error is '" .. spec.on_error .. "'; allowed: pass, strip, drop" end
    if spec.on == "received" and spec.trace then return 'on = "received" sees no trace: trace = function... is for on = "kept"' end
    if spec.on == "received" and spec.on_error == "strip" then return 'on_error = "strip" edits a span: with on = "received" it can only pass or drop' end
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

local function span_runner(spec, opt, my)
  if not spec.span then return nil end
  local kept = spec.on == "kept"
  return loadstring(SPAN, "=processor")(spec.span, opt, my, kept and edit.Span or access.Span, kept and access.Trace or nil, setmetatable)
end

local function trace_runner(spec, opt, my)
  return spec.trace and loadstring(TRACE, "=processor")(spec.trace, opt, my, access.Trace, setmetatable)
end

local function check_place(c, spec, on)
  if spec.on == on or spec.body and on == "received" then return end
  error(("%s%s is on = \"%s\"; write it in processors.%s"):format(script.place(c), tostring(c), spec.on, spec.on), 0)
end

-- At the door it is C that edits, whole bodies by what `body` gives: many spans share a resource.
local function body_redaction(c, spec, opt, my, values)
  if values.when then error(script.place(c) .. tostring(c) .. ": in processors.received it redacts whole bodies: it takes no when", 0) end
  local ok, made = pcall(spec.body, opt, my)
  if ok and type(made) == "userdata" and getmetatable(made) == "redaction" then return made end
  error(script.place(c) .. tostring(c) .. ": " .. (ok and "body returned no redaction { ... }" or tostring(made)), 0)
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
  local ok, my = pcall(script.set_up, scope, spec, opt, check)
  if not ok then error(script.place(c) .. tostring(c) .. ": " .. tostring(my), 0) end
  local at_body = on == "received" and spec.body
  return {
    name = name,
    type = c.type,
    when = values.when,
    redaction = at_body and body_redaction(c, spec, opt, my, values) or nil,
    span = not at_body and span_runner(spec, opt, my) or nil,
    trace = not at_body and trace_runner(spec, opt, my) or nil,
    on_error = spec.on_error or "pass",
    where = script.where(spec.span or spec.trace),
  }
end

-- The list of processors -> list of those in Lua, or nil and all errors, a line each.
function M.prepare(list, on)
  local errors, names, ready = {}, {}, {}
  for _, c in ipairs(list or {}) do
    if c.type ~= "resource" or on == "received" then -- "resource" is in C, for all signals
      local ok, result = pcall(prepare, c, on, errors, names)
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
