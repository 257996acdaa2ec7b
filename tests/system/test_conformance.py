"""What a policy sees is the same in the collector and in a spec: every accessor of the API, on the same
traces. The policy that asks them all is made from what the program says of its API."""
import json
import random
import re

from clients import post
from harness import config, exporter, parse_metrics, run
from messages import (CLIENT, EPOCH, SERVER, full_request, request_with, span, spans_of, to_json,
                      trace_id)
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service

# Of exporters alone, or of the moment of the decision.
ELSEWHERE = {"start_ns", "end_ns", "otlp_json", "decision", "decided_ms"}
OWNERS = ["Attributes", "Trace", "Span", "Resource", "Scope", "Http", "Db", "Rpc", "Event", "Link"]

# How each method is called; {o} is its owner. A method that is missing here fails the test.
CALLS = {
    "Attributes": {
        "attr": "for _, k in ipairs(KEYS) do add(k, {o}:attr(k), {o}:attr('nothing', k)) end",
        "attr_text": "for _, k in ipairs(KEYS) do add(k, {o}:attr_text(k)) end",
        "has": "for _, k in ipairs(KEYS) do add(k, {o}:has(k)) end"},
    "Trace": {
        "spans": "for i, s in {o}:spans() do add('span', i) each_Span(s) end",
        "find": "for _, m in ipairs(my) do local s = {o}:find(m) add(s and s.id) end",
        "count": "for _, m in ipairs(my) do add({o}:count(m)) end",
        "has_service": "add({o}:has_service 'shop', {o}:has_service 'nobody')",
        "fraction": "add({o}:fraction 'a', {o}:fraction 'b')"},
    "Span": {
        "events": "for i, e in {o}:events() do add('event', i) each_Event(e) end",
        "links": "for i, l in {o}:links() do add('link', i) each_Link(l) end",
        "matches": "for _, m in ipairs(my) do add({o}:matches(m)) end"},
}

POLICY = """
local KEYS = {{ {keys} }}
local out, my

local function text(value)
  if type(value) == "number" then return ("%.17g"):format(value) end
  if type(value) ~= "table" then return type(value) .. tostring(value) end
  local parts = {{}}
  for key, inner in pairs(value) do table.insert(parts, tostring(key) .. "=" .. text(inner)) end
  table.sort(parts)
  return "{{" .. table.concat(parts, ",") .. "}}"
end

local function add(...)
  for i = 1, select("#", ...) do table.insert(out, text((select(i, ...)))) end
end

local each_Event, each_Link, each_Span, each_Trace
{functions}

return policy {{
  doc = "Asks for everything that there is.",
  setup = function()
    return {{ match {{ kind = "client" }}, match {{ attr = {{ ["db.system"] = any }} }},
             match {{ http = {{ status = range(500) }} }}, match {{ event = {{ name = any }} }},
             match {{ resource = {{ ["service.name"] = "shop" }}, duration_ms = range(5, 20) }} }}
  end,
  decide = function(trace, _, matchers)
    out, my = {{}}, matchers
    each_Trace(trace)
    return keep(hex(sha256(table.concat(out, "|"))):sub(1, 20))
  end,
}}
"""


def classes(folder):
    """{class: [(name, type)]} of what policies are handed."""
    found, current = {}, None
    for line in run("api", "--luacats", folder=folder).stdout.splitlines():
        if match := re.match(r"---@class (\w+)(?:: (\w+))?", line):
            current = match[1]
            found[current] = [] if match[2] is None else [("", match[2])]
        elif match := re.match(r"---@field (\w+) ([^#]+)", line):
            found[current].append((match[1], match[2].strip()))
    return {name: found[name] for name in OWNERS}


def lines_of(owner, fields):
    for name, kind in fields:
        if name in ELSEWHERE:
            continue
        if not name:  # what it extends
            yield f"each_{kind}(o)"
        elif kind.startswith("fun("):
            yield CALLS[owner][name].format(o="o")
        elif kind.rstrip("?") == "Span":
            yield f"add('{name}', o.{name} and o.{name}.id)"
        elif kind in OWNERS:
            yield f"each_{kind}(o.{name})"
        else:
            yield f"add('{name}', o.{name})"


def policy(folder, keys):
    """The text of the policy: a function for each class, those that others call first."""
    table, parts = classes(folder), []
    assert all(table.values()), f"not documented: {table}"
    for owner in ["Attributes", "Resource", "Scope", "Http", "Db", "Rpc", "Event", "Link", "Span",
                  "Trace"]:
        body = "\n  ".join(lines_of(owner, table[owner]))
        declared = "local function" if owner not in ("Event", "Link", "Span", "Trace") else None
        head = f"{declared} each_{owner}(o)" if declared else f"each_{owner} = function(o)"
        parts.append(f"{head}\n  {body}\nend")
    return POLICY.format(keys=", ".join(json.dumps(k, ensure_ascii=False) for k in sorted(keys)),
                         functions="\n".join(parts))


