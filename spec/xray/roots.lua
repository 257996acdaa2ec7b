-- Local roots: what one span is of a service and of what that called.
local g = require "support.xray_golden"

local PLAIN = { auto_instrumentation = false }
local LOCAL = { "aws.span.kind", "LOCAL_ROOT" }
local CALL = { LOCAL, { "aws.local.service", "shop" }, { "aws.remote.service", "AWS.SDK.S3" }, { "aws.remote.operation", "Get" }, { "rpc.system", "aws-api" }, { "aws.region", "r" } }
local KEPT = { ["aws.span.kind"] = "LOCAL_ROOT", ["aws.local.service"] = "shop", ["rpc.system"] = "aws-api" }
local LINKS = { { trace_id = "0123456789abcdef0123456789abcdef", id = "0123456789abcdef" } }
local LINKED = { { trace_id = "1-01234567-89abcdef0123456789abcdef", id = "0123456789abcdef" } }

local function with_remote(members)
  local all = { ["aws.remote.service"] = "AWS.SDK.S3", ["aws.remote.operation"] = "Get" }
  for key, value in pairs(members) do all[key] = value end
  return all
end

return {
  {
    "a server is a segment", span = { kind = "server", parent = true, attrs = { LOCAL, { "aws.local.service", "shop" } } },
    compat = { name = "shop", metadata = { default = { ["aws.span.kind"] = "LOCAL_ROOT", ["aws.local.service"] = "shop" } } },
  },
  {
    "an internal span is a segment, without resource", resource = { team = "red" }, span = { parent = true, attrs = { LOCAL, { "aws.local.service", "shop" } } },
    compat = { name = "shop", metadata = { default = { ["aws.span.kind"] = "LOCAL_ROOT", ["aws.local.service"] = "shop" } } },
  },
  {
    "a call is a segment of the service and a subsegment of the call", resource = { team = "red" },
    span = { kind = "client", status = 2, message = "no", attrs = CALL, links = LINKS },
    compat = {
      parent_id = "#segment", type = "subsegment", name = "S3", namespace = "aws", fault = true, links = LINKED, metadata = { default = with_remote(KEPT) },
      aws = { region = "r", xray = PLAIN }, cause = { exceptions = { { id = "#1", type = "", message = "no" } } },
    },
    second = {
      id = "#segment", name = "shop", fault = true, metadata = { default = { ["otel.resource.team"] = "red" } },
      cause = { exceptions = { { id = "#2", type = "", message = "no" } } },
    },
  },
  {
    "of a consumer the segment has the links", span = { kind = "consumer", parent = true, attrs = { LOCAL, { "aws.remote.service", "queue" }, { "http.method", "GET" } }, links = LINKS },
    compat = {
      parent_id = "#segment", type = "subsegment", name = "queue", namespace = "remote", http = { request = { method = "GET" }, response = { content_length = 0 } },
      metadata = { default = { ["aws.span.kind"] = "LOCAL_ROOT", ["aws.remote.service"] = "queue" } },
    },
    second = { id = "#segment", links = LINKED, metadata = { default = {} } },
  },
  {
    "the service's name may be the resource's", resource = { ["service.name"] = "shop" }, span = { kind = "producer", parent = true, attrs = { LOCAL } },
    compat = { parent_id = "#segment", type = "subsegment", namespace = "remote", metadata = { default = { ["aws.span.kind"] = "LOCAL_ROOT" } } },
    second = { id = "#segment", name = "shop", metadata = { default = {} } },
  },
  {
    "another cloud has no aws block to empty", only = "default", resource = { ["cloud.provider"] = "gcp" }, span = { kind = "client", parent = true, attrs = { LOCAL } },
    default = { parent_id = "#segment", type = "subsegment", namespace = "remote", aws = g.GONE, metadata = { default = { ["aws.span.kind"] = "LOCAL_ROOT" } } },
    second = { id = "#segment", aws = g.GONE, metadata = { default = {} } },
  },
}
