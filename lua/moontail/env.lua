-- The environment of scripts: what they may call, and a clear error for the rest.
local ffi = require "ffi"
local host = require "moontail.host"

local env = {}

local MAX_REP = 64 * 1024

local function names_of(t)
  local list = {}
  for name in pairs(t) do
    if type(name) == "string" then list[#list + 1] = name end
  end
  table.sort(list)
  return list
end

-- " (did you mean 'keep'?)" or "".
function env.hint(name, known)
  local near = type(name) == "string" and host.nearest(name, rawget(known, 1) and known or names_of(known))
  return near and (" (did you mean '" .. near .. "'?)") or ""
end

-- The arguments as texts, a space between them: a line of a log.
function env.line_of(...)
  local parts = {}
  for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
  return table.concat(parts, " ")
end

-- A view of `t` that can't be written and raises for a name that is not there.
-- The view is empty: reads pass to `t`, then to the error. Compiled code pays nothing for it.
function env.frozen(t, what)
  setmetatable(t, {
    __index = function(_, name)
      error(what .. " has no '" .. tostring(name) .. "'" .. env.hint(name, t), 2)
    end,
  })
  return setmetatable({}, {
    __index = t,
    __newindex = function(_, name) error(what .. " can't be changed: '" .. tostring(name) .. "'", 2) end,
    __metatable = false,
  })
end

-- The same of what `load` gives, which is asked for it when a script first reads of it.
function env.lazy(load, what)
  local meta = { __metatable = false }
  meta.__index = function(_, name)
    local t = load()
    env.frozen(t, what)
    meta.__index = t
    local value = rawget(t, name)
    if value == nil then error(what .. " has no '" .. tostring(name) .. "'" .. env.hint(name, t), 2) end
    return value
  end
  meta.__newindex = function(_, name) error(what .. " can't be changed: '" .. tostring(name) .. "'", 2) end
  return setmetatable({}, meta)
end

local function pick(from, names)
  local t = {}
  for name in names:gmatch "%S+" do t[name] = from[name] end
  return t
end

-- Functions that work long without a loop of the script's are bounded: in what they take, or by a
-- look at the clock before and after.
local look = host.look
local LOOK_BYTES = 4096
local MOVES_MAX, SORT_MAX = 10000, 10000

local strings = pick(string, "byte char len sub")
for name, fn in pairs(host.patterns) do strings[name] = fn end

-- Short plain searches are compiled.
local plain_find, bounded_find = string.find, host.patterns.find
function strings.find(s, what, init, plain)
  if plain and type(s) == "string" and type(what) == "string" and #s * #what <= LOOK_BYTES then
    return plain_find(s, what, init, true)
  end
  return bounded_find(s, what, init, plain)
end

env.find = strings.find

local function looking(fn)
  return function(s, ...)
    if type(s) == "string" and #s > LOOK_BYTES then look() end
    return fn(s, ...)
  end
end

strings.lower, strings.upper, strings.reverse = looking(string.lower), looking(string.upper), looking(string.reverse)

local rep = string.rep
function strings.rep(s, n)
  if #s * n > MAX_REP then error("string.rep would make more than 64 KiB", 2) end
  if #s * n > LOOK_BYTES then look() end
  return rep(s, n)
end

local format = string.format
function strings.format(...)
  local made = format(...)
  if #made > LOOK_BYTES then look() end
  return made
end

local tables = {}

local CONCAT_MAX = 10000

-- Pieces of a long one, so that none of them takes long.
local concat = table.concat
local function concat_pieces(t, separator, first, last)
  local pieces = {}
  for at = first, last, CONCAT_MAX do
    look()
    pieces[#pieces + 1] = concat(t, separator, at, at + CONCAT_MAX - 1 < last and at + CONCAT_MAX - 1 or last)
  end
  return concat(pieces, separator)
end

function tables.concat(t, separator, first, last)
  if type(t) == "table" then
    local from, to = first or 1, last or #t
    if type(from) == "number" and type(to) == "number" and to - from >= CONCAT_MAX then
      return concat_pieces(t, separator, from, to)
    end
  end
  local made = concat(t, separator, first, last)
  if #made > LOOK_BYTES then look() end
  return made
end

-- Moving the elements of a table behind `at`. What is no place in one is an int to the library all the same,
-- and one far in front of it.
local function check_moves(t, at, what)
  local place = tonumber(at)
  if type(t) ~= "table" or not place then return end -- it says so itself
  if not (place > -2 ^ 31 and place < 2 ^ 31) then error("table." .. what .. " takes a place in the table, not " .. tostring(at), 3) end
  local count = #t - place
  if count > MOVES_MAX then error("table." .. what .. " would move more than " .. MOVES_MAX .. " elements", 3) end
  if count > 100 then look() end
end

-- These write past metatables: what has one is ours, since scripts can't give any.
local function check_plain(t, what)
  if getmetatable(t) ~= nil then error("table." .. what .. " takes a plain table; this can't be changed", 3) end
end

local insert = table.insert
function tables.insert(t, ...)
  check_plain(t, "insert")
  if select("#", ...) ~= 2 then return insert(t, ...) end
  local at, value = ...
  check_moves(t, at, "insert")
  return insert(t, at, value)
end

local remove = table.remove
function tables.remove(t, ...)
  check_plain(t, "remove")
  local at = ...
  check_moves(t, at, "remove")
  return remove(t, ...)
end

-- A comparison of long strings is work of its own.
local function looking_less(a, b)
  if type(a) == "string" and #a > LOOK_BYTES then look() end
  return a < b
end

local function has_long_strings(t)
  for i = 1, #t do
    local one = t[i]
    if type(one) == "string" and #one > LOOK_BYTES then return true end
  end
  return false
end

local sort = table.sort
function tables.sort(t, less)
  check_plain(t, "sort")
  if type(t) == "table" then
    if #t > SORT_MAX then error("table.sort takes " .. SORT_MAX .. " elements at most", 2) end
    if less == nil and has_long_strings(t) then less = looking_less end
  end
  look()
  return sort(t, less)
end

-- What reads a long string to its end.
local to_number = tonumber
local function looking_tonumber(value, base)
  if type(value) == "string" and #value > LOOK_BYTES then look() end
  return to_number(value, base)
end

-- An error passes all that are open, and each takes its time: over the budget all of them raise.
-- The count is C's, which begins anew with each call of a script.
local PCALLS_MAX = 200
local pcalls = ffi.cast("int *", host.pcalls)

local function left(...)
  pcalls[0] = pcalls[0] - 1
  return ...
end

local protected = pcall
local function bounded_pcall(fn, ...)
  if pcalls[0] >= PCALLS_MAX then error("more than " .. PCALLS_MAX .. " calls of pcall in each other", 2) end
  pcalls[0] = pcalls[0] + 1
  return left(protected(fn, ...))
end

local libraries = {
  string = env.frozen(strings, "string"),
  table = env.frozen(tables, "table"),
  math = env.frozen(
    pick(math, "abs acos asin atan atan2 ceil cos cosh deg exp floor fmod frexp huge ldexp log log10 max min modf pi pow rad sin sinh sqrt tan tanh"),
    "math"
  ),
}

-- "text":method() sees the bounded functions too, and the real table stays out of reach.
local string_metatable = getmetatable ""
string_metatable.__index = libraries.string
string_metatable.__metatable = false

function env.new()
  local t = pick(_G, "assert error ipairs next pairs select tostring type unpack")
  t.pcall, t.tonumber = bounded_pcall, looking_tonumber
  for name, library in pairs(libraries) do t[name] = library end
  return t
end

function env.seal(t)
  local names = {}
  for name, value in pairs(t) do names[name] = value end
  for name in pairs(names) do t[name] = nil end
  setmetatable(names, {
    __index = function(_, name)
      error("there is no '" .. tostring(name) .. "'" .. env.hint(name, names), 2)
    end,
  })
  return setmetatable(t, {
    __index = names,
    __newindex = function(_, name)
      if rawget(names, name) ~= nil then error("'" .. tostring(name) .. "' can't be assigned", 2) end
      error("'" .. tostring(name) .. "' is not declared: write 'local " .. tostring(name) .. "'", 2)
    end,
    __metatable = false,
  })
end

return env
