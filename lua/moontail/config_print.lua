-- The fields of config.lua as Lua (print-config) and as a page (docs/configuration.md).
local component = require "moontail.component"
local locate = require "moontail.locate"
local schema = require "moontail.schema"
local secret = require "moontail.secret"
local types = require "moontail.schema_types"

local M = {}

local MASK = 'secret "****"'
local SUSPECT = { "authorization", "token", "password", "secret", "api_?%-?key", "credential" }

local function number(value)
  local text = string.format("%.14g", value)
  return tonumber(text) == value and text or string.format("%.17g", value)
end

local function quote(text)
  return '"' .. text:gsub('[%c"\\]', function(c)
    if c == '"' or c == "\\" then return "\\" .. c end
    return string.format("\\%03d", c:byte())
  end) .. '"'
end

local function key_text(key)
  if type(key) == "string" and key:find "^[%a_][%w_]*$" and loadstring("local " .. key) then return key end
  return "[" .. (type(key) == "string" and quote(key) or tostring(key)) .. "]"
end

-- Source as it was written, with what secret() was given left out.
local function masked_source(keys)
  local text = keys and locate.source(keys)
  if not text then return nil end
  return (text:gsub("secret%s*%b()", MASK):gsub('secret%s*"[^"]*"', MASK):gsub("secret%s*'[^']*'", MASK):gsub("secret%s*%[%[.-%]%]", MASK))
end

local function is_suspect(key)
  if type(key) ~= "string" then return false end
  for _, pattern in ipairs(SUSPECT) do
    if key:lower():find(pattern) then return true end
  end
  return false
end

