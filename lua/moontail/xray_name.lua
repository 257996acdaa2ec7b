-- The name and the namespace of an X-Ray document.
local core = require "moontail.policy_core"
local read = require "moontail.xray_read"

local text = read.text

local M = {}

local NAME_MAX = 200 -- bytes
local EXTRA = " _.:/%&#=+-@"
local OUTGOING = { client = true, producer = true, consumer = true }

-- ---- the host of a connection string, as Go's net/url reads it ----

local function is_escaped(path)
  for at in path:gmatch "()%%" do
    if not path:find("^%%%x%x", at) then return false end
  end
  return true
end

local function host_of_authority(authority)
  local user, host = authority:match "^(.*)@(.*)$"
  if user and user:find "[^%w%-._:~!$&'()*+,;=%%@]" then return nil end
  host = host or authority
  local address, port = host:match "^%[([^%]]*)%](.*)$"
  if not address then
    address, port = host:match "^(.*)(:[^:]*)$"
  end
  if not address then return host end
  if port ~= "" and not port:find "^:%d*$" then return nil end
  return address
end

-- The host, or nil where the text is no URL, or has none.
local function url_host(url)
  if url:find "[%c\127]" then return nil end
  local rest = url:match "^[^#]*"
  local scheme, behind = rest:match "^(%a[%w+.-]*):(.*)$"
  rest = scheme and behind or rest
  if rest:sub(1, 2) ~= "//" then return nil end
  local authority, path = rest:match "^//([^/?]*)([^?]*)"
  local host = host_of_authority(authority)
  if not host or host == "" or host:find "[^%w%-_.~!$&'()*+,;=:%[%]<>\"\128-\255]" or not is_escaped(path) then return nil end
  return host
end

-- ---- names ----

function M.is_outgoing(span) return OUTGOING[span.kind] ~= nil end

function M.is_aws_sdk(attrs) return attrs["rpc.system"] == "aws-api" end

function M.is_local_root(attrs) return attrs["aws.span.kind"] == "LOCAL_ROOT" end

-- The name of a remote service, without the prefix that AWS SDKs are given.
function M.remote(attrs)
  local name = text(attrs["aws.remote.service"])
  if not M.is_aws_sdk(attrs) then return name end
  if name:sub(1, 8) == "AWS.SDK." then return name:sub(9) end
  if name:sub(1, 5) == "AWS::" then return name:sub(6) end
  return name
end

-- A name that is taken as it is, even where it is empty.
function M.given(name, m)
  if not m.compat then return M.clean(name, m) end
  return name ~= "" and name or core.json_null
end

local function cleaned(compat)
  return read.of_key(function(name)
    if name:find "[^%w _.:/%%&#=+%-@]" then name = core.letters(name, EXTRA) end
    name = compat and name:sub(1, NAME_MAX) or read.cut(name, NAME_MAX)
    return name ~= "" and name or "span"
  end)
end

local clean, clean_compat = cleaned(false), cleaned(true)

-- Without what X-Ray refuses in a name.
function M.clean(name, m)
  if m.compat then return clean_compat(name) end
  return clean(name)
end

local function database(span, m)
  local attrs, name = span.attrs, nil
  if m.semconv ~= "v1" then name = attrs["db.name"] end
  if name == nil and m.semconv ~= "v0" then name = attrs["db.namespace"] end
  if name == nil or (name == "" and not m.compat) then return "" end
  local connection = text(attrs["db.connection_string"])
  local host = connection ~= "" and url_host((connection:gsub("^jdbc:", ""))) or nil
  if not host and m.semconv ~= "v0" then host = read.present(attrs["server.address"]) end
  return host and text(name) .. "@" .. host or text(name)
end

local function of_service(span)
  if span.kind == "server" or (span.kind == "internal" and M.is_local_root(span.attrs)) then return text(span.attrs["aws.local.service"]) end
  return OUTGOING[span.kind] and M.remote(span.attrs) or ""
end

-- The first of the attributes that is a text and not empty.
local function first_of(attrs, names)
  for i = 1, #names do
    local name = attrs[names[i]]
    if type(name) == "string" and name ~= "" then return name end
  end
  return ""
end

local PEERS = { v0 = { "peer.service", "aws.service" }, v1 = { "peer.service", "service.peer.name", "aws.service" } }
local HOSTS = { "rpc.service", "http.host", "net.peer.name" }
PEERS.both = PEERS.v1

-- In order: the first that is not empty is the name; "" where none is.
local function found(span, m)
  local attrs = span.attrs
  local name = of_service(span)
  if name == "" then name = first_of(attrs, PEERS[m.semconv]) end
  if name == "" then name = database(span, m) end
  if name == "" and span.kind == "server" then name = text(span.resource.attrs["service.name"]) end
  if name == "" then name = first_of(attrs, HOSTS) end
  if name == "" and m.semconv ~= "v0" and span.kind ~= "server" then name = text(attrs["server.address"]) end
  return name
end

-- Whether it is the name itself that says that AWS was called.
local function is_of_aws(span, m)
  if span.attrs["aws.service"] == nil or of_service(span) ~= "" then return false end
  local peers = PEERS[m.semconv]
  for i = 1, #peers - 1 do
    if text(span.attrs[peers[i]]) ~= "" then return false end
  end
  return true
end

-- The name and the namespace, which may be nil.
function M.of(span, m)
  local name, namespace = found(span, m), (M.is_aws_sdk(span.attrs) or is_of_aws(span, m)) and "aws" or nil
  if name == "" then name = M.clean(span.name, m) elseif not m.compat then name = M.clean(name, m) end
  if not namespace and (span.kind == "client" or span.kind == "producer") then namespace = "remote" end
  return name, namespace
end

return M
