-- json, hex, base64, sha256, hmac_sha256, url_encode, iso8601, log.
local core = require "moontail.policy_core"
local env = require "moontail.env"

local type, error, tostring, pairs = type, error, tostring, pairs
local format, floor, concat, sort = string.format, math.floor, table.concat, table.sort
local null = core.json_null
local secret_meta = debug.getmetatable

local M = { api = {} }
local api = M.api

local function text_of(value, what, level)
  if type(value) == "string" then return value end
  error(what .. " takes a string, not " .. type(value), level or 3)
end

-- ---- encodings and digests ----

for _, name in ipairs { "hex", "base64", "sha256" } do
  local fn = core[name]
  api[name] = function(s)
    local result = fn(text_of(s, name))
    return result
  end
end

function api.hmac_sha256(key, s)
  local result = core.hmac_sha256(text_of(key, "hmac_sha256"), text_of(s, "hmac_sha256"))
  return result
end

-- RFC 3986: all but unreserved characters.
function api.url_encode(s)
  local result = text_of(s, "url_encode"):gsub("[^%w._~-]", function(c) return format("%%%02X", c:byte()) end)
  return result
end

-- Unix time in milliseconds -> "2023-11-14T22:13:20.000Z"; the calendar of Hinnant's civil_from_days.
function api.iso8601(ms)
  if type(ms) ~= "number" or not (ms >= -62135596800000 and ms < 253402300800000) then
    error("iso8601 takes Unix milliseconds of the years 1 to 9999, not " .. tostring(ms), 2)
  end
  local days, rest = floor(ms / 86400000), ms % 86400000
  local z = days + 719468
  local era = floor(z / 146097)
  local doe = z - era * 146097
  local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
  local mp = floor((5 * doy + 2) / 153)
  local day, month = doy - floor((153 * mp + 2) / 5) + 1, mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return format("%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", year, month, day, floor(rest / 3600000), floor(rest / 60000) % 60, floor(rest / 1000) % 60, floor(rest % 1000))
end

-- ---- JSON ----

local MAX_DEPTH = 64

local function number_text(n)
  if n ~= n or n == math.huge or n == -math.huge then error("JSON has no " .. tostring(n), 0) end
  return n % 1 == 0 and n > -2 ^ 53 and n < 2 ^ 53 and format("%.0f", n) or format("%.17g", n)
end

local put

local function put_list(out, list, depth)
  for key in pairs(list) do
    if type(key) ~= "number" then
      error("a table for JSON is a list or has string keys; this one has the key " .. tostring(key) .. " beside 1 to " .. #list, 0)
    end
  end
  out[#out + 1] = "["
  for i = 1, #list do
    if i > 1 then out[#out + 1] = "," end
    put(out, list[i], depth)
  end
  out[#out + 1] = "]"
end

local function put_map(out, map, depth)
  local keys = {}
  for key in pairs(map) do
    if type(key) ~= "string" then error("a table for JSON is a list or has string keys; this one has the key " .. tostring(key), 0) end
    keys[#keys + 1] = key
  end
  sort(keys) -- the same table is the same text
  out[#out + 1] = "{"
  for i, key in ipairs(keys) do
    if i > 1 then out[#out + 1] = "," end
    out[#out + 1] = core.json_string(key)
    out[#out + 1] = ":"
    put(out, map[key], depth)
  end
  out[#out + 1] = "}"
end

function put(out, value, depth)
  local kind = type(value)
  if kind == "string" then
    out[#out + 1] = core.json_string(value)
  elseif kind == "number" then
    out[#out + 1] = number_text(value)
  elseif kind == "boolean" then
    out[#out + 1] = tostring(value)
  elseif value == nil or value == null then
    out[#out + 1] = "null"
  elseif kind ~= "table" or secret_meta(value) then
    error("JSON can't have a " .. kind .. (kind == "table" and " of that kind" or ""), 0)
  elseif depth == MAX_DEPTH then
    error("a table for JSON is nested deeper than " .. MAX_DEPTH, 0)
  elseif #value > 0 then
    put_list(out, value, depth + 1)
  else
    put_map(out, value, depth + 1)
  end
end

local function encode(value)
  local out = {}
  put(out, value, 0)
  return concat(out)
end

api.json = env.frozen({
  null = null,
  -- Keys are sorted; an empty table is {}.
  encode = function(value)
    local ok, result = pcall(encode, value)
    if not ok then error(result, 2) end
    return result
  end,
  -- The value; or nil and why it is none. null is json.null.
  decode = function(text)
    local value, why = core.json_decode(text_of(text, "json.decode"))
    return value, why
  end,
}, "json")

-- ---- log ----

api.log = env.frozen({
  info = function(...) core.log("info", env.line_of(...)) end,
  warn = function(...) core.log("warn", env.line_of(...)) end,
}, "log")

return M
