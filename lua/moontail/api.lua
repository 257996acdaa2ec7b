-- The script API, once: names, types, documentation. From it come the globals that scripts get
-- (moontail.policy), docs/policies-api.md and the file for editors (`moontail api`).
--
-- globals: { name, type, doc, only = "config" or "exporter" }; without it all scripts see the name.
-- classes: what the values have; a method's type begins with fun(. Types are LuaCATS.
local M = {}

M.aliases = {
  { "Value", "string|number|boolean|table", "of an attribute: integers beyond 2^53 are rounded, bytes are a string, lists and maps are a fresh copy" },
  { "Kind", '"unspecified"|"internal"|"server"|"client"|"producer"|"consumer"', "" },
  { "Status", '"unset"|"ok"|"error"', "" },
}

M.globals = {
  { group = "Conditions" },
  { "match", "fun(t:table):Matcher", "compiles a condition; all its fields hold on one span. At file level, in setup or in config.lua." },
  { "any", "Condition", "present, with any value" },
  { "none", "Condition", "absent" },
  { "glob", "fun(pattern:string):Condition", "`*` any run, `?` one byte, `\\` escapes; the whole value" },
  { "regex", "fun(pattern:string):Condition", "RE2 syntax, unanchored" },
  { "range", "fun(low?:number, high?:number):Condition", "from low to high, both included" },
  { "ottl", "fun(condition:string, context?:string):Matcher", 'compiles a condition of OTTL about a span, or with the context "spanevent" about an event' },
  { "shape", 'fun(fields:string[], spans?:"all"|"entry"|"root"):Shape', "which values some fields have on the spans of a trace: names of span fields, `http.route` and the like, or of attributes; with `root.` before it, of the root alone" },
  { "redaction", "fun(o?:{rules?:table<string, string|boolean>, action?:string, keys?:string[], values?:table<string, string>, ignore_keys?:string[], allow_values?:string[], hmac_key?:Secret|string}):Redaction", 'rules for span:redact, as processor "redact" takes them. At file level or in setup.' },
  { group = "Verdicts" },
  { "keep", "fun(reason?:string):Verdict", "keep the trace; reason is a metric label, at most 64 a policy" },
  { "drop", "fun(reason?:string):Verdict", "drop the trace" },
  { "sample", "fun(p:number, reason?:string):Verdict", "keep it with probability p, 0 to 1; the first one sets p" },
  { "at_least", "fun(p:number, reason?:string):Verdict", "raise the probability to p" },
  { "vote", "fun(policy:Policy, trace:Trace):number", "of a policy given as an option: 1 for keep, p for sample(p), 0 else. What it raises is the caller's" },
  { group = "State" },
  { "limit", "fun(o:{rate:number, per:string, burst?:number, max_keys?:integer, name?:string}):Limit", "`rate` in each `per` (a duration), `burst` at once (default: rate)" },
  { "seen", 'fun(o:{window:string, max_keys?:integer, when_full?:"share"|"forget", name?:string}):Seen', "remembers keys for a window; over max_keys all further ones share one, or old ones give way" },
  { "counter", "fun(o:{window:string, max_keys?:integer, name?:string}):Counter", "counts over a moving window" },
  { "rates", "fun(o:{goal_rate?:number, goal_per_second?:number, interval?:string, window?:string, even?:boolean, weight?:number, age_out?:number, initial?:number, burst_multiple?:number, burst_delay?:number, max_keys?:integer, name?:string}):Rates", "sampling rates by key that follow the traffic: 1 in `goal_rate` of all, or `goal_per_second`; new ones at each `interval`" },
  { group = "Declarations" },
  { "policy", "fun(what:string|PolicySpec):Component", 'in its file: what the file returns. In config.lua: policy "TYPE/instance" { options }, or policy { name =, decide = }' },
  { "option", "OptionTypes", "option.TYPE { default, min, max, one_of, optional, secret, doc }; TYPE is number, integer, string, boolean, duration (milliseconds), size (bytes), list, map, match or policies" },
  { group = "Text and bytes" },
  { "text", "TextLib", "plain strings, no patterns" },
  { "json", "JsonLib", "JSON (RFC 8259)" },
  { "hex", "fun(bytes:string):string", "lower-case hexadecimal digits" },
  { "base64", "fun(bytes:string):string", "RFC 4648, with padding" },
  { "sha256", "fun(bytes:string):string", "32 bytes" },
  { "hmac_sha256", "fun(key:string, bytes:string):string", "32 bytes" },
  { "url_encode", "fun(text:string):string", "RFC 3986: all but unreserved characters" },
  { "iso8601", "fun(ms:number):string", "Unix milliseconds as 2023-11-14T22:13:20.000Z" },
  { "log", "LogLib", "a line in the collector's log, at most ten in ten seconds for each Lua state" },
  { group = "In config.lua" },
  { "exporter", "fun(what:string|ExporterSpec):Component", 'exporter "TYPE/instance" { options }; in its file: what the file returns' },
  { "processor", "fun(what:string|ProcessorSpec):Component", 'processor "TYPE/instance" { options }; in its file: what the file returns' },
  { "env", "fun(name:string, default?:string|number|boolean):any", "a variable of the environment; the value has the type of the default, without one it must be set", only = "config" },
  { "secret", "fun(value:string):Secret", 'shown as ****, also in "Bearer " .. secret(v)', only = "config" },
  { "file", "fun(path:string):string", "the text of a file beside config.lua, without its last newline", only = "config" },
  { group = "In exporters" },
  { "ok", "fun(refused?:integer, reason?:string):Reply", "of reply: it has arrived, but for so many of its items, which are given up", only = "exporter" },
  { "retry", "fun(after_s?:number, request?:Request):Reply", "of reply: again later, or later that request (what was refused for now) in its place", only = "exporter" },
  { "reject", "fun(reason?:string):Reply", "of reply: gives up, counted", only = "exporter" },
  { "send", "fun(request:Request):Reply", "of reply: another request for the same spans", only = "exporter" },
  { "count", "fun(what:string, n?:integer)", "in encode and reply: adds n (1) to moontail_export_script_total{exporter, what}; 16 names at most", only = "exporter" },
  { "xray", "XrayLib", "spans as documents of AWS X-Ray", only = "exporter" },
}

