"""Processors between a real SDK and the file that the program writes."""
import hashlib
import json
import logging

from harness import config, exporter
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
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


ITEMS = """processors = {
    received = { processor "drop_at_door" { logs = match { log = { body = "GET /healthz" } } } },
    kept = {
      processor "filter/debug" { logs = match { log = { severity = "debug" } } },
      processor "filter/gc" { metrics = match { metric = { name = glob "jvm.gc*" } } },
      processor "attributes" { metrics = true, logs = true, insert = { team = "shop" }, delete = { "host" } },
      processor "redact" {},
      processor "resource" { insert = { env = "test" } },
    } },"""


def send_items(collector):
    resource = Resource.create({"service.name": "orders", "owner": "ada@example.org"})
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(f"http://{collector.http}/v1/metrics"), export_interval_millis=1e9)
    meters = MeterProvider([reader], resource=resource)
    meter = meters.get_meter("shop")
    meter.create_counter("orders", unit="1").add(3, {"host": "a", "user": "ada@example.org"})
    meter.create_histogram("latency", unit="ms").record(7, {"route": "/orders"})
    meter.create_counter("jvm.gc.count").add(1, {"gc": "old"})
    meters.shutdown()
    provider = LoggerProvider(resource=resource)
    provider.add_log_record_processor(
        BatchLogRecordProcessor(OTLPLogExporter(f"http://{collector.http}/v1/logs")))
    logger = logging.getLogger("items")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    handler = LoggingHandler(logger_provider=provider)
    logger.addHandler(handler)
    logger.info("login of ada@example.org", extra={"host": "a", "n": 1})
    logger.debug("detail")
    logger.info("GET /healthz")
    logger.removeHandler(handler)
    provider.shutdown()


def test_metrics_and_logs_of_a_real_sdk_leave_as_processors_left_them(start, tmp_path):
    path = tmp_path / "out.json"
    exporters = exporter("file", path=str(path), signals=["traces", "metrics", "logs"])
    collector = start(config(exporters, more=ITEMS))
    send_items(collector)
    metrics = collector.wait_metrics(
        lambda m: m.total("moontail_export_delivered_items_total") == 3)
    assert metrics.by("moontail_filtered_items_total", "processor") == {
        "drop_at_door": 1, "filter/debug": 1, "filter/gc": 1}
    assert metrics.by("moontail_filtered_items_total", "signal") == {"metrics": 1, "logs": 2}
    assert metrics.by("moontail_received_items_total", "signal") == {"metrics": 3, "logs": 3}
    assert metrics.by("moontail_kept_items_total", "signal") == {"metrics": 2, "logs": 1}
    assert metrics.total("moontail_unaccounted_items") == 0
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    resources = [r for line in lines
                 for r in line.get("resourceMetrics", []) + line.get("resourceLogs", [])]
    for resource in resources:
        assert attributes(resource["resource"])["owner"] == "****"
        assert attributes(resource["resource"])["env"] == "test"
    points = {m["name"]: m[kind]["dataPoints"][0] for r in resources
              for scope in r.get("scopeMetrics", []) for m in scope["metrics"]
              for kind in ("sum", "histogram") if kind in m}
    assert sorted(points) == ["latency", "orders"]
    assert attributes(points["orders"]) == {"user": "****", "team": "shop"}
    assert points["orders"]["asInt"] == "3"
    assert attributes(points["latency"]) == {"route": "/orders", "team": "shop"}
    assert points["latency"]["sum"] == 7
    records = [record for r in resources for scope in r.get("scopeLogs", [])
               for record in scope["logRecords"]]
    assert [record["body"]["stringValue"] for record in records] == ["login of ****"]
    left = attributes(records[0])
    assert left["team"] == "shop" and left["n"] == "1" and "host" not in left
