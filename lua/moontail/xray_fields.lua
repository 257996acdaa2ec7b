-- Annotations, which X-Ray indexes, and metadata: all attributes that no block has taken.
local core = require "moontail.policy_core"
local read = require "moontail.xray_read"

local is_scalar = read.is_scalar
local find, sub, lower = string.find, string.sub, string.lower

local M = {}

local INDEX, METADATA, LIST = "aws.xray.annotation.", "aws.xray.metadata.", "aws.xray.annotations"
local KEY_MAX, VALUE_MAX = 500, 1000 -- characters: what the service takes

-- ---- annotations ----

-- Each character that is no ASCII letter, digit or dot becomes one _.
local annotation_key = read.of_key(function(key)
  local result = key:gsub("[\194-\244][\128-\191]+", "_"):gsub("[^%w.]", "_")
  return result
end)

-- At most VALUE_MAX characters.
local function short(text)
  local count, at = 0, 1
  while at <= #text do
    if count == VALUE_MAX then return sub(text, 1, at - 1) end
    count = count + 1
    at = (find(text, "[^\128-\191]", at + 1)) or #text + 1
  end
  return text
end

local function annotate(annotations, key, value, m)
  key = annotation_key(key)
  if not m.compat then
    if #key > KEY_MAX then key = sub(key, 1, KEY_MAX) end
    if type(value) == "string" and #value > VALUE_MAX then value = short(value) end
  end
  annotations[key] = value
end

-- ---- metadata ----

-- Metadata in a namespace of its own, as JSON in an attribute.
local function own_namespace(out, key, value)
  local members, namespace = core.json_members(value), sub(key, #METADATA + 1)
  if not members then
    out.default[key] = value
  elseif lower(namespace) == "default" then
    for name, member in pairs(members) do out.default[name] = member end
  else
    out.metadata[namespace] = members
  end
end

-- ---- all ----

local function indexed_by(rest, m)
  local named = read.list(rest[LIST])
  if not named then return m.indexed end
  local indexed = {}
  for key in pairs(m.indexed) do indexed[key] = true end
  for _, key in ipairs(named) do
    if type(key) == "string" then indexed[key] = true end
  end
  rest[LIST] = nil
  return indexed
end

local function add_resource(resource, annotations, default, indexed, m)
  local attrs = resource.attrs
  for _, key in ipairs(resource.keys) do
    local value, name = attrs[key], "otel.resource." .. key
    if (m.index_all or indexed[name]) and is_scalar(value) then
      annotate(annotations, name, value, m)
    else
      default[name] = value
    end
  end
end

local function add_all(rest, annotations, default, m)
  for key, value in pairs(rest) do
    if is_scalar(value) then
      if not m.compat and sub(key, 1, #INDEX) == INDEX then key = sub(key, #INDEX + 1) end
      annotate(annotations, key, value, m)
    elseif not m.compat then
      default[key] = value
    end
  end
end

local function add_one(key, value, out, indexed, m)
  if indexed[key] then
    if is_scalar(value) then annotate(out.annotations, key, value, m) end
  elseif find(key, METADATA, 1, true) == 1 and type(value) == "string" then
    own_namespace(out, key, value)
  elseif not m.compat and sub(key, 1, #INDEX) == INDEX and #key > #INDEX and is_scalar(value) then
    annotate(out.annotations, sub(key, #INDEX + 1), value, m)
  else
    out.default[key] = value
  end
end

-- What was taken by a block and is to be indexed all the same.
local function add_back(span, rest, m)
  for _, key in ipairs(m.indexed_list) do
    if rest[key] == nil then rest[key] = span.attrs[key] end
  end
end

-- The user, the annotations and the metadata (each may be nil). `rest` is used up.
function M.of(span, rest, m, with_resource)
  add_back(span, rest, m)
  local user = read.present(rest["enduser.id"])
  rest["enduser.id"] = nil
  local out = { annotations = {}, metadata = {}, default = {} }
  local indexed = indexed_by(rest, m)
  if with_resource then add_resource(span.resource, out.annotations, out.default, indexed, m) end
  if m.index_all then
    add_all(rest, out.annotations, out.default, m)
  else
    for key, value in pairs(rest) do add_one(key, value, out, indexed, m) end
  end
  if next(out.default) then out.metadata.default = out.default end
  return user, next(out.annotations) and out.annotations, next(out.metadata) and out.metadata
end

return M
