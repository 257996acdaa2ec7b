-- The http block.
local EMPTY = { content_length = 0 }

local function call(compat)
  compat.namespace = "remote"
  return compat
end

return {
  {
    "a server of the old conventions",
    span = { kind = "server", attrs = {
      { "http.method", "GET" }, { "http.scheme", "https" }, { "http.host", "api.example.com:8443" }, { "http.target", "/x?y=1" },
      { "http.status_code", 200 }, { "http.user_agent", "curl/8" },
    } },
    compat = { name = "api.example.com:8443", http = {
      request = { method = "GET", url = "https://api.example.com:8443/x?y=1", user_agent = "curl/8" }, response = { status = 200, content_length = 0 },
    } },
  },
  {
    "a server of the new conventions",
    span = { kind = "server", attrs = {
      { "http.request.method", "GET" }, { "url.scheme", "https" }, { "server.address", "shop.example" }, { "server.port", 443 }, { "url.path", "/x" },
      { "url.query", "a=b" }, { "http.response.status_code", 200 }, { "client.address", "10.0.0.1" }, { "user_agent.original", "Mozilla" },
    } },
    compat = { http = {
      request = { method = "GET", url = "https://shop.example/x?a=b", user_agent = "Mozilla", client_ip = "10.0.0.1", x_forwarded_for = true },
      response = { status = 200, content_length = 0 },
    } },
  },
  {
    "a port that is not the scheme's stays", span = { kind = "server", attrs = { { "net.host.name", "web" }, { "net.host.port", 8080 } } },
    compat = { http = { request = { url = "http://web:8080/" }, response = EMPTY } },
  },
  {
    "the scheme's own port goes", span = { kind = "server", attrs = { { "net.host.name", "web" }, { "net.host.port", "80" }, { "http.target", "/t" } } },
    compat = { http = { request = { url = "http://web/t" }, response = EMPTY } },
  },
  {
    "http.server_name comes before net.host.name", span = { kind = "server", attrs = { { "net.host.name", "b" }, { "http.server_name", "a" } } },
    compat = { http = { request = { url = "http://a/" }, response = EMPTY } },
  },
  {
    "a client's host is its peer", span = { kind = "client", attrs = { { "http.method", "PUT" }, { "net.peer.name", "db" }, { "net.peer.port", 8080 }, { "http.target", "/p" } } },
    compat = call { name = "db", http = { request = { method = "PUT", url = "http://db:8080/p" }, response = EMPTY } },
  },
  {
    "a client's peer may be an address", span = { kind = "client", attrs = { { "http.method", "GET" }, { "net.peer.ip", "10.1.2.3" } } },
    compat = call { http = { request = { method = "GET", url = "http://10.1.2.3/", client_ip = "10.1.2.3" }, response = EMPTY } },
  },
  {
    "a whole URL is taken as it is", span = { kind = "client", attrs = { { "url.full", "https://a/b?c#d" }, { "http.host", "x" } } },
    compat = call { name = "x", http = { request = { url = "https://a/b?c#d" }, response = EMPTY } },
  },
  {
    "a client of the new conventions",
    span = { kind = "client", attrs = { { "http.request.method", "GET" }, { "server.address", "api" }, { "server.port", 8080 }, { "url.path", "/p" }, { "url.query", "?q" } } },
    compat = call { http = { request = { method = "GET", url = "http:///p?q" }, response = EMPTY } },
    default = { name = "api", http = { request = { method = "GET", url = "http://api:8080/p?q" }, response = EMPTY } },
  },
  {
    "with a peer the client's address was not forwarded", span = { kind = "server", attrs = { { "http.client_ip", "9.9.9.9" }, { "net.peer.ip", "10.1.2.3" } } },
    compat = { http = { request = { client_ip = "9.9.9.9", url = "http:///" }, response = EMPTY } },
  },
  {
    "the first address in order is the client's", span = { kind = "server", attrs = { { "network.peer.address", "::1" }, { "net.peer.ip", "10.1.2.3" }, { "http.method", "GET" } } },
    compat = { http = { request = { method = "GET", client_ip = "::1", url = "http:///" }, response = EMPTY } },
  },
  {
    "what is no address counts for nothing", span = { kind = "server", attrs = { { "http.method", "GET" }, { "network.peer.address", "unix" }, { "client.address", "010.1.1.1" } } },
    compat = { http = { request = { method = "GET" }, response = EMPTY } },
  },
  {
    "a status that is text", span = { kind = "server", attrs = { { "http.status_code", "500" } } },
    compat = { http = { request = {}, response = { status = 0, content_length = 0 } } },
    default = { fault = true, http = { request = {}, response = { status = 500, content_length = 0 } } },
  },
  {
    "a path alone is no URL", span = { kind = "server", attrs = { { "http.method", "GET" }, { "http.target", "/p" }, { "server.port", 81 } } },
    compat = { http = { request = { method = "GET" }, response = EMPTY } },
  },
  {
    "the size that a span received",
    span = { attrs = { { "http.method", "GET" }, { "message.type", "RECEIVED" }, { "messaging.message_payload_size_bytes", 17 } } },
    compat = {
      http = { request = { method = "GET" }, response = { content_length = 17 } },
      metadata = { default = { ["message.type"] = "RECEIVED", ["messaging.message_payload_size_bytes"] = 17 } },
    },
  },
  {
    "the size that an event says",
    span = { attrs = { { "http.method", "GET" } }, events = {
      { name = "m", attrs = { { "message.type", "SENT" }, { "messaging.message_payload_size_bytes", 3 } } },
      { name = "m", attrs = { { "message.type", "RECEIVED" }, { "messaging.message_payload_size_bytes", 5 } } },
    } },
    compat = { http = { request = { method = "GET" }, response = { content_length = 5 } } },
  },
  {
    "of two methods the later one counts", span = { attrs = { { "http.method", "GET" }, { "http.request.method", "PUT" } } },
    compat = { http = { request = { method = "PUT" }, response = EMPTY } },
  },
  {
    "with v1 the old conventions are metadata", only = "default", options = { semconv = "v1" },
    span = { kind = "server", attrs = { { "http.method", "GET" }, { "http.status_code", 500 }, { "http.request.method", "PUT" } } },
    default = {
      http = { request = { method = "PUT" }, response = EMPTY },
      metadata = { default = { ["http.method"] = "GET", ["http.status_code"] = 500 } },
    },
  },
  {
    "with v0 a call of the new conventions has no host", only = "default", options = { semconv = "v0" },
    span = { kind = "client", attrs = { { "http.request.method", "GET" }, { "server.address", "api" }, { "network.peer.port", 81 } } },
    default = { namespace = "remote", http = { request = { method = "GET", url = "http:///" }, response = EMPTY }, metadata = { default = { ["network.peer.port"] = 81 } } },
  },
}