local ATTRIBUTES = {
  { "attr", "fun(self, key:string, ...:string):Value?", "the first of the keys that is present" },
  { "attr_text", "fun(self, key:string):string?", "exact text of any value: integers in full, bytes base64, lists and maps JSON" },
  { "has", "fun(self, key:string):boolean", "whether it has the attribute" },
}

M.classes = {
  {
    "Trace", "trace", "A complete trace, or as much of it as is here.",
    { "id", "string", "32 hex digits" },
    { "entry", "Span", "the root, else the earliest span whose parent is not here, else the earliest span; never nil" },
    { "root", "Span?", "the earliest span without parent_id; often nil on one node of many" },
    { "complete", "boolean", "the root is here and so is every parent" },
    { "trigger", '"wait"|"root"|"pressure"|"too_large"|"shutdown"', "why it is decided now" },
    { "duration_ms", "number", "latest end - earliest start, never negative" },
    { "start_ms", "number", "Unix time of the earliest span" },
    { "decided_ms", "number", "Unix time of the decision: the only clock" },
    { "span_count", "integer", "spans" },
    { "error_count", "integer", 'spans with status "error"' },
    { "bytes", "integer", "of all its Span messages" },
    { "decision", '{verdict:"keep"|"drop", policy:string, reason:string?, p:number?}?', "nil in policies; set in processors and exporters" },
    { "spans", "fun(self):fun():(integer, Span)", "for _, span in trace:spans() do: by start, id, bytes" },
    { "find", "fun(self, m:Matcher):Span?", "the first span that matches" },
    { "count", "fun(self, m:Matcher):integer", "how many spans match" },
    { "has_service", "fun(self, name:string):boolean", "whether a span is of that service" },
    { "fraction", "fun(self, salt:string):number", "0 to below 1, equal on every node, independent of the draw" },
  },
  {
    "Span", "span", "A span. Compare with ==.", extends = "Attributes",
    { "id", "string", "16 hex digits" },
    { "trace_id", "string", "32 hex digits" },
    { "parent_id", "string?", "nil at a root" },
    { "parent", "Span?", "nil where it is not here" },
    { "name", "string?", "" },
    { "kind", "Kind", "" },
    { "status", "Status", "" },
    { "status_message", "string?", "" },
    { "is_error", "boolean", 'status == "error"' },
    { "is_root", "boolean", "has no parent_id" },
    { "is_entry", "boolean", "a root, or its parent is not here" },
    { "is_sampled", "boolean", "has the sampled flag of W3C trace context" },
    { "duration_ms", "number", "0 or more" },
    { "start_ms", "number", "Unix time" },
    { "offset_ms", "number", "from the start of the trace" },
    { "bytes", "integer", "of the Span message, without resource and scope" },
    { "adjusted_count", "number?", "how many spans it stands for: by th of its tracestate, else 1; nil where it was kept with an unknown probability" },
    { "start_ns", "string", "in exporters only: exact digits" },
    { "end_ns", "string", "in exporters only: exact digits" },
    { "service", "string?", "resource service.name" },
    { "resource", "Resource", "" },
    { "scope", "Scope", "" },
    { "http", "Http", "one view of new, else old conventions; never nil" },
    { "db", "Db", "" },
    { "rpc", "Rpc", "" },
    { "events", "fun(self):fun():(integer, Event)", "for _, event in span:events() do" },
    { "links", "fun(self):fun():(integer, Link)", "for _, link in span:links() do" },
    { "matches", "fun(self, m:Matcher):boolean", "whether this span matches" },
    { "otlp_json", "fun(self):string", "in exporters only: the span as OTLP/JSON" },
  },
  { "Resource", "resource", "The attributes of a resource.", extends = "Attributes" },
  { "Scope", "scope", "The attributes of a scope, and:", extends = "Attributes", { "name", "string?", "" }, { "version", "string?", "" } },
  {
    "Http", "http", "http.request.method or http.method, http.route, url.path or the path of http.target, url.full or http.url, http.response.status_code or http.status_code.",
    { "method", "string?", "" }, { "route", "string?", "" }, { "path", "string?", "" }, { "status", "integer?", "" },
  },
  {
    "Db", "db", "db.system.name or db.system, db.namespace or db.name, db.operation.name or db.operation, db.query.text or db.statement.",
    { "system", "string?", "" }, { "name", "string?", "" }, { "operation", "string?", "" }, { "statement", "string?", "" },
  },
  { "Rpc", "rpc", "rpc.system, rpc.service, rpc.method.", { "system", "string?", "" }, { "service", "string?", "" }, { "method", "string?", "" } },
  { "Event", "event", "An event of a span: its attributes, and:", extends = "Attributes", { "name", "string?", "" }, { "offset_ms", "number", "from the start of the trace" } },
  { "Link", "link", "A link of a span: its attributes, and:", extends = "Attributes", { "trace_id", "string?", "" }, { "span_id", "string?", "" } },
  {
    "EditAttributes", "edited", "In a processor of kept spans a span, its resource, events and links also have:",
    { "set", "fun(self, key:string, value:Value)", "sets an attribute" },
    { "set_new", "fun(self, key:string, value:Value)", "sets it where it is absent" },
    { "unset", "fun(self, key:string)", "removes it" },
    { "rename", "fun(self, old:string, new:string):boolean", "gives it another key; whether it was there" },
  },
  {
    "EditSpan", "edited span", "A span in a processor of kept spans: a Span with EditAttributes, and:", extends = "Span, EditAttributes",
    { "resource", "EditResource", "" },
    { "events", "fun(self):fun():(integer, EditEvent)", "for _, event in span:events() do" },
    { "links", "fun(self):fun():(integer, EditLink)", "for _, link in span:links() do" },
    { "set_name", "fun(self, name:string)", "" },
    { "set_status", "fun(self, status:Status, message?:string)", "" },
    { "truncate", "fun(self, max_bytes:number):integer", "cuts every string, between characters; how many it cut" },
    { "redact", "fun(self, rules:Redaction)", "takes out what the rules find: in names, messages, attributes, events, links, resource and scope" },
  },
  { "EditResource", "edited resource", "The resource of an EditSpan: a Resource with EditAttributes.", extends = "Resource, EditAttributes" },
  { "EditEvent", "edited event", "An event of an EditSpan: an Event with EditAttributes.", extends = "Event, EditAttributes" },
  { "EditLink", "edited link", "A link of an EditSpan: a Link with EditAttributes.", extends = "Link, EditAttributes" },
  {
    "ProcessorSpec", "processor", "What a processor's file returns in processor { ... }.",
    { "doc", "string?", "a sentence on what it does" },
    { "options", "table<string, Option>?", "" },
    { "setup", "(fun(opt:table):any)?", "" },
    { "on", '"received"|"kept"', "each span as it comes: may drop it; or spans of kept traces: may drop and edit" },
    { "trace", "fun(trace:Trace, opt:table, my:any)?", "of kept ones only: once, before the spans" },
    { "span", "fun(span:EditSpan, opt:table, my:any, trace?:Trace):Verdict?", "drop(reason) removes the span" },
    { "body", "(fun(opt:table, my:any):Redaction)?", "of kept ones only: what C redacts whole bodies by where it stands in processors.received" },
    { "on_error", '("pass"|"strip"|"drop")?', "what becomes of a span whose call fails" },
  },
  { "Shape", "shape", "Made by shape().", { "of", "fun(self, trace:Trace):string", "the different values of each field, in order, joined by •, the fields by commas; at most 100 values and 2048 bytes" } },
  {
    "Limit", "limit", "Made by limit{}.",
    { "take", "fun(self, key?:string|number, cost?:number, left?:number):boolean", "takes cost (1) of what the key has, or none of it where less than left (0) would stay" },
    { "share", "fun(self, key?:string|number):number", "the p for sample(p) that holds the limit whatever comes; takes one if the draw lets this trace through" },
  },
  {
    "Seen", "seen", "Made by seen{}.",
    { "add", "fun(self, key:string|number):boolean", "true when it is new; it is known for the window from then" },
    { "has", "fun(self, key:string|number):boolean", "whether it is known" },
  },
  {
    "Counter", "counter", "Made by counter{}.",
    { "add", "fun(self, key?:string|number, n?:number)", "adds n (1)" },
    { "per_second", "fun(self, key?:string|number):number", "what came in the window, by its length" },
  },
  { "Rates", "rates", "Made by rates{}.", { "of", "fun(self, key:string|number, n?:number):number", "counts n (1) and gives the key's rate: 1 in so many" } },
  {
    "TextLib", "text", "",
    { "starts", "fun(s:string, prefix:string):boolean", "" },
    { "ends", "fun(s:string, suffix:string):boolean", "" },
    { "contains", "fun(s:string, part:string):boolean", "" },
    { "glob", "fun(s:string, pattern:string):boolean", "as glob in match{}" },
    { "lower", "fun(s:string):string", "" },
    { "split", "fun(s:string, separator:string):string[]", "" },
  },
  {
    "JsonLib", "json", "",
    { "encode", "fun(value:any):string", "keys are sorted; an empty table is {}" },
    { "decode", "fun(text:string):any, string?", "the value; or nil and why it is none" },
    { "null", "any", "null: decode gives it, encode takes it" },
  },
  {
    "Batch", "batch", "What an exporter's encode gets.",
    { "id", "string", "the same at every try" },
    { "signal", '"traces"|"metrics"|"logs"', "" },
    { "start_ms", "number", "Unix time of its earliest span" },
    { "now_ms", "number", "Unix time when encode was asked" },
    { "span_count", "integer", "0 but for traces" },
    { "item_count", "integer", "spans, data points or log records" },
    { "bytes", "integer", "" },
    { "traces", "fun(self):fun():(integer, Trace)", "for _, trace in batch:traces() do" },
    { "spans", "fun(self):fun():(integer, Span)", "for _, span in batch:spans() do: of all its traces" },
    { "otlp", "fun(self):string", "the batch as OTLP protobuf" },
    { "otlp_json", "fun(self):string", "the batch as OTLP/JSON" },
  },
  {
    "Request", "request", "What encode returns: one, a list of them, or nil.",
    { "method", "string?", "POST" },
    { "url", "string", "http://, https://, or udp://HOST:PORT: the body is one datagram" },
    { "headers", "table<string, string|number|Secret>?", "" },
    { "body", "(string|Secret)?", "" },
    { "compress", '("gzip"|"zstd")?', "" },
    { "timeout", "string?", "a duration" },
    { "sigv4", "{service:string, region:string?, role_arn:string?}?", "signed for AWS when it is sent" },
    { "no_verify_ssl", "boolean?", "takes any certificate" },
    { "proxy_address", "(string|Secret)?", "http://HOST:PORT; else as HTTPS_PROXY and NO_PROXY say" },
    { "tag", "any", "for reply" },
  },
  {
    "ExporterSpec", "exporter", "What an exporter's file returns in exporter { ... }.",
    { "doc", "string", "a sentence on what it does" },
    { "name", "string?", "of one written in config.lua" },
    { "options", "table<string, Option>?", "" },
    { "signals", "string[]?", 'what encode can take; { "traces" } without it' },
    { "batch", "{max_spans?:integer, max_bytes?:integer|string, timeout?:string}?", "" },
    { "setup", "(fun(opt:table):any)?", "" },
    { "encode", "fun(batch:Batch, opt:table, my:any):Request|Request[]|nil", "" },
    { "reply", "(fun(r:{status:integer, body:string, headers:table}, request:Request, opt:table, my:any):Reply?)?", "nil: 2xx is ok; 401 403 408 429 5xx are tried again; else rejected" },
  },
  {
    "XrayLib", "xray", "What exporters of AWS X-Ray are made with.",
    { "mapping", 'fun(o:{semconv?:"v0"|"both"|"v1", compat?:boolean, index_all_attributes?:boolean, indexed_attributes?:string[], aws_log_groups?:string[]}):Mapping', "how spans become documents; make it in setup" },
    { "text", "fun(document:table, max_bytes?:integer):string?, string?", 'a document, or another table, as JSON; where it is too large without its "metadata", then its "annotations", then its "stacks", which the second value says; nil where that is not enough' },
  },
  { "Mapping", "mapping", "Made by xray.mapping().", { "documents", "fun(self, span:Span):table, table?", "the document of a span; two for a local root that is a call. Put other fields in place of these, but change nothing inside of them: some are shared, or JSON already" } },
  { "LogLib", "log", "", { "info", "fun(...)", "" }, { "warn", "fun(...)", "" } },
}
M.attributes = ATTRIBUTES

