-- Values as Lua source that a person would write: what `moontail import` prints.
local M = {}

local WIDTH, INDENT = 100, "  "
local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true
until while]]):gmatch "%a+" do KEYWORDS[word] = true end

local code_meta, map_meta, call_meta, note_meta = {}, {}, {}, {}

function code_meta.__tostring(code) return code.text end

-- Source that stands as it is.
function M.code(text) return setmetatable({ text = text }, code_meta) end

-- A table with keys in order: map { { "key", value }, ... }; pairs whose value is nil are left out.
function M.map(pairs_of) return setmetatable(pairs_of, map_meta) end

-- NAME "argument" { options }, as in policy "latency" { threshold_ms = 500 }, or NAME(argument) where it is
-- neither a text nor a table; options may be nil.
function M.call(name, argument, options)
  return setmetatable({ name = name, argument = argument, options = options }, call_meta)
end

-- An entry of a list or map that is a comment.
function M.note(text) return setmetatable({ text = text }, note_meta) end

function M.quote(text)
  return '"' .. text:gsub('[%c"\\\127]', function(c)
    if c == '"' or c == "\\" then return "\\" .. c end
    if c == "\n" then return "\\n" end
    return ("\\%03d"):format(c:byte())
  end) .. '"'
end

local function number_text(value)
  if value == math.floor(value) and math.abs(value) < 1e15 then return ("%d"):format(value) end
  local short = ("%.15g"):format(value)
  return tonumber(short) == value and short or ("%.17g"):format(value)
end

local function key_text(key)
  if key:find "^[%a_][%w_]*$" and not KEYWORDS[key] then return key end
  return "[" .. M.quote(key) .. "]"
end

-- { { prefix, value }, ... } of a list, a map or a plain table.
local function entries(value)
  local list, plain = {}, getmetatable(value) ~= map_meta
  if plain then
    for _, item in ipairs(value) do list[#list + 1] = { "", item } end
    local keys = {}
    for key in pairs(value) do
      if type(key) == "string" then keys[#keys + 1] = key end
    end
    table.sort(keys)
    for _, key in ipairs(keys) do list[#list + 1] = { key_text(key) .. " = ", value[key] } end
    return list
  end
  for _, pair in ipairs(value) do
    if getmetatable(pair) == note_meta then
      list[#list + 1] = { "", pair }
    elseif pair[2] ~= nil then
      list[#list + 1] = { key_text(pair[1]) .. " = ", pair[2] }
    end
  end
  return list
end

local function has_note(value)
  if type(value) ~= "table" then return false end
  local meta = getmetatable(value)
  if meta == note_meta then return true end
  if meta == code_meta then return value.text:find "\n" ~= nil end
  if meta == call_meta then return has_note(value.options) end
  for _, entry in ipairs(entries(value)) do
    if has_note(entry[2]) then return true end
  end
  return false
end

local write

local function inline(value)
  local parts = {}
  for _, entry in ipairs(entries(value)) do parts[#parts + 1] = entry[1] .. write(entry[2], nil) end
  return #parts == 0 and "{}" or "{ " .. table.concat(parts, ", ") .. " }"
end

-- A carriage return would end the comment.
local function note_lines(text, indent)
  text = text:gsub("[^%C\n\t]", "?")
  return ((indent .. "-- " .. text:gsub("\n", "\n" .. indent .. "-- ") .. "\n"):gsub("%f[ ] +\n", "\n"):gsub("\n$", ""))
end

local function block(value, indent)
  local inner, lines = indent .. INDENT, {}
  for _, entry in ipairs(entries(value)) do
    if getmetatable(entry[2]) == note_meta then
      lines[#lines + 1] = note_lines(entry[2].text, inner)
    else
      lines[#lines + 1] = inner .. entry[1] .. write(entry[2], inner, #entry[1]) .. ","
    end
  end
  return "{\n" .. table.concat(lines, "\n") .. "\n" .. indent .. "}"
end

local function write_table(value, indent, used)
  if not has_note(value) then
    local text = inline(value)
    if not indent or #indent + used + #text < WIDTH then return text end
  end
  return block(value, indent)
end

-- Source of `value`; `indent` nil: in one line; `used`: characters before it in its line.
function write(value, indent, used)
  local kind, meta = type(value), getmetatable(value)
  if kind == "string" then return M.quote(value) end
  if kind == "number" then return number_text(value) end
  if kind ~= "table" then return tostring(value) end
  if meta == code_meta then return indent and value.text:gsub("\n", "\n" .. indent) or value.text end
  if meta ~= call_meta then return write_table(value, indent, used or 0) end
  local argument, of = write(value.argument, indent, used), type(value.argument)
  local bare = of == "string" or of == "table" and getmetatable(value.argument) ~= code_meta
  local head = value.name .. (bare and " " .. argument or "(" .. argument .. ")")
  if value.options == nil then return head end
  return head .. " " .. write_table(value.options, indent, (used or 0) + #head + 1)
end

function M.text(value) return write(value, "", 0) end

return M
