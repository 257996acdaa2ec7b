-- The types of fields: what they accept, how they say it, what becomes of the value.
local host = require "moontail.host"
local secret = require "moontail.secret"

local types = {}

-- Stands for a value whose error has been said already (an env that is not set).
local nothing = setmetatable({}, { __tostring = function() return "unknown" end })
do
  local meta = getmetatable(nothing)
  for _, event in ipairs { "concat", "add", "sub", "mul", "div", "mod", "pow", "unm" } do
    meta["__" .. event] = function() return nothing end
  end
end
types.unknown = nothing

function types.is_opaque(value)
  return value == nothing or secret.is(value) or (debug.getmetatable(value) or {}).__kind ~= nil
end

function types.show(value)
  if type(value) == "string" then
    if #value > 80 then value = value:sub(1, 77) .. "..." end
    return "'" .. value:gsub("%c", "?") .. "'"
  end
  if type(value) == "number" or type(value) == "boolean" or value == nil then return tostring(value) end
  if secret.is(value) then return "a secret" end
  if types.is_opaque(value) then return tostring(value) end
  if type(value) == "table" and next(value) == nil then return "{}" end
  return "a " .. type(value)
end

function types.show_in(field, value)
  if field.secret and type(value) == "string" then return "****" end
  return types.show(value)
end

-- 10000000000 ns -> "10s", 16777216 bytes -> "16MiB".
local function in_units(value, units)
  for _, unit in ipairs(units) do
    if value >= unit[1] and value % unit[1] == 0 then return string.format("%.0f%s", value / unit[1], unit[2]) end
  end
  return string.format("%.14g", value)
end
local DURATIONS = { { 86400e9, "d" }, { 3600e9, "h" }, { 60e9, "m" }, { 1e9, "s" }, { 1e6, "ms" }, { 1e3, "us" }, { 1, "ns" } }
local SIZES = { { 2 ^ 30, "GiB" }, { 2 ^ 20, "MiB" }, { 2 ^ 10, "KiB" }, { 1, "" } }

local function number_text(value) return string.format("%.14g", value) end
local function duration_text(ns) return ns == 0 and "0s" or in_units(ns, DURATIONS) end
local function size_text(bytes) return bytes == 0 and "0" or in_units(bytes, SIZES) end

-- A bound may be written as the values are: min = "1s".
local function bound(value, parse)
  if type(value) == "string" then return parse(value) end
  return value
end

local function within(value, field, parse)
  local min, max = bound(field.min, parse), bound(field.max, parse)
  return (not min or value >= min) and (not max or value <= max)
end

local function range_text(field, parse, text)
  local min, max = bound(field.min, parse), bound(field.max, parse)
  if min and max then return ", from " .. text(min) .. " to " .. text(max) end
  if min then return ", at least " .. text(min) end
  if max then return ", at most " .. text(max) end
  return ""
end

local function quoted(list)
  local texts = {}
  for i, value in ipairs(list) do texts[i] = type(value) == "string" and ('"' .. value .. '"') or tostring(value) end
  return table.concat(texts, ", ")
end

local function is_one_of(field, value)
  if not field.one_of then return true end
  for _, allowed in ipairs(field.one_of) do
    if value == allowed then return true end
  end
  return false
end

-- "a list of 1 to 64 strings".
local function count_text(field, what, elements)
  local min, max = field.min, field.max
  if min and max then return ("%s of %d to %d %s"):format(what, min, max, elements) end
  if min then return ("%s of at least %d %s"):format(what, min, elements) end
  if max then return ("%s of at most %d %s"):format(what, max, elements) end
  return what .. " of " .. elements
end

-- A list without holes and other keys; element(value, i) -> ok, normal. What an element may be is
-- said of the element: the third result is then { index, sentence }.
local function check_list(value, field, element, allowed)
  if type(value) ~= "table" or types.is_opaque(value) then return false end
  local copy, count = {}, 0
  for _ in pairs(value) do count = count + 1 end
  if count ~= #value or not within(count, field) then return false end
  for i = 1, count do
    local ok, normal = true, value[i]
    if normal ~= nothing then ok, normal = element(value[i], i) end
    if not ok then
      return false, nil, { i, "is " .. types.show_in(field, value[i]) .. "; allowed: " .. allowed .. types.near(field, value[i]) }
    end
    copy[i] = normal
  end
  return true, copy