local function below(keys, key)
  if not keys then return nil end
  local list = {}
  for i = 1, #keys do list[i] = keys[i] end
  list[#list + 1] = key
  return list
end

local show

local function sorted(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if type(a) == type(b) and type(a) ~= "boolean" then return a < b end
    return type(a) == "number"
  end)
  return keys
end

local function show_table(t, keys, mask, indent)
  local parts, width, deeper = {}, 0, indent .. "  "
  for position, key in ipairs(sorted(t)) do
    local text = show(t[key], below(keys, key), mask or is_suspect(key), deeper)
    if key ~= position then text = key_text(key) .. " = " .. text end
    parts[#parts + 1], width = text, width + #text
    if text:find("\n", 1, true) then width = 1000 end
  end
  if #parts == 0 then return "{}" end
  if width + #indent < 70 then return "{ " .. table.concat(parts, ", ") .. " }" end
  return "{\n" .. deeper .. table.concat(parts, ",\n" .. deeper) .. ",\n" .. indent .. "}"
end

local function show_component(c, indent)
  if c.spec then return masked_source(c.path) or ("nil --[[ " .. tostring(c) .. " ]]") end
  local head = c.kind .. " " .. quote(c.name)
  if next(c.options) == nil then return head end
  return head .. " " .. show_table(c.options, c.path, false, indent)
end

function show(value, keys, mask, indent)
  if secret.is(value) then return MASK end
  if component.is(value) then return show_component(value, indent) end
  if type(value) == "table" and not types.is_opaque(value) then return show_table(value, keys, mask, indent) end
  if mask and type(value) == "string" then return MASK end
  if type(value) == "string" then return quote(value) end
  if type(value) == "number" then return number(value) end
  if type(value) == "boolean" or value == nil then return tostring(value) end
  return masked_source(keys) or ("nil --[[ " .. tostring(value):gsub("%]%]", "") .. " ]]")
end

-- A value as Lua text.
function M.text(value) return show(value, nil, false, "") end

local function field_text(node, run, indent)
  local given = run and run.given[node.path]
  if given ~= nil then return show(given, schema.keys_of(node.path), node.field.secret, indent) end
  local default = node.field.default_text
  if run and default and default:find("(", 1, true) and run.values[node.path] ~= nil then
    local value = run.values[node.path] -- what env gave, say; a verdict stays as it is written
    if type(value) == "string" or type(value) == "number" then return show(value, nil, node.field.secret, indent) end
  end
  return default or "nil"
end

local print_section

-- A section that is off. Among the defaults these are the ones whose default says so.
local function is_absent(node, run)
  if not node.field or node.field.type ~= "section" then return false end
  if run then return not run.values[node.path] end
  return node.field.default_text == "nil"
end

local function print_node(node, name, run, indent, out)
  local field, absent = node.field, is_absent(node, run)
  if absent then
    local text = (run and field.can_be_false) and "false" or "nil"
    out[#out + 1] = indent .. name .. " = " .. text .. ","
  elseif #node.names > 0 then
    print_section(node, name, run, indent, out)
  else
    out[#out + 1] = indent .. name .. " = " .. field_text(node, run, indent) .. ","
  end
  if field and field.doc and (absent or #node.names == 0) and not run then out[#out] = out[#out] .. " -- " .. field.doc end
end

function print_section(node, name, run, indent, out)
  local doc = node.field and node.field.doc and not run and (" -- " .. node.field.doc) or ""
  out[#out + 1] = indent .. (name and (name .. " = {") or "return {") .. doc
  for _, child in ipairs(node.names) do print_node(node.children[child], child, run, indent .. "  ", out) end
  out[#out + 1] = indent .. (name and "}," or "}")
end

-- Every key with its value in `run`, or with its default and its meaning where run is nil.
function M.print(fields, run)
  local out = {}
  print_section(schema.tree(fields), nil, run, "", out)
  return table.concat(out, "\n") .. "\n"
end

local function cell(text) return (text:gsub("|", "\\|")) end

local function docs_row(node, out)
  local field = node.field or {}
  if #node.names > 0 and not (field.doc or field.short) then return end
  local default = field.default_text and ("`" .. field.default_text .. "`") or (field.required and "required") or "off"
  local allowed
  if field.type == "section" then
    allowed = "a table" .. (field.short and (", or `" .. field.short .. "` alone") or "") .. (field.can_be_false and ", or `false`" or "")
    default = field.optional and "off" or ""
  else
    allowed = types.allowed(field)
  end
  out[#out + 1] = "| `" .. node.path .. "` | " .. cell(default) .. " | " .. cell(allowed) .. " | " .. cell(field.doc or "") .. " |"
end

local function docs_nodes(node, out)
  for _, name in ipairs(node.names) do
    docs_row(node.children[name], out)
    docs_nodes(node.children[name], out)
  end
end

local function table_head(out)
  out[#out + 1] = "| key | default | allowed | meaning |"
  out[#out + 1] = "| --- | --- | --- | --- |"
end

-- The table of some fields.
function M.table(fields)
  local out = {}
  table_head(out)
  docs_nodes(schema.tree(fields), out)
  return table.concat(out, "\n")
end

-- One table of options under a heading of its own, for what config.lua names.
function M.docs_of(title, doc, fields)
  local text = "\n## " .. title .. "\n\n" .. doc .. "\n"
  return #fields > 0 and (text .. "\n" .. M.table(fields) .. "\n") or text
end

-- The page: one table a top-level key.
function M.docs(fields)
  local out = {
    "# Configuration",
    "",
    "Written by `moontail print-config --docs` from the table of fields that the program checks",
    "config.lua against. `moontail print-config --defaults` prints the same as Lua.",
    "",
    "config.lua returns one table. Besides plain Lua it may call `env(name, default)`, `secret(value)`,",
    "`file(path)`, `policy`, `processor`, `exporter`, `match` and the verdicts. Durations are texts",
    "such as `\"250ms\"`, `\"10s\"` or `\"1m30s\"`; sizes such as `\"64MiB\"` or a number of bytes.",
    "Keys in a dotted path are nested tables: `log.level` is `log = { level = ... }`.",
    "",
  }
  local tree, simple = schema.tree(fields), {}
  for _, name in ipairs(tree.names) do
    if #tree.children[name].names == 0 then simple[#simple + 1] = name end
  end
  out[#out + 1] = "## Single keys"
  out[#out + 1] = ""
  table_head(out)
  for _, name in ipairs(simple) do docs_row(tree.children[name], out) end
  for _, name in ipairs(tree.names) do
    local node = tree.children[name]
    if #node.names > 0 then
      out[#out + 1] = ""
      out[#out + 1] = "## " .. name
      out[#out + 1] = ""
      table_head(out)
      docs_row(node, out)
      docs_nodes(node, out)
    end
  end
  return table.concat(out, "\n") .. "\n"
end

return M
