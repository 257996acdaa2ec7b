-- User, annotations, metadata, links.
local g = require "support.xray_golden"

local long = ("ä"):rep(1001)
local OWN = "Root=1-5f84c7a1-e7d1852db8c4fd35d88bf49a;Parent=53995c3f42cd8ad8;Sampled=1"
local OTHER = "Self=1-67891234-12456789abcdef012345678a;Sampled=1;Parent=53995c3f42cd8ad8;Root=1-67891233-abcdef012345678912345678"

return {
  {
    "metadata has every type",
    span = { attrs = {
      { "s", "té\nxt" }, { "i", g.int "9007199254740993" }, { "d", 0.1 }, { "w", g.double "3" }, { "b", false }, { "l", { 1, { "x" } } },
      { "e", {} }, { "m", g.map { { "k", { true } } } }, { "y", g.bytes "AP8=" },
    } },
    compat = { metadata = { default = { s = "té\nxt", i = 9007199254740993, d = 0.1, w = 3, b = false, l = { 1, { "x" } }, e = {}, m = { k = { true } }, y = "AP8=" } } },
  },
  {
    "a segment has its resource, a subsegment not", resource = { ["service.name"] = "shop", zone = { "a" } }, span = {},
    compat = { metadata = { default = { ["otel.resource.service.name"] = "shop", ["otel.resource.zone"] = { "a" } } } },
  },
  {
    "what is to be indexed is", options = { indexed_attributes = { "tier", "list", "otel.resource.team", "http.method" } }, resource = { team = "red", zone = "z" },
    span = { attrs = { { "tier", "gold" }, { "list", { 1 } }, { "other", 1 }, { "http.method", "GET" } } },
    compat = {
      http = { request = { method = "GET" }, response = { content_length = 0 } },
      annotations = { tier = "gold", ["otel.resource.team"] = "red", ["http.method"] = "GET" },
      metadata = { default = { other = 1, ["otel.resource.zone"] = "z" } },
    },
  },
  {
    "all can be indexed", options = { index_all_attributes = true }, resource = { team = "red", zone = { "z" } },
    span = { attrs = { { "a", 1 }, { "b", true }, { "c", { 1 } }, { "aws.xray.metadata.x", "{}" }, { "aws.xray.annotation.t", "u" } } },
    compat = {
      annotations = { a = 1, b = true, ["otel.resource.team"] = "red", ["aws.xray.metadata.x"] = "{}", ["aws.xray.annotation.t"] = "u" },
      metadata = { default = { ["otel.resource.zone"] = { "z" } } },
    },
    default = {
      annotations = { a = 1, b = true, ["otel.resource.team"] = "red", ["aws.xray.metadata.x"] = "{}", t = "u" },
      metadata = { default = { ["otel.resource.zone"] = { "z" }, c = { 1 } } },
    },
  },
  {
    "a span says itself what is to be indexed", span = { attrs = { { "a", 1 }, { "b", 2 }, { "aws.xray.annotations", { "a", 7 } } } },
    compat = { annotations = { a = 1 }, metadata = { default = { b = 2 } } },
  },
  { "if it says so by a list", span = { attrs = { { "a", 1 }, { "aws.xray.annotations", "a" } } }, compat = { metadata = { default = { a = 1, ["aws.xray.annotations"] = "a" } } } },
  {
    "a name says that it is to be indexed", span = { attrs = { { "aws.xray.annotation.team", "red" }, { "aws.xray.annotation.list", { 1 } } } },
    compat = { metadata = { default = { ["aws.xray.annotation.team"] = "red", ["aws.xray.annotation.list"] = { 1 } } } },
    default = { annotations = { team = "red" }, metadata = { default = { ["aws.xray.annotation.list"] = { 1 } } } },
  },
  {
    "keys of annotations are of letters, digits and dots", options = { index_all_attributes = true }, span = { attrs = { { "a.b-c/é d", "x" } } },
    compat = { annotations = { ["a.b_c___d"] = "x" } },
  },
  {
    "annotations have a length", options = { index_all_attributes = true }, span = { attrs = { { ("k"):rep(501), long } } },
    compat = { annotations = { [("k"):rep(501)] = long } }, default = { annotations = { [("k"):rep(500)] = ("ä"):rep(1000) } },
  },
  {
    "metadata in a namespace of its own", span = { attrs = { { "aws.xray.metadata.own", '{"x":{"y":[1,{},[]]},"z":null}' } } },
    compat = { metadata = { own = { x = { y = { 1, {}, {} } }, z = g.NULL } } },
  },
  {
    "metadata of the default one", span = { attrs = { { "aws.xray.metadata.Default", '{"x":1}' }, { "y", 2 } } },
    compat = { metadata = { default = { x = 1, y = 2 } } },
  },
  {
    "metadata that is no JSON object stays what it is", span = { attrs = { { "aws.xray.metadata.own", "[1]" }, { "aws.xray.metadata.n", 7 } } },
    compat = { metadata = { default = { ["aws.xray.metadata.own"] = "[1]", ["aws.xray.metadata.n"] = 7 } } },
  },
  { "the user", span = { attrs = { { "enduser.id", "ada" } } }, compat = { user = "ada" } },
  { "a user that is no text is nobody", span = { attrs = { { "enduser.id", 5 } } } },
  {
    "links", span = { links = { { trace_id = "0123456789abcdef0123456789abcdef", id = "0123456789abcdef", attrs = { { "k", { 1 } } } }, { trace_id = "f123456789abcdef0123456789abcdef", id = "f123456789abcdef" } } },
    compat = { links = {
      { trace_id = "1-01234567-89abcdef0123456789abcdef", id = "0123456789abcdef", attributes = { k = { 1 } } },
      { trace_id = "1-f1234567-89abcdef0123456789abcdef", id = "f123456789abcdef" },
    } },
  },
  {
    "a tracing header of another trace is a link", span = { attrs = { { "messaging.message.AWSTraceHeader", OTHER } } },
    compat = { metadata = { default = { ["messaging.message.AWSTraceHeader"] = OTHER } } },
    default = { links = { { trace_id = "1-67891233-abcdef012345678912345678", id = "53995c3f42cd8ad8" } } },
  },
  {
    "one of the own trace is none", span = { attrs = { { "http.request.header.x-amzn-trace-id", { OWN } }, { "X-Amzn-Trace-Id", "Root=1-67891233-abcdef012345678912345678" } } },
    compat = { metadata = { default = { ["http.request.header.x-amzn-trace-id"] = { OWN }, ["X-Amzn-Trace-Id"] = "Root=1-67891233-abcdef012345678912345678" } } },
  },
}