end

local SCALARS = { string = true, number = true, boolean = true }

local function scalar(field, value)
  if value == nothing then return true end
  if secret.is(value) then
    if field.secret then return true, secret.reveal(value) end
    return false
  end
  return SCALARS[type(value)] and value == value, value
end

local known = {}

known.number = {
  check = function(field, v)
    return type(v) == "number" and v == v and math.abs(v) < math.huge and within(v, field) and is_one_of(field, v), v
  end,
  allowed = function(field)
    return field.one_of and quoted(field.one_of) or ("a number" .. range_text(field, nil, number_text))
  end,
}
known.integer = {
  check = function(field, v)
    return type(v) == "number" and v % 1 == 0 and math.abs(v) <= 2 ^ 53 and within(v, field) and is_one_of(field, v), v
  end,
  allowed = function(field)
    return field.one_of and quoted(field.one_of) or ("a whole number" .. range_text(field, nil, number_text))
  end,
}
known.boolean = {
  check = function(_, v) return type(v) == "boolean", v end,
  allowed = function() return "true or false" end,
}
known.string = {
  check = function(field, v)
    if secret.is(v) then
      if field.secret then return true, secret.reveal(v) end
      return false, nil, "is a secret, and this key is shown in logs; give it a plain string"
    end
    return type(v) == "string" and v ~= "" and not v:find("%z") and is_one_of(field, v), v
  end,
  allowed = function(field) return field.one_of and quoted(field.one_of) or "a string" end,
}
-- What is before an "@" would be shown wherever the URL is.
known.url = {
  check = function(field, v)
    local ok, normal, why = known.string.check(field, v)
    if not ok or field.secret then return ok, normal, why end
    if v:find("@", 1, true) then
      return false, nil, "is a URL with an @ in it; credentials belong in headers, those of a proxy in HTTPS_PROXY (in a path write %40)"
    end
    return v:find "^%a+://[^%s%c]+$" ~= nil and host.is_url(v), v
  end,
  allowed = function() return 'a URL such as "https://HOST:PORT"' end,
}
known.duration = {
  check = function(field, v, run)
    local ns = type(v) == "string" and host.duration(v)
    local ms = run and run.where.durations == "ms"
    if not ns or not within(ns, field, host.duration) then return false end
    return true, ms and ns / 1e6 or ns
  end,
  allowed = function(field) return 'a duration such as "10s"' .. range_text(field, host.duration, duration_text) end,
}
known.size = {
  check = function(field, v)
    local bytes = v
    if type(v) == "string" then bytes = host.size(v) end
    return type(bytes) == "number" and bytes >= 0 and bytes % 1 == 0 and within(bytes, field, host.size), bytes
  end,
  allowed = function(field) return 'a size such as "64MiB"' .. range_text(field, host.size, size_text) end,
}
-- "10%" is 0.1; sizes are bytes.
known.share = {
  check = function(field, v)
    local percent = type(v) == "string" and tonumber((v:match "^([%d.]+)%%$"))
    if percent then return percent < 100, percent / 100 end
    return known.size.check({ max = field.max }, v)
  end,
  allowed = function() return 'a share such as "10%" (less than 100%) or a size such as "1GiB"' end,
}
-- "IP:PORT", "[IPv6]:PORT", ":PORT" (all addresses). A name is none: it may be several, or change.
known.listen = {
  check = function(_, v) return type(v) == "string" and not v:find "%z" and host.address(v) ~= nil, v end,
  allowed = function() return 'an IP address and a port such as "127.0.0.1:4317", or ":4317" for all addresses' end,
}
-- Scalars; one_of, secret: of each element; min, max: how many.
known.list = {
  check = function(field, v)
    return check_list(v, field, function(element)
      local ok, normal = scalar(field, element)
      return ok and is_one_of(field, normal), normal
    end, field.one_of and quoted(field.one_of) or "a string, number or boolean")
  end,
  allowed = function(field)
    local text = count_text(field, "a list", "strings, numbers or booleans")
    return field.one_of and (text .. ", each of them one of " .. quoted(field.one_of)) or text
  end,
}
known.strings = {
  check = function(field, v)
    if type(v) == "string" or secret.is(v) then v = { v } end
    return check_list(v, field, function(element)
      local ok, normal = scalar(field, element)
      return ok and type(normal) == "string" and normal ~= "" and not normal:find "%z" and is_one_of(field, normal), normal
    end, field.one_of and quoted(field.one_of) or "a string")
  end,
  allowed = function(field)
    local text = count_text(field, "a list", "strings")
    return field.one_of and (text .. ", each of them one of " .. quoted(field.one_of)) or text
  end,
}
known.map = {
  check = function(field, v)
    if type(v) ~= "table" or types.is_opaque(v) then return false end
    local copy, count = {}, 0
    for key, value in pairs(v) do
      local ok, normal = scalar(field, value)
      if type(key) ~= "string" or not ok then
        return false, nil, { key, "is " .. types.show_in(field, value) .. "; allowed: a name with a string, number or boolean" }
      end
      copy[key], count = normal, count + 1
    end
    return within(count, field), copy
  end,
  allowed = function(field) return count_text(field, "a table", "names with strings, numbers or booleans") end,
}
known.tables = {
  check = function(field, v)
    return check_list(v, field, function(element)
      return type(element) == "table" and not types.is_opaque(element), element
    end, "a table")
  end,
  allowed = function(field) return count_text(field, "a list", "tables") end,
}
known.any = {
  check = function(_, v) return true, v end,
  allowed = function() return "anything" end,
}

