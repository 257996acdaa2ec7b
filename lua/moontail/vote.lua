-- Policies that are options of a policy: what they would say, as a number.
local verdict = require "moontail.verdict"

local votes = verdict.votes
local error, type, rawget, getmetatable = error, type, rawget, getmetatable

local asks = setmetatable({}, { __mode = "k" }) -- by what scripts hold

local meta = {
  __kind = "policy_option",
  __metatable = false,
  __index = function(self, key)
    if key == "name" then return asks[self].own_name end
    error("a policy has no '" .. tostring(key) .. "': it is for vote(policy, trace)", 2)
  end,
  __newindex = function(_, key) error("a policy can't be changed: '" .. tostring(key) .. "'", 2) end,
}
function meta.__tostring(self) return "policy '" .. asks[self].name .. "'" end

local M = {}

-- What scripts get for a policy that is ready ({ name, own_name, ask }): its name is without those that it stands in.
function M.policy(ready)
  local handle = {}
  asks[handle] = ready
  return setmetatable(handle, meta)
end

-- keep is 1, sample(p) is p, all else is 0. What it raises is the caller's error.
function M.vote(policy, trace)
  local inner = asks[policy or false]
  if not inner then error("vote takes a policy of the options, not " .. type(policy), 2) end
  if getmetatable(trace) ~= "trace" then error("vote takes a policy and the trace, not " .. type(trace), 2) end
  local said = inner.ask(rawget(trace, 2))
  if said == nil then return 0 end
  local number = votes[said]
  if number then return number end
  error("policy '" .. inner.name .. "' returned a " .. type(said) .. "; allowed: a verdict or nil", 2)
end

return M
