-- The http block of an X-Ray document, from the attributes of the old conventions, the new ones, or both.
local core = require "moontail.policy_core"
local clear = require "table.clear"
local read = require "moontail.xray_read"

local is_address = core.is_address
local text, present = read.text, read.present

local M = {}

-- ---- what is taken from each attribute ----

-- Of a part: { method, client_ip, user_agent, status, is_http, has_url, peer, url = parts of it }.
local function request_field(name)
  return function(p, value)
    p[name] = present(value)
    p.is_http = true
  end
end

local function url_part(name, is_http, has_url)
  return function(p, value)
    p.url[name] = text(value)
    if is_http then p.is_http = true end
    if has_url then p.has_url = true end
  end
end

local ports = {}
for _, port in ipairs { 80, 443, 8080 } do ports[port] = tostring(port) end

local function digits(value)
  local known = ports[value]
  if known then return known end
  local number = read.integer(value)
  return type(number) == "table" and number.json or ("%.0f"):format(number)
end

local function port_part(name, is_http)
  return function(p, value)
    local port = text(value)
    if port == "" then port = digits(value) end
    p.url[name] = port
    if is_http then p.is_http = true end
  end
end

local function status(p, value)
  p.status = read.integer(value, p.lenient)
  p.is_http = true
end

local function peer_address(p, value)
  p.client_ip = p.client_ip or present(value)
  p.has_url, p.peer = true, true
end

local function peer_ip(p, value)
  peer_address(p, value)
  p.url.peer_ip = text(value)
end

local function valid_peer_address(p, value)
  if is_address(text(value)) then peer_address(p, value) end
end

local function client_address(p, value)
  if is_address(text(value)) then p.client_ip = text(value) end
end

local OLD = {
  ["http.method"] = request_field "method",
  ["http.client_ip"] = request_field "client_ip",
  ["http.user_agent"] = request_field "user_agent",
  ["http.status_code"] = status,
  ["http.url"] = url_part("whole", true, true),
  ["http.scheme"] = url_part("scheme", true),
  ["http.host"] = url_part("http_host", true, true),
  ["http.target"] = url_part("target", true),
  ["http.server_name"] = url_part("server_name", true, true),
  ["net.host.port"] = port_part("host_port", true),
  ["host.name"] = url_part("host_name", false, true),
  ["net.host.name"] = url_part("net_host", false, true),
  ["net.peer.name"] = url_part("peer_name", false, true),
  ["net.peer.port"] = port_part "peer_port",
  ["net.peer.ip"] = peer_ip,
}

local NEW = {
  ["http.request.method"] = request_field "method",
  ["user_agent.original"] = request_field "user_agent",
  ["http.response.status_code"] = status,
  ["url.full"] = url_part("whole", true, true),
  ["url.scheme"] = url_part("scheme", true),
  ["url.path"] = url_part("path", true),
  ["url.query"] = url_part("query", true),
  ["server.address"] = url_part("server_address", false, true),
  ["server.port"] = port_part "server_port",
  ["network.peer.address"] = valid_peer_address,
  ["client.address"] = client_address,
}

local function union(a, b)
  local all = {}
  for key, value in pairs(a) do all[key] = value end
  for key, value in pairs(b) do all[key] = value end
  return all
end

-- The collector's exporter reads the new names of HTTP too.
M.readers = { v0 = union(OLD, NEW), both = union(OLD, NEW), v1 = NEW }
M.readers.both["network.peer.port"] = port_part "network_port"
M.readers.v1["network.peer.port"] = port_part "network_port"

-- ---- the URL ----

local function client_host(url, semconv)
  local host = url.peer_name or url.peer_ip
  local port = url.peer_port
  if semconv ~= "v0" then
    host = host or url.server_address
    port = port or url.server_port or url.network_port
  end
  return host or "", port or ""
end

local function server_host(url)
  return url.server_name or url.net_host or url.host_name or url.server_address or "", url.host_port or url.server_port or ""
end

local DEFAULT_PORT = { http = "80", https = "443" }

local function path_of(url)
  if url.target then return url.target end
  local path = url.path or "/"
  if not url.query then return path end
  return path .. (url.query:sub(1, 1) == "?" and "" or "?") .. url.query
end

local function url_of(url, is_server, semconv)
  if url.whole then return url.whole end
  local scheme, host, port = url.scheme or "http", url.http_host, ""
  if not host then
    if is_server then
      host, port = server_host(url)
    else
      host, port = client_host(url, semconv)
    end
  end
  if port == "" or DEFAULT_PORT[scheme] == port then return scheme .. "://" .. host .. path_of(url) end
  return scheme .. "://" .. host .. ":" .. port .. path_of(url)
end

-- ---- the block ----

local function size_in(attrs)
  if attrs["message.type"] ~= "RECEIVED" then return 0 end
  return read.integer(attrs["messaging.message_payload_size_bytes"])
end

local function content_length(span)
  local size = size_in(span.attrs)
  if size ~= 0 or not span.events then return size end
  for _, event in ipairs(span.events) do
    size = size_in(event.attrs)
    if size ~= 0 then return size end
  end
  return 0
end

-- Takes the attributes of HTTP into `p`, in order.
local function take(p, span, m)
  local readers, attrs, keys = m.http, span.attrs, span.keys
  for i = 1, #keys do
    local key = keys[i]
    local reader, value = readers[key], attrs[key]
    if reader and value ~= nil then -- nil: it is there twice
      reader(p, value)
      attrs[key] = nil
    end
  end
end

-- For one span after the other.
local part, url_parts = {}, {}

-- The block, or nil; what it took is gone from the attributes.
function M.block(span, m)
  local p = part
  clear(p)
  clear(url_parts)
  p.url, p.lenient = url_parts, not m.compat
  take(p, span, m)
  if not p.is_http then return nil end
  return {
    request = {
      method = p.method,
      user_agent = p.user_agent,
      client_ip = p.client_ip,
      x_forwarded_for = p.client_ip and not p.peer or nil,
      url = p.has_url and present(url_of(p.url, span.kind == "server", m.semconv)) or nil,
    },
    response = { status = p.status, content_length = content_length(span) },
  }
end

-- The number that says how the request ended, or nil.
function M.status(attrs, m)
  local code
  if m.semconv ~= "v1" then code = attrs["http.status_code"] end
  if code == nil then code = attrs["http.response.status_code"] end
  if code == nil then return nil end
  return tonumber(read.integer(code, not m.compat)) or 0
end

return M
