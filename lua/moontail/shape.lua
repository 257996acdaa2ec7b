-- shape(fields): the values that some fields have on the spans of a trace, as one text: a key for limits
-- and the like. It is read in C.
local access = require "moontail.access"
local core = require "moontail.policy_core"
local env = require "moontail.env"

local getmetatable, error, type, tostring = getmetatable, error, type, tostring
local read_shape, reader, value_of, check = access.shape, access.reader, access.value_of, access.check

local FIELD, ANY_ATTR = 0, 10 -- enum match_place
local SPANS = { all = 0, entry = 1, root = 2 } -- enum shape_spans
local VIEWS = { http = true, db = true, rpc = true }
local MAX_FIELDS = 32
local ABSENT = 0

local M = { api = {} }

-- "name", "http.route": a field of a span or a view; all others are attributes.
function M.place_of(name)
  local field = access.fields.span[name]
  if field then return FIELD, field.number end
  local view, rest = name:match "^(%a+)%.([%w_]+)$"
  field = VIEWS[view] and access.fields[view][rest]
  if field then return FIELD, field.number end
  return ANY_ATTR, 0, name
end

local methods = {}
local Shape = { __metatable = "shape" }
M.methods = methods

function Shape.__index(_, key) return methods[key] or error("shape has no '" .. tostring(key) .. "'" .. env.hint(key, methods), 2) end
function Shape.__newindex(_, key) error("shape can't be changed: '" .. tostring(key) .. "'", 2) end
function Shape.__tostring() return "shape" end

local held = setmetatable({}, { __mode = "k" }) -- by shape: { fields, spans }

function methods.of(self, trace)
  if getmetatable(self) ~= "shape" then error("call it as shape:of(trace)", 2) end
  if getmetatable(trace) ~= "trace" then error("shape:of takes the trace, not " .. type(trace), 2) end
  check(trace, "trace")
  local what = held[self]
  local kind = read_shape(reader, what[1], what[2])
  if kind == ABSENT then error("not enough memory", 0) end
  return value_of(kind)
end

function M.api.shape(fields, spans)
  if reader.number ~= 0 then error("shape inside of decide would be made for every trace: write it at file level or in setup", 2) end
  if type(fields) ~= "table" or #fields == 0 then error('shape takes a list of fields: shape { "service", "http.route" }', 2) end
  if #fields > MAX_FIELDS then error("shape takes " .. MAX_FIELDS .. " fields at most", 2) end
  if spans ~= nil and not SPANS[spans] then error('shape reads "all", "entry" or "root" spans, not ' .. tostring(spans), 2) end
  local terms = core.match_new()
  for i, name in ipairs(fields) do
    if type(name) ~= "string" or name == "" then error("field " .. i .. " of shape is no name", 2) end
    local of_root = name:match "^root%.(.+)"
    local place, number, key = M.place_of(of_root or name)
    core.match_term(terms, place, number, key, of_root ~= nil)
  end
  local made = setmetatable({}, Shape)
  held[made] = { terms, SPANS[spans or "all"] }
  return made
end

return M
