-- assert.same, assert.is_true, assert.has_error and so on, for specs: the words that busted has, as far
-- as they are about values. assert(value, message) stays what it is in Lua.
local M = {}

local MAX_DEPTH, MAX_TEXT = 20, 1000

-- ---- values as text ----

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and (type(a) == "number" or type(a) == "string") then return a < b end
    return type(a) < type(b)
  end)
  return keys
end

local show

local function show_table(map, depth)
  if depth > 4 then return "{ ... }" end
  local parts, length = {}, #map
  for i = 1, length do parts[i] = show(map[i], depth + 1) end
  for _, key in ipairs(sorted_keys(map)) do
    if not (type(key) == "number" and key >= 1 and key <= length and key % 1 == 0) then
      local plain = type(key) == "string" and key:find "^[%a_][%w_]*$"
      parts[#parts + 1] = (plain and key or "[" .. show(key, depth + 1) .. "]") .. " = " .. show(map[key], depth + 1)
    end
  end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

function show(value, depth)
  if type(value) == "string" then return (("%q"):format(value):gsub("\\\n", "\\n")) end
  if type(value) ~= "table" or debug.getmetatable(value) then return tostring(value) end
  return show_table(value, depth or 0)
end

-- A value as Lua text, cut where it is long.
function M.show(value)
  local text = show(value)
  return #text > MAX_TEXT and text:sub(1, MAX_TEXT) .. "..." or text
end

-- ---- what is asserted ----

local function is_same(a, b, depth)
  if a == b or (a ~= a and b ~= b) then return true end
  if type(a) ~= "table" or type(b) ~= "table" or depth > MAX_DEPTH then return false end
  for key, value in pairs(a) do
    if not is_same(value, b[key], depth + 1) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function without_place(message)
  return type(message) == "string" and (message:gsub("^.-:%d+: ", "", 1)) or message
end

-- Each: function(...) -> whether it holds, and what is said where it doesn't, behind "expected".
local known = {}

function known.same(expected, actual)
  return is_same(expected, actual, 0), M.show(expected) .. ", got " .. M.show(actual)
end

function known.equal(expected, actual)
  return expected == actual, M.show(expected) .. ", got " .. M.show(actual)
end

function known.near(expected, actual, tolerance)
  local holds = type(actual) == "number" and math.abs(actual - expected) <= tolerance
  return holds, ("%s +- %s, got %s"):format(M.show(expected), M.show(tolerance), M.show(actual))
end

function known.truthy(value) return value and true or false, "a value that counts as true, got " .. M.show(value) end
function known.falsy(value) return not value, "nil or false, got " .. M.show(value) end

known["true"] = function(value) return value == true, "true, got " .. M.show(value) end
known["false"] = function(value) return value == false, "false, got " .. M.show(value) end
known["nil"] = function(value) return value == nil, "nil, got " .. M.show(value) end

for _, name in ipairs { "string", "number", "boolean", "table", "function", "userdata" } do
  known[name] = function(value) return type(value) == name, "a " .. name .. ", got " .. M.show(value) end
end

function known.match(pattern, value, init, plain)
  local holds = type(value) == "string" and value:find(pattern, init, plain) ~= nil
  return holds, "a text that matches " .. M.show(pattern) .. ", got " .. M.show(value)
end

-- Without a second argument any error will do; a text is compared without its place.
function known.error(fn, expected)
  local ok, message = pcall(fn)
  if ok then return false, "an error, got none" end
  local holds = expected == nil or is_same(expected, message, 0) or expected == without_place(message)
  return holds, (expected == nil and "an error" or "the error " .. M.show(expected)) .. ", got " .. M.show(message)
end

function known.error_match(fn, pattern, init, plain)
  local ok, message = pcall(fn)
  if ok then return false, "an error, got none" end
  local holds = type(message) == "string" and message:find(pattern, init, plain) ~= nil
  return holds, "an error that matches " .. M.show(pattern) .. ", got " .. M.show(message)
end

for other, name in pairs {
  equals = "equal", errors = "error", matches = "match", error_matches = "error_match", errors_match = "error_match",
} do
  known[other] = known[name]
end

-- ---- the words ----

local FILLING = { is = true, are = true, was = true, were = true, has = true, have = true, does = true, a = true, an = true, the = true, be = true }
local NEGATING = { ["not"] = true, no = true }

-- "is_not_same" -> the assertion "same", negated. nil: there is none.
local function parsed(words)
  local name, negated = {}, false
  for word in words:gmatch "[^_]+" do
    if NEGATING[word] then
      negated = not negated
    elseif not FILLING[word] or name[1] then
      name[#name + 1] = word
    end
  end
  return known[table.concat(name, "_")], negated
end

local failure = {} -- the metatable of what a failed assertion raises

function failure:__tostring() return self.message end

-- Whether `value` was raised by an assertion that didn't hold.
function M.is_failure(value) return getmetatable(value) == failure end

local function check(words, ...)
  local assertion, negated = parsed(words)
  if not assertion then
    error(("there is no assert.%s here: `moontail test --busted` has all of busted, where it is installed"):format(words), 3)
  end
  local holds, message = assertion(...)
  if holds == negated then
    error(setmetatable({ message = "expected " .. (negated and "anything but " or "") .. message }, failure), 0)
  end
  return ...
end

local function chain(words)
  return setmetatable({}, {
    __index = function(_, word) return chain(words == "" and word or words .. "_" .. word) end,
    __call = function(_, ...)
      if words == "" then return assert(...) end
      return check(words, ...)
    end,
  })
end

M.assert = chain ""

return M
