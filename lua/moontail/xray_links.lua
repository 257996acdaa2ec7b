-- Links of an X-Ray document: those of the span, and those that tracing headers in its attributes say.
local read = require "moontail.xray_read"

local M = {}

local HEADERS = { "x%-amzn%-trace%-id$", "x_amzn_trace_id$", "awstraceheader$" }

-- Whether an attribute of that name holds a tracing header.
local is_header = read.of_key(function(key)
  local is = false
  for _, pattern in ipairs(HEADERS) do is = is or key:lower():find(pattern) ~= nil end
  return is
end)

-- Root=1-..;Parent=..;Sampled=1 in any order -> trace id and span id as X-Ray writes them; nil without both.
function M.header(text)
  local root, parent
  for name, value in text:gmatch "(%a+)%s*=%s*([^;%s]+)" do
    name = name:lower()
    if name == "root" then root = value:lower() end
    if name == "parent" then parent = value:lower() end
  end
  if not root or not parent or #root ~= 35 or #parent ~= 16 then return nil end
  if not root:find "^1%-%x+%-%x+$" or root:sub(11, 11) ~= "-" or not parent:find "^%x+$" then return nil end
  return root, parent
end

local function texts_of(value)
  if type(value) == "string" then return { value } end
  return read.list(value) or {}
end

local function add_header(list, span, value)
  local own = read.trace_id(span.trace_id)
  for _, text in ipairs(texts_of(value)) do
    local trace_id, id = M.header(read.text(text))
    if trace_id and trace_id ~= own then list[#list + 1] = { trace_id = trace_id, id = id } end
  end
end

local function with_headers(list, span)
  local keys = span.keys
  for i = 1, #keys do
    if is_header(keys[i]) then
      list = list or {}
      add_header(list, span, span.attrs[keys[i]])
    end
  end
  return list
end

local ZERO_TRACE, ZERO_SPAN = ("0"):rep(32), ("0"):rep(16)

-- The list, or nil.
function M.of(span, m)
  local list
  if span.links then
    list = {}
    for i, link in ipairs(span.links) do
      list[i] = {
        trace_id = read.trace_id(link.trace_id or ZERO_TRACE), id = link.id or (m.compat and "" or ZERO_SPAN),
        attributes = next(link.attrs) and link.attrs or nil,
      }
    end
  end
  if not m.compat then list = with_headers(list, span) end
  return list and list[1] and list or nil
end

return M
