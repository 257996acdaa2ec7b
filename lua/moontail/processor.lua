-- Processors: what their files return, their options, and the functions that C calls for a span.
local access = require "moontail.access"
local cells = require "moontail.cells"
local component = require "moontail.component"
local core = require "moontail.policy_core"
local edit = require "moontail.edit"
local env = require "moontail.env"
local match = require "moontail.match"
local option = require "moontail.option"
local policy = require "moontail.policy"
local schema = require "moontail.schema"

local M = {}

local KEYS = { doc = "string", options = "table", setup = "function", on = "string", trace = "function", span = "function", on_error = "string" }
M.keys = KEYS -- for the test that holds them and the table of the API together
local ON = { received = true, kept = true }
local ON_ERROR = { pass = true, strip = true, drop = true }
local RESERVED = {
  when = option.api.match { optional = true, doc = "asked only about spans that match" },
  name = option.api.string { optional = true, doc = "instead of the one before the options; labels the metrics" },
}

local specs = setmetatable({}, { __mode = "k" })

local function check_together(spec)
  if not ON[spec.on] then return 'a processor needs on = "received" (may drop spans at the door) or on = "kept" (edits kept ones)' end
  if not spec.span and not spec.trace then return "a processor needs span = function(span, opt, my) ... end" end
  if spec.on_error and not ON_ERROR[spec.on_error] then return "on_error is '" .. spec.on_error .. "'; allowed: pass, strip, drop" end
  if spec.on == "received" and spec.trace then return 'on = "received" sees no trace: trace = function... is for on = "kept"' end
  if spec.on == "received" and spec.on_error == "strip" then return 'on_error = "strip" edits a span: with on = "received" it can only pass or drop' end
end

local function option_error(name, made)
  if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" then return "an option is named by a string like max_bytes" end
  if RESERVED[name] then return "every processor has the option '" .. name .. "' already" end
  if not option.is(made) then return "option '" .. name .. "' is made by option.number { ... } and the like" end
end

-- Where what is wrong with `spec` was written is the caller's to say.
local function spec_error(spec, inline)
  for key, value in pairs(spec) do
    local wanted = KEYS[key] or (inline and key == "name" and "string")
    if not wanted then return "unknown processor field '" .. tostring(key) .. "'" .. env.hint(key, KEYS) end
    if type(value) ~= wanted then return ("processor field '%s' is a %s; allowed: a %s"):format(key, type(value), wanted) end
  end
  for name, made in pairs(spec.options or {}) do
    local wrong = option_error(name, made)
    if wrong then return wrong end
  end
  return check_together(spec)
end

-- The global `processor` of a processor's file.
local function processor_of_file(spec)
  if type(spec) ~= "table" then error("processor takes a table: processor { doc = \"...\", on = \"kept\", span = function(span, opt, my) ... end }", 2) end
  specs[spec] = true
  return spec
end

local function environment()
  local target = env.new()
  policy.add_globals(target)
  target.policy = nil
  target.processor = processor_of_file
  return env.seal(target)
end

-- Each instance runs its file anew, so that instances share no locals (and no compiled code).
local function spec_of(c)
  if c.spec then
    local wrong = spec_error(c.spec, true)
    if wrong then error(policy.place(c) .. tostring(c) .. ": " .. wrong, 0) end
    return c.spec
  end
  local chunk, name = core.load_script(c.type, environment(), "processor")
  if not chunk then error(policy.place(c) .. name, 0) end
  local spec = chunk()
  if not specs[spec or false] then error(name .. ": the file must return processor { ... }", 0) end
  local wrong = spec_error(spec, false)
  if wrong then error(name .. ": " .. wrong, 0) end
  return spec
end

local function fields_of(spec)
  local fields = {}
  for name, field in pairs(spec.options or {}) do fields[name] = field end
  for name, field in pairs(RESERVED) do fields[name] = field end
  return fields
end

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
  if spec.on == on then return end
  error(("%s%s is on = \"%s\"; write it in processors.%s"):format(policy.place(c), tostring(c), spec.on, spec.on), 0)
end

local function check_name(c, name, names)
  if name == "head_sampling" then error(policy.place(c) .. "'head_sampling' can't name a processor: it is a label of its own", 0) end
  if names[name] then
    error(policy.place(c) .. "two processors are called '" .. name .. "': write processor \"" .. c.type .. "/SOMETHING\" { ... }", 0)
  end
  names[name] = true
end

-- What `fn` gives, with its limits and the like declared as this processor's.
local function declaring(c, fn, ...)
  local name = type(c.options) == "table" and c.options.name or c.name
  local before = cells.enter(cells.scope("processor " .. tostring(name)))
  local ok, result = pcall(fn, ...)
  cells.enter(before)
  return ok, result
end

local function prepare(c, on, errors, names)
  local found, spec = declaring(c, spec_of, c)
  if not found then error(spec, 0) end
  check_place(c, spec, on)
  local fields = fields_of(spec)
  local run = schema.check(c.options, fields, component.where(c, { durations = "ms" }))
  for _, sentence in ipairs(run.errors) do errors[#errors + 1] = sentence end
  if #run.errors > 0 then return nil end
  local when, name = run.values.when, run.values.name or c.name
  if when and not match.for_policies(when) then
    error(policy.place(c) .. tostring(c) .. ": when asks for decision or trace fields, which only an exporter's where knows", 0)
  end
  check_name(c, name, names)
  local opt = policy.frozen_options(run.values, fields)
  local ok, my = true, nil
  if spec.setup then ok, my = declaring(c, spec.setup, opt) end
  if not ok then error(policy.place(c) .. tostring(c) .. ": " .. tostring(my), 0) end
  local where = debug.getinfo(spec.span or spec.trace, "S")
  return {
    name = name,
    type = c.type,
    when = when,
    span = span_runner(spec, opt, my),
    trace = trace_runner(spec, opt, my),
    on_error = spec.on_error or "pass",
    where = where.short_src .. ":" .. where.linedefined,
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