def attributes(request):
    """The keys of all attributes there are."""
    for rs in request.resource_spans:
        yield from rs.resource.attributes
        for ss in rs.scope_spans:
            yield from ss.scope.attributes
            for s in ss.spans:
                for owner in [s, *s.events, *s.links]:
                    yield from owner.attributes


def shop(number):
    """A trace as services make them, in old and new conventions, with a parent that is not there."""
    rng, id_ = random.Random(number), trace_id(number)
    new = {"http.request.method": "GET", "http.route": "/a/{id}", "url.path": "/a/7",
           "http.response.status_code": rng.choice([200, 404, 503])}
    old = {"http.method": "PUT", "http.target": "/b?c=1", "http.status_code": rng.choice([200, 500]),
           "http.url": "http://h/b?c=1#x"}
    spans = [span(id_, 1, attributes=rng.choice([new, old]), ms=rng.uniform(1, 30)),
             span(id_, 2, 1, kind=CLIENT, start=EPOCH + 5, ms=3, attributes={
                 "db.system": "mysql", "db.statement": "SELECT 1", "db.name": "shop"}),
             span(id_, 3, 9, kind=SERVER, start=EPOCH + 7, ms=40, error=True, attributes={
                 "rpc.system": "grpc", "rpc.service": "Cart", "rpc.method": "Add"}),
             span(id_, 4, 3, start=EPOCH + 7, ms=0)]
    spans[2].status.message = "no stock"
    spans[1].events.add(name="exception", time_unix_nano=EPOCH + 9)
    rng.shuffle(spans)
    return request_with(*spans[:rng.randrange(1, 5)], service_name=rng.choice(["shop", "cart"]))


def traces():
    rare = full_request(1, one_trace=trace_id(1))
    twice = service.ExportTraceServiceRequest()
    twice.CopyFrom(shop(100))
    twice.MergeFrom(shop(100))
    return [rare, *(shop(i) for i in range(10, 34)), twice]


def parts_of(request, whole):
    """The request, or one for each of its spans, the last first."""
    if whole:
        return [request]
    parts = []
    for rs in request.resource_spans:
        for ss in rs.scope_spans:
            for s in ss.spans:
                part = service.ExportTraceServiceRequest()
                part.resource_spans.add(resource=rs.resource, schema_url=rs.schema_url).scope_spans.add(
                    scope=ss.scope, schema_url=ss.schema_url).spans.append(s)
                parts.insert(0, part)
    return parts


SPEC = """
local t = require "moontail.testing"
t.budget(10000)
it("asks", function()
  local asks, found = t.policy "everything", {}
  for i, trace in ipairs(t.file "traces.jsonl") do found[i] = asks:decide(trace)[2] end
  local out = assert(io.open("found", "w"))
  out:write(table.concat(found, "\\n"))
  out:close()
end)
"""


def in_a_spec(folder, requests, text):
    (folder / "policies").mkdir()
    (folder / "spec").mkdir()
    (folder / "policies" / "everything.lua").write_text(text)
    (folder / "spec" / "everything_spec.lua").write_text(SPEC)
    (folder / "traces.jsonl").write_text("".join(to_json(r) + "\n" for r in requests))
    done = run("test", folder=folder)
    assert (done.returncode, done.stdout) == (0, "1 passed, 0 failed\n"), done.stdout + done.stderr
    return (folder / "found").read_text().split("\n")


def in_the_collector(start, folder, requests):
    collector = start(config(exporter("nop"), tail='policies = { policy "everything" }, '
                             'budget = { cpu = "10s" }', wait="1h"), folder=folder)
    for i, request in enumerate(requests):
        for part in parts_of(request, whole=i % 2):
            answer = post(collector.http, part.SerializeToString())
            assert answer.status == 200, answer.body
    total = sum(len(spans_of(r)) for r in requests)
    collector.end_wait()
    collector.wait_decided(total)
    kept = parse_metrics(collector.get("/metrics")[2]).by("moontail_kept_spans_total", "reason")
    return {reason: count for reason, count in kept.items() if count}


def test_a_spec_and_the_collector_see_the_same(start, tmp_path):
    requests = traces()
    keys = {a.key for r in requests for a in attributes(r)} | {"nobody.has.this"}
    seen = in_a_spec(tmp_path, requests, policy(tmp_path, keys))
    assert len(set(seen)) == len(requests), "two traces look alike: too little is asked"
    spans = {reason: len(spans_of(r)) for reason, r in zip(seen, requests)}
    assert in_the_collector(start, tmp_path, requests) == spans
