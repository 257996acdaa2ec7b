-- Policies: what their files return, their options, and the function that C calls for each trace.
local access = require "moontail.access"
local api = require "moontail.api"
local asked = require "moontail.asked"
local cells = require "moontail.cells"
local chain_lint = require "moontail.chain_lint"
local component = require "moontail.component"
local lint = require "moontail.lint"
local locate = require "moontail.locate"
local match = require "moontail.match"
local schema = require "moontail.schema"
local script = require "moontail.script"
local verdict = require "moontail.verdict"
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
    if spec.decide and spec.says then return "a policy has decide or says, not both" end
    if not spec.decide and not spec.says then return "a policy needs decide = function(trace, opt, my) ... end" end
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

-- A chain looks at the guards itself; this is for whoever asks one policy: others, and tests.
local ASK_GUARDED = [[
local ask, holds, reader, first, second = ...
return function(number)
  if holds(reader, first) and (second == nil or holds(reader, second)) then return ask(number) end
end]]

local function guarded(ask, guards)
  if not guards[1] then return ask end
  return loadstring(ASK_GUARDED, "=policy")(ask, access.holds, access.reader, guards[1], guards[2])
end

-- The matchers that hold on each trace that it is asked about: of its file, then of its instance.
local function guards_of(spec, opt, my, when)
  local of_file = spec.when and spec.when(opt, my)
  if of_file ~= nil and not match.is_of_undecided(of_file) then
    error("when returned a " .. type(of_file) .. "; allowed: a match{} without decision fields, or nil", 0)
  end
  local guards = {}
  guards[1] = of_file
  guards[#guards + 1] = when
  return guards
end

-- What it says without being asked, or nil.
local function verdict_of(spec, opt, my)
  if not spec.says then return nil end
  local said = spec.says(opt, my)
  if not verdict.votes[said or false] then error("says returned a " .. type(said) .. "; allowed: a verdict", 0) end
  return said
end

local function plain_ask(spec, opt, my, said)
  if said then return function() return said end end
  return loadstring(ASK, "=policy")(spec.decide, opt, my, access.Trace, setmetatable)
end

local function says_always(spec, source, opt, my, said)
  if spec.when then return nil end
  if said then return chain_lint.kind_of(said) end
  return chain_lint.says_always(spec.decide, source, opt, my)
end

-- What becomes of a spec whose options are known: { my, guards, said }.
local function set_up(scope, spec, opt, check, when)
  local my = script.set_up(scope, spec, opt, check)
  local guards = guards_of(spec, opt, my, when)
  local said = verdict_of(spec, opt, my)
  check()
  return { my = my, guards = guards, said = said }
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
  local ok, made = script.protected(set_up, scope, spec, opt, check, when)
  if not ok then error(script.place(c) .. tostring(c) .. ": " .. tostring(made), 0) end
  asked.leave(before)
  local my, said = made.my, made.said
  local ask = plain_ask(spec, opt, my, said)
  return {
    name = as.name,
    own_name = name,
    type = c.type,
    ask = guarded(ask, made.guards),
    plain_ask = ask,
    guards = made.guards,
    says = said,
    where = script.where(spec.decide or spec.says),
    when = when,
    place = script.place(c),
    always = not owner and says_always(spec, source, opt, my, said) or nil,
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
      local ok, result = script.protected(prepare, c, errors, names)
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
