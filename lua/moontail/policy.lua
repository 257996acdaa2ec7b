-- Policies: what their files return, their options, and the function that C calls for each trace.
local access = require "moontail.access"
local api = require "moontail.api"
local bytes = require "moontail.bytes"
local cells = require "moontail.cells"
local component = require "moontail.component"
local core = require "moontail.policy_core"
local env = require "moontail.env"
local lint = require "moontail.lint"
local match = require "moontail.match"
local option = require "moontail.option"
local schema = require "moontail.schema"
local text = require "moontail.text"
local verdict = require "moontail.verdict"
local vote = require "moontail.vote"

local M = {}

local KEYS = {}
for _, field in ipairs(api.policy_spec) do KEYS[field[1]] = field[4] end

local RESERVED = {
  when = option.api.match { optional = true, doc = "asked only about traces with a span that matches" },
  name = option.api.string { optional = true, doc = "instead of the one before the options; labels the metrics" },
}

local specs = setmetatable({}, { __mode = "k" })

-- Where what is wrong with `spec` was written is the caller's to say.
local function spec_error(spec, inline)
  for key, value in pairs(spec) do
    local wanted = KEYS[key] or (inline and key == "name" and "string")
    if not wanted then return "unknown policy field '" .. tostring(key) .. "'" .. env.hint(key, KEYS) end
    if type(value) ~= wanted then
      return ("policy field '%s' is a %s; allowed: a %s"):format(key, type(value), wanted)
    end
  end
  if not spec.decide then return "a policy needs decide = function(trace, opt, my) ... end" end
  for name, made in pairs(spec.options or {}) do
    if type(name) ~= "string" or not name:find "^[%a_][%w_]*$" then return "an option is named by a string like threshold_ms" end
    if RESERVED[name] then return "every policy has the option '" .. name .. "' already" end
    if not option.is(made) then return "option '" .. name .. "' is made by option.number { ... } and the like" end
  end
end

-- The global `policy` of a policy's file.
local function policy_of_file(spec)
  if type(spec) ~= "table" then error("policy takes a table: policy { doc = \"...\", decide = function(trace, opt, my) ... end }", 2) end
  specs[spec] = true
  return spec
end

local implementations = { option = option.api, text = text, vote = vote.vote }
for _, part in ipairs { match.api, cells.api, verdict.api, bytes.api } do
  for name, fn in pairs(part) do implementations[name] = fn end
end

local function add_globals(target)
  for _, name in ipairs(api.global_names()) do
    target[name] = implementations[name]
    if target[name] == nil then error("the global '" .. name .. "' is documented and missing", 0) end
  end
end
M.implementations = implementations -- for the test that holds them and the table together

-- The script API in an environment that is still open: `policy` as config.lua has it.
function M.install(target)
  add_globals(target)
  target.policy = component.constructor "policy"
end

local function environment()
  local target = env.new()
  add_globals(target)
  target.policy = policy_of_file
  return env.seal(target)
end

local function place(c)
  if not c.file then return "" end
  return c.file .. ":" .. (c.line and c.line .. ": " or " ")
end

local hints = {} -- once each
local hinted = {}

