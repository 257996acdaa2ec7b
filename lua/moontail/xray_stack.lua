-- Stack traces as their languages print them, as exceptions of X-Ray with frames and causes.
--
-- `compat` is how the collector's exporter reads them; without it what it misses is read too: the language
-- names nodejs and webjs, URLs and drive letters as paths of JavaScript, "direct cause" of Python.
local M = {}

local find, sub, match = string.find, string.sub, string.match

local function number_of(text) return text and tonumber(match(text, "^[+-]?%d+$")) or 0 end

-- Lines without their ends; what follows the last one is a line only if it is not empty.
local function lines_of(text)
  local lines, at = {}, 1
  while true do
    local stop = find(text, "\n", at, true)
    if not stop then break end
    local line = sub(text, at, stop - 1)
    lines[#lines + 1] = sub(line, -1) == "\r" and sub(line, 1, -2) or line
    at = stop + 1
  end
  if at <= #text then lines[#lines + 1] = sub(text, at) end
  return lines
end

local function add_frame(exception, path, label, line)
  local stack = exception.stack or {}
  stack[#stack + 1] = { path = path, label = label, line = line }
  exception.stack = stack
end

-- Another exception, the cause of the last one.
local function add_cause(exceptions, kind, message, new_id)
  local last = exceptions[#exceptions]
  local cause = { id = new_id(), type = kind, message = message, remote = last.remote }
  last.cause = cause.id
  exceptions[#exceptions + 1] = cause
end

-- "T: M" -> "T", "M"; nil without a colon.
local function type_and_message(text)
  local colon = find(text, ":", 1, true)
  if not colon then return nil end
  return sub(text, 1, colon - 1), sub(text, colon + 2)
end

-- ---- Java, PHP ----

local function is_java_frame(line) return sub(line, 1, 4) == "\tat " and find(line, "(", 1, true) and sub(line, -1) == ")" end

local function java_frame(exception, line)
  local paren = find(line, "(", 1, true)
  local label, path = sub(line, 5, paren - 1), sub(line, paren + 1, -2)
  local slash, colon = find(label, "/", 1, true), find(path, ":", 1, true)
  if slash then label = sub(label, slash + 1) end -- of the class loader or module
  local number = 0
  if colon then
    number, path = number_of(sub(path, colon + 1)), sub(path, 1, colon - 1)
  end
  add_frame(exception, path, label, number)
end

-- The "Caused by: " at lines[i] and what its message has of the lines behind; the next line to read.
local function java_cause(exceptions, lines, i, new_id)
  local what = sub(lines[i], 12)
  local kind, message = type_and_message(what)
  if not kind then
    kind, message = what, ""
  end
  local parts = { message }
  i = i + 1
  while lines[i] and not is_java_frame(lines[i]) do
    parts[#parts + 1] = lines[i]
    i = i + 1
  end
  add_cause(exceptions, kind, table.concat(parts), new_id)
  return i
end

local function java(exceptions, text, new_id)
  local lines, i = lines_of(text), 2
  while lines[i] do
    if is_java_frame(lines[i]) then
      java_frame(exceptions[#exceptions], lines[i])
      i = i + 1
    elseif sub(lines[i], 1, 11) == "Caused by: " then
      i = java_cause(exceptions, lines, i, new_id)
    else
      i = i + 1 -- "... 5 more", suppressed ones
    end
  end
end

-- ---- Python ----

local function split(text, separator)
  local parts, at = {}, 1
  while true do
    local stop = find(text, separator, at, true)
    if not stop then break end
    parts[#parts + 1] = sub(text, at, stop - 1)
    at = stop + #separator
  end
  parts[#parts + 1] = sub(text, at)
  return parts
end

local function python_frame(exception, line)
  local parts = split(line, ",")
  if #parts ~= 3 then return end
  local number = sub(parts[2], 1, 6) == " line " and number_of(sub(parts[2], 7)) or 0
  local label = sub(parts[3], 1, 4) == " in " and sub(parts[3], 5) or ""
  add_frame(exception, sub(parts[1], 9, -2), label, number)
end

local HANDLING = "During handling of the above exception, another exception occurred:"
local DIRECT = "The above exception was the direct cause of the following exception:"

local function starts_with(line, text) return sub(line, 1, #text) == text end

-- The error above line i, whose traceback ends at the line that is returned; nil where there is none.
local function python_cause(exceptions, lines, i, new_id)
  local at = i - 1
  while at >= 1 and not starts_with(lines[at], "  File ") do at = at - 1 end
  if at < 1 then return nil end
  local message = table.concat(lines, "\n", at + 2, i - 2)
  local kind, rest = type_and_message(message)
  if not kind then return nil end
  add_cause(exceptions, kind, rest, new_id)
  return at
end

local function python(exceptions, text, new_id, compat)
  local lines = split(text, "\n")
  local i = #lines - 1 -- behind it is the error itself
  while i >= 1 do
    local line = lines[i]
    if starts_with(line, "  File ") then
      python_frame(exceptions[#exceptions], line)
    elseif starts_with(line, HANDLING) or (not compat and starts_with(line, DIRECT)) then
      i = python_cause(exceptions, lines, i, new_id)
      if not i then return end
      python_frame(exceptions[#exceptions], lines[i])
    end
    i = i - 1
  end
end

-- ---- JavaScript ----

-- path:line:column as the collector's exporter cuts it: at the first colon.
local function javascript_place_compat(place)
  local path, number = match(place, "^([^:]*):([^:]*):")
  if path then return path, number_of(number) end
  if not find(place, ":", 1, true) and find(place, "native", 1, true) then return "native", 0 end
  return place, 0
end

local function javascript_place(place)
  local path, number = match(place, "^(.*):(%d+):%d+$")
  if path then return path, number_of(number) end
  if not find(place, ":", 1, true) and find(place, "native", 1, true) then return "native", 0 end
  return place, 0
end

local function javascript_frame(exception, line, compat)
  local paren, label, place = find(line, "(", 1, true), "", ""
  if paren and sub(line, -1) == ")" then
    label, place = sub(line, 8, paren - 1), sub(line, paren + 1, -2)
    if not compat then label = match(label, "^(.-) *$") end
  elseif not paren then
    place = sub(line, 8)
  end
  local path, number = (compat and javascript_place_compat or javascript_place)(place)
  if path ~= "" or label ~= "" or number ~= 0 then add_frame(exception, path, label, number) end
end

local function javascript(exceptions, text, _, compat)
  local lines = lines_of(text)
  for i = 2, #lines do
    if starts_with(lines[i], "    at ") then javascript_frame(exceptions[1], lines[i], compat) end
  end
end

-- ---- .NET ----

local function dotnet_place(place)
  local path, number = match(place, "^(.*):([^:]*)$")
  if not path then return place, 0 end
  if starts_with(number, "line") then number = sub(number, 6) end
  return path, number_of(number)
end

local function dotnet(exceptions, text)
  local lines = lines_of(text)
  for i = 2, #lines do
    local what = match(lines[i], "^%s*at (.-)%s*$")
    local parts = what and split("at " .. what, " in ")
    if parts and parts[2] then
      local path, number = dotnet_place(parts[2])
      add_frame(exceptions[1], path, sub(parts[1], 4), number)
    elseif parts then
      local label = match(what, "^.*%)")
      if label then add_frame(exceptions[1], "", label, 0) end
    end
  end
end

-- ---- Go ----

local function is_goroutine(line)
  return starts_with(line, "goroutine") and sub(line, -1) == ":" and find(line:sub(10, -1), "%f[%w_]running%f[^%w_]") ~= nil
end

-- Pairs of lines: the function, then where it is. A place that can't be read is the one before.
local function go(exceptions, text)
  local lines, i, path, number = lines_of(text), 2, "", 0
  while lines[i] do
    if is_goroutine(lines[i]) then i = i + 1 end
    local found, digits = match(lines[i + 1] or "", "([^:%s]+):(%d+)")
    if found then
      path, number = found, number_of(digits)
    end
    add_frame(exceptions[1], path, lines[i] or "", number)
    i = i + 2
  end
end

local PARSERS = { java = java, php = java, python = python, javascript = javascript, dotnet = dotnet, go = go }
local MORE = { nodejs = javascript, webjs = javascript }

-- Fills `exceptions` (a list of one) from the text: its stack, and the exceptions that caused it.
function M.parse(exceptions, text, language, new_id, compat)
  local parse = PARSERS[language] or (not compat and MORE[language])
  if parse and text ~= "" then parse(exceptions, text, new_id, compat) end
end

return M
