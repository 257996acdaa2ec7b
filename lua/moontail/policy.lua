-- Policies: what their files return, their options, and the function that C calls for each trace.
local access = require "moontail.access"
local api = require "moontail.api"
local asked = require "moontail.asked"
local cells = require "moontail.cells"
local chain_lint = require "moontail.chain_lint"
local component = require "moontail.component"
local lint = require "moontail.lint"
local locate = require "moontail.locate"
local schema = require "moontail.schema"
local script = require "moontail.script"
local vote = require "moontail.vote"

local M = {}

local KEYS = {}
for _, field in ipairs(api.policy_spec) do KEYS[field[1]] = field[4] end

local kind = script.kind {
  name = "policy",
  plural = "policies",
  keys = KEYS,
  example = 'policy { doc = "...", decide = function(trace, opt, my) ... end }',
  an_option = "threshold_ms",
  asked = "asked only about traces with a span that matches",
  labels = { default = true, none = true },
  check = function(spec)
    if not spec.decide then return "a policy needs decide = function(trace, opt, my) ... end" end
  end,
}

-- The script API in an environment that is still open: `policy` as config.lua has it.
function M.install(target)
  script.add_globals(target)
  target.policy = component.constructor "policy"
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

-- The policies that a policy takes as options, each ready for vote().
local function prepare_inner(values, fields, prepare_one)
  for option_name, field in pairs(fields) do
    local list = field.type == "policies" and values[option_name]
    local names, ready = {}, {}
    for i, inner in ipairs(list or {}) do ready[i] = vote.policy(prepare_one(inner, names)) end
    if list then values[option_name] = ready end
  end
end

local MAX_DEPTH = 8 -- of policies in policies

-- What it is called: the policies that it stands in come first.
local function full_name(name, owner) return owner and (owner.name .. ">" .. name) or name end

-- owner: { name, depth } of the policy that takes this one as an option, or nil.
local function prepare(c, errors, names, owner)
  if owner and owner.depth == MAX_DEPTH then error(script.place(c) .. tostring(c) .. " stands in more than 8 other policies", 0) end
  local scope = cells.scope(full_name(script.name_of(c), owner))
  local source = c.spec and locate.text()
  local before = asked.enter(script.place(c) .. tostring(c) .. ":")
  local spec = script.declaring(scope, kind.spec_of, c, function(name, text)
    source = text
    add_hints(name, text)
    asked.read(name, text)
  end)
  local values, fields = kind.read_options(c, spec, errors)
  if not values then return nil end
  local name, when = values.name or c.name, values.when
  kind.check_name(c, name, names)
  local as = { name = full_name(name, owner), depth = owner and owner.depth + 1 or 1 }
  prepare_inner(values, fields, function(inner, inner_names)
    local ready = prepare(inner, errors, inner_names, as)
    if not ready then error(nil, 0) end -- its errors have been said
    return ready
  end)
  local opt, check = script.frozen_options(values, fields)
  local ok, my = pcall(script.set_up, scope, spec, opt, check)
  if not ok then error(script.place(c) .. tostring(c) .. ": " .. tostring(my), 0) end
  asked.leave(before)
  return {
    name = as.name,
    type = c.type,
    ask = runner(spec, opt, my, when),
    where = script.where(spec.decide),
    when = when,
    place = script.place(c),
    always = not owner and chain_lint.says_always(spec.decide, source, opt, my) or nil,
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
      asked.leave(nil)
      local ok, result = pcall(prepare, c, errors, names)
      if ok then
        ready[#ready + 1] = result
      elseif result ~= nil then
        errors[#errors + 1] = tostring(result)
      end
    end
  end
  asked.leave(nil)
  if #errors > 0 then return nil, table.concat(errors, "\n") end
  for _, line in ipairs(chain_lint.check(ready)) do hints[#hints + 1] = line .. "\n" end
  return ready
end

return M