local function add_hints(name, source)
  if hinted[name] then return end
  hinted[name] = true
  for _, found in ipairs(lint.reasons(source)) do hints[#hints + 1] = name .. ":" .. found[1] .. ": " .. found[2] .. "\n" end
end

-- What is allowed and may not be meant, a line each, since the last call.
function M.take_hints()
  local lines = table.concat(hints)
  hints, hinted = {}, {}
  return lines
end

-- Each instance runs its file anew, so that instances share no locals (and no compiled code).
local function spec_of(c)
  if c.spec then
    local wrong = spec_error(c.spec, true)
    if wrong then error(place(c) .. tostring(c) .. ": " .. wrong, 0) end
    return c.spec
  end
  local chunk, name, source = core.load_script(c.type, environment())
  if not chunk then error(place(c) .. name, 0) end
  add_hints(name, source)
  local spec = chunk()
  if not specs[spec or false] then error(name .. ": the file must return policy { ... }", 0) end
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

local function frozen_copy(list)
  local copy = {}
  for key, value in pairs(list) do copy[key] = value end
  return setmetatable(copy, {
    __newindex = function(_, key) error("an option can't be changed: '" .. tostring(key) .. "'", 2) end,
    __metatable = false,
  })
end

-- What decide and setup get: reads options that are not given as nil, raises for other names. Lists
-- and maps are a fresh copy at each read, so that nothing can be kept in them.
local function frozen_options(values, fields)
  local known, plain, copied = {}, {}, {}
  for name in pairs(fields) do known[name] = true end
  for name, value in pairs(values) do
    local into = type(value) == "table" and not debug.getmetatable(value) and copied or plain
    into[name] = value
  end
  setmetatable(plain, {
    __index = function(_, name)
      if copied[name] then return frozen_copy(copied[name]) end
      if not known[name] then error("opt has no '" .. tostring(name) .. "'" .. env.hint(name, known), 2) end
    end,
  })
  return setmetatable({}, {
    __index = plain,
    __newindex = function(_, name) error("opt can't be changed: '" .. tostring(name) .. "'", 2) end,
    __metatable = false,
  })
end

-- Compiled anew for every policy: the compiler's traces belong to a function's code.
local ASK = [[
local decide, opt, my, Trace, setmetatable = ...
return function(number)
  return decide(setmetatable({ 0, number }, Trace), opt, my)
end]]

local ASK_WHEN = [[
local decide, opt, my, Trace, setmetatable, find, reader, when = ...
return function(number)
  if find(reader, when) >= 0 then
    return decide(setmetatable({ 0, number }, Trace), opt, my)
  end
end]]

local function runner(spec, opt, my, when)
  if when then
    return loadstring(ASK_WHEN, "=policy")(spec.decide, opt, my, access.Trace, setmetatable, access.find, access.reader, when)
  end
  return loadstring(ASK, "=policy")(spec.decide, opt, my, access.Trace, setmetatable)
end

local function check_name(c, name, names)
  if name == "default" or name == "none" then error(place(c) .. "'" .. name .. "' can't name a policy: it is a label of its own", 0) end
  if names[name] then
    error(place(c) .. "two policies are called '" .. name .. "': write policy \"" .. c.type .. "/SOMETHING\" { ... }", 0)
  end
  names[name] = true
end

-- The policies that a policy takes as options, each ready for vote().
local function prepare_inner(run, fields, owner, prepare)
  for option_name, field in pairs(fields) do
    local list = field.type == "policies" and run.values[option_name]
    local names, ready = {}, {}
    for i, inner in ipairs(list or {}) do ready[i] = vote.policy(prepare(inner, names, owner)) end
    if list then run.values[option_name] = ready end
  end
end

local MAX_DEPTH = 8 -- of policies in policies

-- owner: { name, depth } of the policy that takes this one as an option, or nil.
-- What the component `c` is called, as far as that can be known before its file has run.
local function full_name_of(c, owner)
  local name = type(c.options) == "table" and c.options.name or c.name
  return owner and (owner.name .. ">" .. tostring(name)) or tostring(name)
end

-- What `fn` gives, with its limits and the like declared in `scope`.
local function declaring(scope, fn, ...)
  local before = cells.enter(scope)
  local result = fn(...)
  cells.enter(before)
  return result
end

local prepare
function prepare(c, errors, names, owner)
  if owner and owner.depth == MAX_DEPTH then error(place(c) .. tostring(c) .. " stands in more than 8 other policies", 0) end
  local scope = cells.scope(full_name_of(c, owner))
  local spec = declaring(scope, spec_of, c)
  local fields = fields_of(spec)
  local run = schema.check(c.options, fields, component.where(c, { durations = "ms" }))
  for _, sentence in ipairs(run.errors) do errors[#errors + 1] = sentence end
  if #run.errors > 0 then return nil end
  local when, name = run.values.when, run.values.name or c.name
  if when and not match.for_policies(when) then
    error(place(c) .. tostring(c) .. ": when asks for decision or trace fields, which only an exporter's where knows", 0)
  end
  check_name(c, name, names)
  local full_name = owner and (owner.name .. ">" .. name) or name
  prepare_inner(run, fields, { name = full_name, depth = owner and owner.depth + 1 or 1 }, function(inner, inner_names, as)
    local ready = prepare(inner, errors, inner_names, as)
    if not ready then error(nil, 0) end -- its errors have been said
    return ready
  end)
  local opt = frozen_options(run.values, fields)
  local my = spec.setup and declaring(scope, spec.setup, opt) or nil
  local where = debug.getinfo(spec.decide, "S")
  return {
    name = full_name,
    type = c.type,
    ask = runner(spec, opt, my, when),
    where = where.short_src .. ":" .. where.linedefined, -- errors raised by a tail call have no line
  }
end

-- The list of policies -> list of { name, type, ask }, or nil and all errors, a line each.
function M.prepare(list)
  local errors, names, ready = {}, {}, {}
  if type(list) ~= "table" or #list == 0 then
    return nil, "tail_sampling.policies is empty: write policies = { policy \"always_sample\" } to keep everything"
  end
  for i, c in ipairs(list) do
    if not component.is(c, "policy") then
      errors[#errors + 1] = "tail_sampling.policies[" .. i .. "] is " .. schema.show(c) .. "; allowed: policy \"NAME\" { ... }"
    else
      local ok, result = pcall(prepare, c, errors, names)
      cells.enter(nil) -- also after an error
      if ok then
        ready[#ready + 1] = result
      elseif result ~= nil then
        errors[#errors + 1] = tostring(result)
      end
    end
  end
  if #errors > 0 then return nil, table.concat(errors, "\n") end
  return ready
end

-- For processors, whose scripts see the same.
M.add_globals, M.place, M.frozen_options = add_globals, place, frozen_options

return M