-- Values that other rooms make: their metatables say of what kind they are.
local function kind_of(v) return (debug.getmetatable(v) or {}).__kind end

known.match = {
  check = function(_, v) return kind_of(v) == "match", v end,
  allowed = function() return "match { ... }" end,
}
-- Which items of a signal a processor is asked about.
known.selection = {
  check = function(_, v) return type(v) == "boolean" or kind_of(v) == "match", v end,
  allowed = function() return "true, false or match { ... }" end,
}
-- One that ends a chain: at_least only raises what another one says.
known.verdict = {
  check = function(_, v) return kind_of(v) == "verdict" and not tostring(v):find "^at_least", v end,
  allowed = function() return "drop(), keep() or sample(p)" end,
}

-- Remembers where in config.lua the component stands, for errors about its options.
local function set_path(element, run, keys, i)
  if element.path then return end
  local path = {}
  for _, key in ipairs(run and run.where.path or {}) do path[#path + 1] = key end
  for _, key in ipairs(keys or {}) do path[#path + 1] = key end
  path[#path + 1] = i
  element.path = path
end

local function components(kind)
  local example = kind .. ' "NAME" { ... }'
  return {
    check = function(field, v, run, keys)
      return check_list(v, field, function(element, i)
        if kind_of(element) ~= kind then return false end
        set_path(element, run, keys, i)
        return true, element
      end, example)
    end,
    allowed = function(field) return count_text(field, "a list", example) end,
  }
end
known.policies = components "policy"
known.exporters = components "exporter"
known.processors = components "processor"

-- type = { check = function(field, value, run, keys) -> ok, normal, why (a sentence after the key's
-- name, or { key below it, sentence }), allowed = function(field) -> text }. Replaces one of the same name.
function types.add(name, type_) known[name] = type_ end

function types.names()
  local names = {}
  for name in pairs(known) do names[#names + 1] = name end
  table.sort(names)
  return names
end

function types.check(field, value, run, keys) return known[field.type].check(field, value, run, keys) end
function types.allowed(field) return known[field.type].allowed(field) end

-- What may have been meant: the nearest of a fixed set, the number in a text, or this machine.
function types.near(field, value)
  if type(value) ~= "string" or field.secret then return "" end
  local port = field.type == "listen" and value:match "^localhost(:%d+)$"
  if port then return (' (did you mean "127.0.0.1%s"?)'):format(port) end
  if (field.type == "number" or field.type == "integer") and tonumber(value) then
    return (" (without quotes; env(\"NAME\", %s) gives a number too)"):format(value)
  end
  local near = field.one_of and host.nearest(value, field.one_of)
  return near and (' (did you mean "' .. near .. '"?)') or ""
end

return types
