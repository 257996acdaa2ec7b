"""Processors between a real SDK and the file that the program writes."""
import hashlib
import json

from harness import config, exporter
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

PROCESSORS = """processors = {
    received = { processor "drop_at_door" { when = match { http = { path = "/healthz" } } } },
    kept = {
      processor "filter/cache" { when = match { attr = { ["db.system"] = "redis" } } },
      processor "attributes" { insert = { team = "shop" }, delete = { "secret" }, hash = { "user" },
                               rename = { ["http.url"] = "url.full" } },
      processor "truncate" { max_bytes = 100 },
      processor { name = "events", on = "kept", span = function(span)
        for _, event in span:events() do event:unset("secret") end
      end },
    } },"""
TEXT = "ä" * 80


def send(collector):
    provider = TracerProvider(resource=Resource.create({"service.name": "orders"}))
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(f"http://{collector.http}/v1/traces")))
    tracer = provider.get_tracer("shop")
    with tracer.start_as_current_span("GET /orders", kind=trace.SpanKind.SERVER) as root:
        root.set_attributes({"user": "ada@example.org", "secret": "hunter2", "text": TEXT,
                             "http.url": "http://h/orders", "n": 1 << 60})
        with tracer.start_as_current_span("cache", attributes={"db.system": "redis"}):
            with tracer.start_as_current_span("query", attributes={"db.system": "mysql"}) as query:
                query.add_event("login", {"secret": "hunter2", "who": "ada"})
    with tracer.start_as_current_span("GET /healthz", attributes={"url.path": "/healthz"}):
        pass
    provider.shutdown()


def attributes(of):
    return {a["key"]: next(iter(a["value"].values())) for a in of.get("attributes", ())}


def test_the_file_has_the_spans_as_processors_left_them(start, tmp_path):
    path = tmp_path / "out.json"
    collector = start(config(exporter("file", path=str(path)), more=PROCESSORS))
    send(collector)
    metrics = collector.wait_delivered(2)
    assert metrics.by("moontail_filtered_spans_total", "processor") == {
        "drop_at_door": 1, "filter/cache": 1}
    assert metrics.total("moontail_received_spans_total") == 4
    assert metrics.total("moontail_kept_spans_total") == 2
    assert metrics.total("moontail_truncated_strings_total") == 1
    assert metrics.total("moontail_processor_errors_total") == 0
    spans = {span["name"]: span
             for line in path.read_text().splitlines()
             for resource in json.loads(line)["resourceSpans"]
             for scope in resource["scopeSpans"] for span in scope["spans"]}
    assert sorted(spans) == ["GET /orders", "query"]
    root, query = spans["GET /orders"], spans["query"]
    assert query["parentSpanId"] == root["spanId"]
    assert attributes(root) == {
        "user": hashlib.sha256(b"ada@example.org").hexdigest(), "text": "ä" * 50, "team": "shop",
        "url.full": "http://h/orders", "n": str(1 << 60)}
    assert attributes(query) == {"db.system": "mysql", "team": "shop"}
    assert [attributes(event) for event in query["events"]] == [{"who": "ada"}]
