-- The one validator: config.lua, options of policies and processors, options of exporters.
--
-- A field: { path = "queue.max_size", type = "size", default = "256MiB", min =, max =, one_of = {},
-- optional = true, secret = true, doc = "" }. Its types are in schema_types.lua, and "section": a
-- table of fields (short = the key that a plain value stands for; can_be_false; optional).
-- schema.check(value, fields, where) collects all errors; it never raises for what users wrote.
local host = require "moontail.host"
local hints = require "moontail.hints"
local locate = require "moontail.locate"
local types = require "moontail.schema_types"

local schema = { show = types.show, unknown = types.unknown, add_type = types.add }

-- The keys of a dotted path.
function schema.keys_of(path)
  local keys = {}
  for key in path:gmatch "[^.]+" do keys[#keys + 1] = key end
  return keys
end

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

-- A map of options (name -> field) becomes a list with paths, by name.
local function as_list(fields)
  if #fields > 0 or next(fields) == nil then return fields end
  local list = {}
  for _, name in ipairs(sorted_keys(fields)) do
    local field = { path = name }
    for key, value in pairs(fields[name]) do field[key] = value end
    list[#list + 1] = field
  end
  return list
end

-- The fields as a tree: node = { path, field?, names = { in order }, children = { by name } }.
function schema.tree(fields)
  local root = { path = "", names = {}, children = {} }
  for _, field in ipairs(as_list(fields)) do
    local node, path = root, nil
    for _, key in ipairs(schema.keys_of(field.path)) do
      path = path and (path .. "." .. key) or key
      if not node.children[key] then
        node.children[key] = { path = path, names = {}, children = {} }
        node.names[#node.names + 1] = key
      end
      node = node.children[key]
    end
    node.field = field
  end
  return root
end

local Run = {}
Run.__index = Run

-- "config.lua:12: " of the key, else of what surrounds it.
function Run:place(keys)
  local where, path = self.where, {}
  for _, key in ipairs(where.path or {}) do path[#path + 1] = key end
  local depth = #path
  for _, key in ipairs(keys) do path[#path + 1] = key end
  local line, found = locate.line(path)
  if where.line and (not line or found < depth) then line = where.line end
  local file = where.file or locate.file()
  if not file then return line and (line .. ": ") or "" end
  return line and (file .. ":" .. line .. ": ") or (file .. ": ")
end

-- Names the key: 'tail_sampling.decision_wait', 'policy "latency": threshold_ms', 'policies[2]'.
function Run:key(keys)
  local text = ""
  for _, key in ipairs(keys) do
    if type(key) == "number" then
      text = text .. "[" .. key .. "]"
    elseif type(key) == "string" and key:find "^[%a_][%w_]*$" then
      text = text == "" and key or (text .. "." .. key)
    else
      text = text .. "[" .. types.show(key) .. "]"
    end
  end
  return text
end

function Run:fail(keys, text)
  local name = self.where.name and (self.where.name .. ": ") or ""
  self.errors[#self.errors + 1] = self:place(keys) .. name .. text
end

function Run:hint(keys, text)
  local name = self.where.name and (self.where.name .. ": ") or ""
  self.hints[#self.hints + 1] = self:place(keys) .. name .. text
end

local function extended(keys, key)
  local list = {}
  for i = 1, #keys do list[i] = keys[i] end
  list[#list + 1] = key
  return list
end

local function unknown_key(run, node, key, value, keys)
  local at = run:key(extended(keys, key))
  local text = "unknown key " .. at
  local hint, accepted = hints.find(node.path, key, value)
  if accepted then return run:hint(extended(keys, key), at .. ": " .. hint) end
  local near = not hint and type(key) == "string" and host.nearest(key, node.names)
  if hint then
    text = text .. "; " .. hint
  elseif near then
    text = text .. "; did you mean " .. near .. "?"
  elseif #node.names > 0 then
    text = text .. "; allowed: " .. table.concat(node.names, ", ")
  else
    text = text .. "; no options are known here"
  end
  run:fail(extended(keys, key), text)
end

local walk

-- Every field below `node` takes its default; `required` ones are missed only where asked.
local function take_defaults(run, node, keys, required)
  for _, name in ipairs(node.names) do
    walk(run, node.children[name], nil, extended(keys, name), required)
  end
end

local function walk_table(run, node, value, keys)
  for _, key in ipairs(sorted_keys(value)) do
    if not node.children[key] then unknown_key(run, node, key, value[key], keys) end
  end
  for _, name in ipairs(node.names) do
    walk(run, node.children[name], value[name], extended(keys, name), true)
  end
end

local function walk_section(run, node, value, keys, required)
  local field = node.field or {}
  if value == types.unknown then value = nil end
  if value ~= nil and value ~= false and type(value) ~= "table" and field.short then
    value = { [field.short] = value }
  end
  run.values[node.path] = value ~= false and (value ~= nil or not field.optional)
  if type(value) == "table" and not types.is_opaque(value) then return walk_table(run, node, value, keys) end
  if value == nil or (value == false and field.can_be_false) then
    return take_defaults(run, node, keys, required and value == nil and not field.optional)
  end
  local short = field.short and (" or the value of " .. field.short) or ""
  local off = field.can_be_false and " or false" or ""
  run:fail(keys, run:key(keys) .. " is " .. types.show(value) .. "; allowed: a table" .. short .. off)
  take_defaults(run, node, keys, false)
end

-- A default is a value, or a text of Lua for fields that come from C.
local function default_of(run, field)
  if field.default_text == nil then return field.default end
  local chunk = assert(loadstring("return " .. field.default_text, "=default of " .. field.path))
  local env = run.where.env
  setfenv(chunk, env and setmetatable({}, { __index = env }) or {})
  local ok, value = pcall(chunk)
  if ok then return value end
end

local function set_default(run, node, keys, required)
  local field = node.field
  local value = default_of(run, field)
  if value == nil then
    if required and field.required then
      run:fail(keys, run:key(keys) .. " is missing; allowed: " .. types.allowed(field))
    end
    return
  end
  local ok, normal = types.check(field, value, run, keys)
  if not ok then
    return run:fail(keys, "the default of " .. field.path .. " is " .. types.show(value) .. "; allowed: " .. types.allowed(field))
  end
  run.values[node.path] = normal
end

local function walk_field(run, node, value, keys, required)
  local field = node.field
  if value == nil then return set_default(run, node, keys, required) end
  if value == types.unknown then return end -- its error has been said
  local ok, normal, why = types.check(field, value, run, keys)
  if ok then
    run.values[node.path] = normal
    run.given[node.path] = value
  elseif not why then
    run:fail(keys, run:key(keys) .. " is " .. types.show_in(field, value) .. "; allowed: " .. types.allowed(field) .. types.near(field, value))
  elseif type(why) == "table" then
    local at = extended(keys, why[1])
    run:fail(at, run:key(at) .. " " .. why[2])
  else
    run:fail(keys, run:key(keys) .. " " .. why)
  end
end

function walk(run, node, value, keys, required)
  if node.field and node.field.type ~= "section" then return walk_field(run, node, value, keys, required) end
  return walk_section(run, node, value, keys, required)
end

-- The table `value` against `fields`. where = { file, line, name, path = { keys from config's root },
-- env = what defaults may call, durations = "ms" for milliseconds instead of nanoseconds }.
-- Gives { values = { path -> normal value; a section's is whether it is there },
--         given = { path -> as written }, errors = { sentences }, hints = { sentences } }.
function schema.check(value, fields, where)
  local run = setmetatable({ where = where or {}, values = {}, given = {}, errors = {}, hints = {} }, Run)
  local tree = schema.tree(fields)
  if value == nil then value = {} end
  if type(value) == "table" and not types.is_opaque(value) then
    walk_table(run, tree, value, {})
  else
    run:fail({}, "is " .. types.show(value) .. "; allowed: a table of options")
  end
  return run
end

return schema
