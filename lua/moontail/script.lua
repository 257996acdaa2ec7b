-- What policies and processors have in common: what their files see and return, their options, and
-- what an instance of one is called.
local api = require "moontail.api"
local bytes = require "moontail.bytes"
local cells = require "moontail.cells"
local component = require "moontail.component"
local core = require "moontail.policy_core"
local env = require "moontail.env"
local frozen = require "moontail.frozen"
local host = require "moontail.host"
local match = require "moontail.match"
local option = require "moontail.option"
local ottl_match = require "moontail.ottl_match"
local redaction = require "moontail.redaction"
local schema = require "moontail.schema"
local shape = require "moontail.shape"
local text = require "moontail.text"
local verdict = require "moontail.verdict"
local vote = require "moontail.vote"

local M = {}

local implementations = { option = option.api, text = text, vote = vote.vote }
for _, part in ipairs { match.api, ottl_match.api, redaction.api, shape.api, cells.api, verdict.api, bytes.api } do
  for name, fn in pairs(part) do implementations[name] = fn end
end
M.implementations = implementations -- for the test that holds them and the table together

-- The globals of all scripts.
function M.add_globals(target)
  for _, name in ipairs(api.global_names()) do
    target[name] = implementations[name]
    if target[name] == nil then error("the global '" .. name .. "' is documented and missing", 0) end
  end
end

-- "config.lua:12: ", where the component was written; "" where that is not known.
function M.place(c)
  if not c.file then return "" end
  return c.file .. ":" .. (c.line and c.line .. ": " or " ")
end

-- ---- options ----

M.frozen_options = frozen.options

-- What the component's setup makes of its options, or nil; it must leave them as they are.
function M.set_up(scope, spec, opt, check)
  if not spec.setup then return nil end
  local my = M.declaring(scope, spec.setup, opt)
  check() -- else nobody would hear of it
  return my
end

local function tidied(...)
  host.tidy()
  return ...
end

-- pcall of what a script gave: it leaves room for what is said of it, and for the next one.
function M.protected(fn, ...) return tidied(xpcall(fn, host.placed, ...)) end

-- ---- what a component is called, and what it declares ----

-- Its name, as far as that can be known before its file has run.
function M.name_of(c) return tostring(type(c.options) == "table" and c.options.name or c.name) end

-- What `fn` gives or raises, with its limits and the like declared in `scope`.
function M.declaring(scope, fn, ...)
  local before = cells.enter(scope)
  local ok, result = M.protected(fn, ...)
  cells.enter(before)
  if not ok then error(result, 0) end
  return result
end

-- ---- the kinds ----

