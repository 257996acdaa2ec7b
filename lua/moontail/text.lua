-- text.starts and the like: plain strings, no patterns.
local core = require "moontail.policy_core"
local env = require "moontail.env"

local sub, find, lower = string.sub, env.find, string.lower
local type, error = type, error

local function check(s, what)
  if type(s) ~= "string" then error("text." .. what .. " takes strings, not " .. type(s), 3) end
end

local text = {}

function text.starts(s, prefix)
  check(s, "starts")
  check(prefix, "starts")
  return sub(s, 1, #prefix) == prefix
end

function text.ends(s, suffix)
  check(s, "ends")
  check(suffix, "ends")
  return #suffix <= #s and sub(s, #s - #suffix + 1) == suffix
end

function text.contains(s, part)
  check(s, "contains")
  check(part, "contains")
  return find(s, part, 1, true) ~= nil
end

-- * any run, ? one character, \ escapes; the whole of s.
function text.glob(s, pattern)
  check(s, "glob")
  check(pattern, "glob")
  return core.glob(pattern, s)
end

function text.lower(s)
  check(s, "lower")
  return lower(s)
end

-- The parts of s between separators.
function text.split(s, separator)
  check(s, "split")
  check(separator, "split")
  if separator == "" then error("text.split takes a separator that is not empty", 2) end
  local parts, at = {}, 1
  while true do
    local from, to = find(s, separator, at, true)
    if not from then break end
    parts[#parts + 1] = sub(s, at, from - 1)
    at = to + 1
  end
  parts[#parts + 1] = sub(s, at)
  return parts
end

return env.frozen(text, "text")
