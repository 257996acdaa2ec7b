-- Annotations, which X-Ray indexes, and metadata: all attributes that no block has taken.
local core = require "moontail.policy_core"
local read = require "moontail.xray_read"

local is_scalar = read.is_scalar
local find, sub, lower = string.find, string.sub, string.lower

local M = {}

local NONE = {}

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

-- `gives_way`: to what is there already.
local function annotate(out, key, value, m, gives_way)
  key = annotation_key(key)
  if not m.compat then
    if #key > KEY_MAX then key = sub(key, 1, KEY_MAX) end
    if type(value) == "string" and #value > VALUE_MAX then value = short(value) end
  end
  out.annotations = out.annotations or {}
  if not gives_way or out.annotations[key] == nil then out.annotations[key] = value end
end

-- ---- metadata ----

-- Metadata in a namespace of its own, as JSON in an attribute.
local function own_namespace(out, key, value)
  local members, namespace = core.json_members(value), sub(key, #METADATA + 1)
  if not members then return false end
  if lower(namespace) ~= "default" then
    out.metadata = out.metadata or {}
    out.metadata[namespace] = members
    return true
  end
  out.more = out.more or {}
  for name, member in pairs(members) do out.more[name] = member end
  return true
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

-- What the span says of itself comes before what its resource does.
local function add_resource(resource, out, default, indexed, m)
  local attrs, keys, names = resource.attrs, resource.keys, resource.names
  for i = 1, #keys do
    local value, name = attrs[keys[i]], names[i]
    if (m.index_all or indexed[name]) and is_scalar(value) then
      annotate(out, name, value, m, true)
    elseif default[name] == nil then
      default[name] = value
    end
  end
end

-- What a key alone says of where its value goes.
local place_of = read.of_key(function(key)
  if find(key, METADATA, 1, true) == 1 then return "namespace" end
  return sub(key, 1, #INDEX) == INDEX and "annotation" or "default"
end)

local function take_all(rest, out, m)
  for key, value in pairs(rest) do
    if is_scalar(value) then
      local name = not m.compat and place_of(key) == "annotation" and sub(key, #INDEX + 1) or key
      annotate(out, name, value, m)
      rest[key] = nil
    elseif m.compat then
      rest[key] = nil
    end
  end
end

-- Whether it is to be found elsewhere than in the metadata that has no namespace.
local function is_taken(key, value, out, indexed, m)
  if indexed[key] then
    if is_scalar(value) then annotate(out, key, value, m) end
    return true
  end
  local place = place_of(key)
  if place == "default" then return false end
  if place == "namespace" then return type(value) == "string" and own_namespace(out, key, value) end
  if m.compat or #key == #INDEX or not is_scalar(value) then return false end
  annotate(out, sub(key, #INDEX + 1), value, m)
  return true
end

local function take_some(rest, out, indexed, m)
  for key, value in pairs(rest) do
    if is_taken(key, value, out, indexed, m) then rest[key] = nil end
  end
end

-- What is to be indexed even if a block takes it; nil: none.
function M.indexed(span, m)
  local kept
  for i = 1, #m.indexed_list do
    local key = m.indexed_list[i]
    if span.attrs[key] ~= nil then
      kept = kept or {}
      kept[key] = span.attrs[key]
    end
  end
  return kept
end

-- The user, the annotations and the metadata (each may be nil), which the attributes that are left become part of.
function M.of(span, kept, m, with_resource)
  local rest = span.attrs
  for key, value in pairs(kept or NONE) do rest[key] = value end
  local user = read.present(rest["enduser.id"])
  if rest["enduser.id"] ~= nil then rest["enduser.id"] = nil end
  local out = { annotations = nil, metadata = nil, more = nil }
  local indexed = indexed_by(rest, m)
  if m.index_all then take_all(rest, out, m) else take_some(rest, out, indexed, m) end
  if with_resource then add_resource(span.resource, out, rest, indexed, m) end
  if out.more then
    for name, member in pairs(out.more) do rest[name] = member end
  end
  if next(rest) then
    out.metadata = out.metadata or {}
    out.metadata.default = rest
  end
  return user, out.annotations, out.metadata
end

return M