-- `of` says what is different between the kinds:
--   name, plural   "policy", "policies": the global of a file, and how one talks of them
--   keys           { decide = "function", ... }: what a file returns, by type
--   example        what to write, where nothing like it was written
--   an_option      a name of an option, as an example
--   asked          what option `when` is about
--   labels         { none = true }: names that are labels of their own
--   signals        { when = "traces", ... }: options that say which items of a signal it is asked about
--   check          function(spec) -> a sentence about what is wrong, or nil
-- The result has spec_of, read_options and check_name.
function M.kind(of)
  local kind, made = {}, setmetatable({}, { __mode = "k" })
  local reserved = {
    when = option.api.match { optional = true, doc = of.asked },
    name = option.api.string { optional = true, doc = "instead of the one before the options; labels the metrics" },
  }
  for key, signal in pairs(of.signals or {}) do
    reserved[key] = { type = "selection", doc = of.asked:gsub("spans", signal == "traces" and "spans" or signal == "metrics" and "data points" or "log records") }
  end

  local function option_error(name, field)
    if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" then return "an option is named by a string like " .. of.an_option end
    if reserved[name] then return "every " .. of.name .. " has the option '" .. name .. "' already" end
    if not option.is(field) then return "option '" .. name .. "' is made by option.number { ... } and the like" end
  end

  -- Where what is wrong with `spec` was written is the caller's to say.
  local function spec_error(spec, inline)
    for key, value in pairs(spec) do
      local wanted = of.keys[key] or (inline and key == "name" and "string")
      if not wanted then return "unknown " .. of.name .. " field '" .. tostring(key) .. "'" .. env.hint(key, of.keys) end
      if type(value) ~= wanted then return ("%s field '%s' is a %s; allowed: a %s"):format(of.name, key, type(value), wanted) end
    end
    local wrong = of.check(spec)
    for name, field in pairs(spec.options or {}) do wrong = wrong or option_error(name, field) end
    return wrong
  end

  -- The global of a file.
  local function of_file(spec)
    if type(spec) ~= "table" then error(of.name .. " takes a table: " .. of.example, 2) end
    made[spec] = true
    return spec
  end

  local function environment()
    local target = env.new()
    M.add_globals(target)
    target[of.name] = of_file
    return env.seal(target)
  end

  -- What the file called `name` returns. Errors that have no line, such as those of memory, say at least the file.
  local function run_file(chunk, name)
    local ok, spec = M.protected(chunk)
    if ok then return spec end
    if type(spec) ~= "string" then spec = "error value of type " .. type(spec) end
    error(spec:find "^[^\n:]+:%d+: " and spec or name .. ": " .. spec, 0)
  end

  -- What the file of component `c` returns, or what was written inline; raises where that is wrong.
  -- `read` (may be nil) is told the file's name and text. Each instance runs its file anew, so that
  -- instances share no locals (and no compiled code).
  function kind.spec_of(c, read)
    if c.spec then
      local wrong = spec_error(c.spec, true)
      if wrong then error(M.place(c) .. tostring(c) .. ": " .. wrong, 0) end
      return c.spec
    end
    local chunk, name, source = core.load_script(c.type, environment(), of.name)
    if not chunk then error(M.place(c) .. name, 0) end
    if read then read(name, source) end
    local spec = run_file(chunk, name)
    if not made[spec or false] then error(name .. ": the file must return " .. of.name .. " { ... }", 0) end
    local wrong = spec_error(spec, false)
    if wrong then error(name .. ": " .. wrong, 0) end
    return spec
  end

  local function check_match(c, key, signal, value)
    if value == nil or type(value) == "boolean" then return end
    if not match.for_policies(value) then
      error(M.place(c) .. tostring(c) .. ": " .. key .. " asks for decision or trace fields, which only an exporter's where knows", 0)
    end
    if not match.is_of(value, signal) then error(M.place(c) .. tostring(c) .. ": " .. key .. " asks for what " .. signal .. " don't have", 0) end
  end

  -- The values of the component's options and their fields; nil: they are wrong, `errors` has why.
  function kind.read_options(c, spec, errors)
    local fields = {}
    for name, field in pairs(spec.options or {}) do fields[name] = field end
    for name, field in pairs(reserved) do fields[name] = field end
    local run = schema.check(c.options, fields, component.where(c, { durations = "ms" }))
    for _, sentence in ipairs(run.errors) do errors[#errors + 1] = sentence end
    if #run.errors > 0 then return nil end
    for key, signal in pairs(of.signals or { when = "traces" }) do check_match(c, key, signal, run.values[key]) end
    return run.values, fields
  end

  -- Puts `name` into `names`; raises where it is there, or can't be. What config.lua's check has
  -- said (is_twice) is not said again.
  function kind.check_name(c, name, names)
    if of.labels[name] then error(M.place(c) .. "'" .. name .. "' can't name a " .. of.name .. ": it is a label of its own", 0) end
    if names[name] and not c.is_twice then
      error(
        ("%stwo %s are called '%s': write %s \"%s/SOMETHING\" { ... }"):format(M.place(c), of.plural, name, of.name, c.type),
        0
      )
    end
    names[name] = true
  end

  return kind
end

-- Where a function was written: errors raised by a tail call have no line.
function M.where(fn)
  local info = debug.getinfo(fn, "S")
  return info.short_src .. ":" .. info.linedefined
end

return M