-- Without their own entry here: what policies hand out and take, but never look into.
M.opaque = { "Matcher", "Condition", "Verdict", "Policy", "Option", "Secret", "Reply", "Redaction" }

M.option_types = { "number", "integer", "string", "boolean", "duration", "size", "list", "map", "tables", "match", "policies" }

-- The fields of a policy { ... }: also what is checked of it.
M.policy_spec = {
  { "doc", "string?", "a sentence on what it does", "string" },
  { "options", "table<string, Option>?", "what an instance can be given", "table" },
  { "setup", "(fun(opt:table):any)?", "once for each instance and Lua state: what depends on options; its result is my", "function" },
  { "decide", "(fun(trace:Trace, opt:table, my:any):Verdict?)?", "what it says of a trace", "function" },
  {
    "when",
    "(fun(opt:table, my:any):Matcher?)?",
    "once for each instance: which traces it has an opinion on. Asked without a call of Lua; `trace = { duration_ms = range(500) }` and the like are about the trace, all else about one of its spans",
    "function",
  },
  { "says", "(fun(opt:table, my:any):Verdict)?", "once for each instance, instead of decide: what it says of each trace that it is asked about", "function" },
}

local CONSTRUCTORS = { policy = true, processor = true, exporter = true } -- each room has its own

-- Names of globals, in order: those of all scripts, or those of `only` alone.
function M.global_names(only)
  local names = {}
  for _, g in ipairs(M.globals) do
    if g[1] and g.only == only and not CONSTRUCTORS[g[1]] then names[#names + 1] = g[1] end
  end
  return names
end

return M
