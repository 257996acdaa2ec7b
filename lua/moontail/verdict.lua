-- keep, drop, sample, at_least: verdicts are immutable, and one of each is made.
local core = require "moontail.policy_core"

local type, error, tostring = type, error, tostring
local new = core.verdict_new

-- enum verdict_kind
local KEEP, DROP, SAMPLE, AT_LEAST = 0, 1, 2, 3
-- What vote() makes of each: held no longer than the verdict itself.
local votes = setmetatable({}, { __mode = "k" })

local function made(kind, p, reason)
  local one = new(kind, p, reason)
  votes[one] = kind == KEEP and 1 or kind == SAMPLE and p or 0
  return one
end

local MANY = 1000 -- as many different ones are remembered; then they are forgotten and made again

local function check_reason(reason)
  if reason ~= nil and type(reason) ~= "string" then
    error("a reason is a string, not " .. type(reason), 3)
  end
end

local function certain(kind)
  local plain, by_reason, count = made(kind, 0, nil), {}, 0
  return function(reason)
    if reason == nil then return plain end
    local known = by_reason[reason]
    if known then return known end
    check_reason(reason)
    if count == MANY then by_reason, count = {}, 0 end
    known = made(kind, 0, reason)
    by_reason[reason], count = known, count + 1
    return known
  end
end

local function check_probability(p)
  if type(p) ~= "number" then error("a probability is a number from 0 to 1, not " .. type(p), 3) end
  if p >= 0 and p <= 1 then return end
  local hint = p > 1 and p <= 100 and (": did you mean %.2f?"):format(p / 100) or ""
  error(tostring(p) .. " is not a probability" .. hint, 3)
end

local function sampled(kind)
  local by_p, count = {}, 0
  return function(p, reason)
    if type(p) ~= "number" then check_probability(p) end
    local key = reason or false
    -- Keys that are no places of an array: code that mixes both can't be compiled.
    local at = p ~= 0 and -p or "none"
    local reasons = by_p[at]
    local known = reasons and reasons[key]
    if known then return known end
    check_probability(p)
    check_reason(reason)
    if count >= MANY then
      by_p, count = {}, 0
      reasons = nil
    end
    known = made(kind, p, reason)
    if not reasons then
      reasons = {}
      by_p[at] = reasons
    end
    reasons[key], count = known, count + 1
    return known
  end
end

return {
  api = { keep = certain(KEEP), drop = certain(DROP), sample = sampled(SAMPLE), at_least = sampled(AT_LEAST) },
  votes = votes,
}
