-- The tree of a condition of OTTL as text of Lua, for who has to write it: what can't be said so is a comment
-- that names what it was.
local M = {}

local FIELDS = {
  span = {
    name = "span.name",
    kind = "span.kind",
    ["kind.string"] = "span.kind",
    ["status.code"] = "span.status",
    ["status.message"] = "span.status_message",
    ["span_id.string"] = "span.id",
    ["trace_id.string"] = "trace.id",
    ["parent_span_id.string"] = "span.parent_id",
    start_time_unix_nano = "span.start_ms * 1e6",
  },
  scope = { name = "span.scope.name", version = "span.scope.version" },
  spanevent = { name = "event.name" },
}
local OWNERS = { span = "span", resource = "span.resource", scope = "span.scope", spanevent = "event" }

local ENUMS = {
  STATUS_CODE_UNSET = "unset", STATUS_CODE_OK = "ok", STATUS_CODE_ERROR = "error",
  SPAN_KIND_UNSPECIFIED = "unspecified", SPAN_KIND_INTERNAL = "internal", SPAN_KIND_SERVER = "server",
  SPAN_KIND_CLIENT = "client", SPAN_KIND_PRODUCER = "producer", SPAN_KIND_CONSUMER = "consumer",
}

local function unknown(node, run) return "nil --[[ " .. run.source(node):gsub("%]%]", "] ]") .. " ]]" end

local function quoted(text) return ("%q"):format(text):gsub("\\\n", "\\n") end

local function path(node, run)
  local owner, name = run.owner_of(node)
  if name == "attributes" and #node.keys == 1 and OWNERS[owner] then
    return OWNERS[owner] .. ":attr(" .. quoted(tostring(node.keys[1])) .. ")"
  end
  local known = #node.keys == 0 and FIELDS[owner] and FIELDS[owner][name]
  return known or unknown(node, run)
end

local CALLS = {
  IsMatch = { 2, "span:matches(m) --[[ local m = match { attr = { [...] = regex %s } }, above ]]" },
  HasPrefix = { 2, "text.starts(%s, %s)" },
  HasSuffix = { 2, "text.ends(%s, %s)" },
  IsRootSpan = { 0, "span.is_root" },
  Len = { 1, "#%s" },
  Int = { 1, "tonumber(%s)" },
  Double = { 1, "tonumber(%s)" },
  String = { 1, "tostring(%s)" },
  ToLowerCase = { 1, "text.lower(%s)" },
}

local write

local function call(node, run)
  local known = CALLS[node.name]
  if not known or known[1] ~= #node.args then return unknown(node, run) end
  local args = {}
  for i, arg in ipairs(node.args) do args[i] = write(arg, run) end
  if node.name == "IsMatch" then args = { args[2] } end
  return known[2]:format(unpack(args))
end

local function compare(node, run)
  local sign = node.sign == "!=" and "~=" or node.sign
  return write(node[1], run) .. " " .. sign .. " " .. write(node[2], run)
end

local function math_of(node, run)
  if node.sign == "-" and run.is_duration(node) then return "span.duration_ms" end
  return "(" .. write(node[1], run) .. " " .. node.sign .. " " .. write(node[2], run) .. ")"
end

local writers = {
  ["and"] = function(node, run) return "(" .. write(node[1], run) .. " and " .. write(node[2], run) .. ")" end,
  ["or"] = function(node, run) return "(" .. write(node[1], run) .. " or " .. write(node[2], run) .. ")" end,
  ["not"] = function(node, run) return "not (" .. write(node[1], run) .. ")" end,
  compare = compare,
  math = math_of,
  path = path,
  call = call,
  string = function(node) return quoted(node.value) end,
  number = function(node) return ("%.14g"):format(node.value) end,
  bool = function(node) return tostring(node.value) end,
  ["nil"] = function() return "nil" end,
  enum = function(node, run) return ENUMS[node.name] and quoted(ENUMS[node.name]) or unknown(node, run) end,
  bytes = function(node) return quoted(node.hex) end,
}

function write(node, run) return writers[node.op](node, run) end

local SPAN = [[
policy { name = "NAME", decide = function(trace)
  for _, span in trace:spans() do
    if %s then return keep() end
  end
end }]]

local EVENT = [[
policy { name = "NAME", decide = function(trace)
  for _, span in trace:spans() do
    for _, event in span:events() do
      if %s then return keep() end
    end
  end
end }]]

-- tree nil: it could not be read; condition is what was written.
-- run = { source = function(node) -> its text, owner_of = function(path) -> "span", "attributes",
-- is_duration = function(node) }.
function M.policy(tree, context, condition, run)
  local test = tree and write(tree, run) or ("--[[ " .. condition:gsub("%]%]", "] ]") .. " ]] false")
  return (context == "spanevent" and EVENT or SPAN):format(test)
end

return M
