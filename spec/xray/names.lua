-- Names, namespaces, types, times.
local g = require "support.xray_golden"

local long = ("x"):rep(199)

return {
  {
    "a server's local service names it", resource = { ["service.name"] = "shop" },
    span = { kind = "server", attrs = { { "aws.local.service", "local" } } },
    compat = { name = "local", metadata = { default = { ["aws.local.service"] = "local", ["otel.resource.service.name"] = "shop" } } },
  },
  {
    "an internal span that is no local root has its own name", span = { attrs = { { "aws.local.service", "local" } } },
    compat = { metadata = { default = { ["aws.local.service"] = "local" } } },
  },
  {
    "a call's remote service names it", span = { kind = "client", parent = true, attrs = { { "aws.remote.service", "billing" } } },
    compat = { name = "billing", type = "subsegment", namespace = "remote", metadata = { default = { ["aws.remote.service"] = "billing" } } },
  },
  {
    "AWS.SDK. is no part of an AWS service's name",
    span = { kind = "client", parent = true, attrs = { { "rpc.system", "aws-api" }, { "aws.remote.service", "AWS.SDK.S3" } } },
    compat = { name = "S3", type = "subsegment", namespace = "aws", metadata = { default = { ["rpc.system"] = "aws-api", ["aws.remote.service"] = "AWS.SDK.S3" } } },
  },
  {
    "AWS:: is no part of an AWS service's name",
    span = { kind = "client", parent = true, attrs = { { "rpc.system", "aws-api" }, { "aws.remote.service", "AWS::DynamoDB" } } },
    compat = { name = "DynamoDB", type = "subsegment", namespace = "aws", metadata = { default = { ["rpc.system"] = "aws-api", ["aws.remote.service"] = "AWS::DynamoDB" } } },
  },
  {
    "other systems keep the prefix", span = { kind = "client", parent = true, attrs = { { "aws.remote.service", "AWS::S3" } } },
    compat = { name = "AWS::S3", type = "subsegment", namespace = "remote", metadata = { default = { ["aws.remote.service"] = "AWS::S3" } } },
  },
  {
    "peer.service comes before aws.service", span = { kind = "client", parent = true, attrs = { { "aws.service", "SQS" }, { "peer.service", "peer" } } },
    compat = { name = "peer", type = "subsegment", namespace = "remote", metadata = { default = { ["aws.service"] = "SQS", ["peer.service"] = "peer" } } },
  },
  {
    "aws.service names it and makes it AWS's", span = { parent = true, attrs = { { "aws.service", "SQS" } } },
    compat = { name = "SQS", type = "subsegment", namespace = "aws", metadata = { default = { ["aws.service"] = "SQS" } } },
  },
  {
    "a database is named with its host",
    span = { kind = "client", parent = true, attrs = { { "db.name", "shop" }, { "db.connection_string", "jdbc:mysql://db.example.com:3306" } } },
    compat = {
      name = "shop@db.example.com", type = "subsegment", namespace = "remote",
      metadata = { default = { ["db.name"] = "shop", ["db.connection_string"] = "jdbc:mysql://db.example.com:3306" } },
    },
  },
  {
    "a connection string that is no URL has no host", span = { kind = "client", parent = true, attrs = { { "db.name", "shop" }, { "db.connection_string", "Server=db;User=x" } } },
    compat = {
      name = "shop", type = "subsegment", namespace = "remote",
      metadata = { default = { ["db.name"] = "shop", ["db.connection_string"] = "Server=db;User=x" } },
    },
  },
  {
    "a server is named after its service", resource = { ["service.name"] = "shop" }, span = { kind = "server", parent = true },
    compat = { name = "shop", metadata = { default = { ["otel.resource.service.name"] = "shop" } } },
  },
  {
    "only a server is named after its service", resource = { ["service.name"] = "shop" }, span = { parent = true },
    compat = { type = "subsegment" },
  },
  {
    "rpc.service names it", span = { kind = "client", parent = true, attrs = { { "rpc.service", "Cart" }, { "http.host", "h" } } },
    compat = {
      name = "Cart", type = "subsegment", namespace = "remote", metadata = { default = { ["rpc.service"] = "Cart" } },
      http = { request = { url = "http://h/" }, response = { content_length = 0 } },
    },
  },
  {
    "http.host names it", span = { kind = "client", parent = true, attrs = { { "http.host", "api.example.com" } } },
    compat = { name = "api.example.com", type = "subsegment", namespace = "remote", http = { request = { url = "http://api.example.com/" }, response = { content_length = 0 } } },
  },
  {
    "net.peer.name names it, and is used up without an http block",
    span = { kind = "client", parent = true, attrs = { { "net.peer.name", "redis" }, { "net.peer.port", 6379 } } },
    compat = { name = "redis", type = "subsegment", namespace = "remote" },
  },
  { "a span's name loses what X-Ray refuses", span = { name = "a|b*c?d <e>_.:/%&#=+-@1" }, compat = { name = "abcd e_.:/%&#=+-@1" } },
  { "letters of all alphabets stay", span = { name = "größe 日本 ключ ²" }, compat = { name = "größe 日本 ключ " } },
  { "a long name is cut", span = { name = long .. "é" }, compat = { name = long .. "\239\191\189" }, default = { name = long } },
  { "a name of nothing is span", span = { name = "???" }, compat = { name = "span" } },
  {
    "the name of a service is taken as it is", resource = { ["service.name"] = "shop|1" }, span = { kind = "server" },
    compat = { name = "shop|1", metadata = { default = { ["otel.resource.service.name"] = "shop|1" } } }, default = { name = "shop1" },
  },
  {
    "service.peer.name is of the new conventions", span = { attrs = { { "service.peer.name", "peer" } } },
    compat = { metadata = { default = { ["service.peer.name"] = "peer" } } }, default = { name = "peer" },
  },
  { "server.address names a call of the new conventions", span = { kind = "client", attrs = { { "server.address", "api" } } }, compat = { namespace = "remote" }, default = { name = "api" } },
  {
    "db.namespace names a database of the new conventions", span = { attrs = { { "db.namespace", "orders" } } },
    compat = { metadata = { default = { ["db.namespace"] = "orders" } } }, default = { name = "orders" },
  },
  { "a kind that is not said is no server", span = { kind = "unspecified", parent = true }, compat = { type = "subsegment" } },
  {
    "a consumer is a segment, also below another span",
    span = { kind = "consumer", parent = true, attrs = { { "aws.remote.service", "queue" } } },
    compat = { name = "queue", metadata = { default = { ["aws.remote.service"] = "queue" } } },
  },
  { "a producer calls something remote", span = { kind = "producer", parent = true }, compat = { type = "subsegment", namespace = "remote" } },
  { "a client without a parent is a segment", span = { kind = "client" }, compat = { namespace = "remote" } },
  {
    "times have all their digits", span = { start_ns = "1700000000123456789", end_ns = "1700000000123456999" },
    compat = { start_time = 1700000000.1234567, end_time = 1700000000.123457 },
  },
  { "a span without an end", span = { end_ns = "0" }, compat = { end_time = 0 }, default = { end_time = g.GONE, in_progress = true } },
  { "an attribute says that it goes on", span = { attrs = { { "aws.xray.inprogress", true } } }, compat = { end_time = g.GONE, in_progress = true } },
  { "an attribute says that it is over", span = { attrs = { { "aws.xray.inprogress", false } } } },
}
