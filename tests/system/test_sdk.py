"""The OpenTelemetry SDK for Python, as applications use it."""
import math
import socket
import threading

import grpc
import pytest
from harness import config, exporter
from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.metrics import Observation
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest)
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import (BatchSpanProcessor, SimpleSpanProcessor, SpanExporter,
                                            SpanExportResult)
from messages import assert_same_spans


def http_exporter(collector, gzip):
    return HttpExporter(f"http://{collector.http}/v1/traces",
                        compression=Compression.Gzip if gzip else Compression.NoCompression)


def grpc_exporter(collector, gzip):
    return GrpcExporter(f"http://{collector.grpc}", insecure=True,
                        compression=grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression)


class Copy(SpanExporter):
    """Keeps what is sent, encoded by the SDK's own encoder."""

    def __init__(self):
        self.spans = []

    def export(self, spans):
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


def make_trace(tracer):
    """Everything that an application can say about spans."""
    link = trace.Link(trace.SpanContext(0x1234, 0x56, is_remote=True), {"why": "batch"})
    with tracer.start_as_current_span("GET /orders", kind=trace.SpanKind.SERVER) as root:
        root.set_attributes({"s": "text é", "i": -(1 << 62), "d": 0.1, "b": False,
                             "ss": ["a", "b"], "is": [1, -2], "ds": [0.5], "bs": [True, False]})
        root.add_event("cache miss", {"key": "k1"})
        with tracer.start_as_current_span("query", kind=trace.SpanKind.CLIENT, links=[link]) as call:
            call.set_status(trace.StatusCode.ERROR, "no such table")
            call.record_exception(ValueError("bad"))
        with tracer.start_as_current_span("send", kind=trace.SpanKind.PRODUCER) as sent:
            sent.set_status(trace.StatusCode.OK)
            sent.update_name("send order")


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("make", [http_exporter, grpc_exporter], ids=["http", "grpc"])
def test_what_the_sdk_sends_arrives_unchanged(make, gzip, start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.grpc, protocol="grpc")))
    provider = TracerProvider(resource=Resource.create({"service.name": "orders", "tags": ["x"]}))
    copy = Copy()
    provider.add_span_processor(SimpleSpanProcessor(copy))
    provider.add_span_processor(BatchSpanProcessor(make(collector, gzip)))
    tracer = provider.get_tracer("shop", "1.2", "https://example.com/schema", {"scope": "yes"})
    for _ in range(50):
        make_trace(tracer)
    assert provider.force_flush()
    got = backend.wait(spans=150)
    assert_same_spans(got, encode_spans(copy.spans))
    collector.wait_decided(150)
    provider.shutdown()


def pass_on(source, sink, most=None):
    """What `source` brings, to its end; of more than `most` bytes the rest goes nowhere."""
    while data := source.recv(1 << 16):
        if most is not None:
            data, most = data[:most], max(0, most - len(data))
        sink.sendall(data)


class StallingProxy:
    """Passes connections on; of what the first one sends no more than its beginning."""

    def __init__(self, address, first_bytes):
        host, port = address.rsplit(":", 1)
        self.target, self.left = (host, int(port)), [first_bytes]
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.count = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            self.count += 1
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, socket.create_connection(self.target) as server:
            most = self.left.pop() if self.left else None
            threading.Thread(target=pass_on, args=(client, server, most), daemon=True).start()
            pass_on(server, client)


def test_a_request_that_came_too_slowly_is_sent_again(start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.grpc, protocol="grpc"),
                             receivers='grpc = "127.0.0.1:0", '
                                       'http = { listen = "127.0.0.1:0", read_timeout = "300ms" }'))
    proxy = StallingProxy(collector.http, 4096)
    provider = TracerProvider(resource=Resource.create({"service.name": "orders"}))
    provider.add_span_processor(BatchSpanProcessor(
        HttpExporter(f"http://{proxy.address}/v1/traces", compression=Compression.NoCompression)))
    for _ in range(50):
        make_trace(provider.get_tracer("shop"))
    assert provider.force_flush()
    backend.wait(spans=150)
    assert proxy.count >= 2
    provider.shutdown()


# ---- metrics and logs ----


class CopyMetrics(MetricExporter):
    """Sends by another exporter, and keeps what is sent, encoded by the SDK's own encoder."""

    def __init__(self, inner):
        super().__init__(preferred_temporality=inner._preferred_temporality,
                         preferred_aggregation=inner._preferred_aggregation)
        self.inner, self.sent = inner, ExportMetricsServiceRequest()

    def export(self, metrics_data, timeout_millis=10_000, **kwargs):
        self.sent.MergeFrom(encode_metrics(metrics_data))
        return self.inner.export(metrics_data, timeout_millis, **kwargs)

    def force_flush(self, timeout_millis=10_000):
        return self.inner.force_flush(timeout_millis)

    def shutdown(self, timeout_millis=30_000, **kwargs):
        self.inner.shutdown(timeout_millis, **kwargs)


def metric_exporter(collector, protocol, gzip):
    if protocol == "http":
        return HttpMetrics(f"http://{collector.http}/v1/metrics",
                           compression=Compression.Gzip if gzip else Compression.NoCompression)
    return GrpcMetrics(f"http://{collector.grpc}", insecure=True,
                       compression=grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression)


def record_metrics(meter):
    """Every kind of instrument."""
    counter = meter.create_counter("requests", unit="1", description="caf\u00e9")
    gauge = meter.create_gauge("temperature")
    histogram = meter.create_histogram("duration", unit="ms",
                                       explicit_bucket_boundaries_advisory=[1.0, 5.0, 25.0])
    exponential = meter.create_histogram("exponential.size")
    meter.create_observable_up_down_counter("queue", [lambda _: [Observation(-7, {"q": "a"})]])
    for i in range(100):
        counter.add(i, {"route": f"/{i % 5}", "ok": i % 2 == 0})
        gauge.set(i / 3, {"room": "a"})
        histogram.record(i / 2, {"route": "/"})
        exponential.record(1.5 ** (i % 40), {"route": "/"})


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_metrics_of_the_sdk_arrive_unchanged(protocol, gzip, start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.grpc, protocol="grpc")))
    copy = CopyMetrics(metric_exporter(collector, protocol, gzip))
    view = View(instrument_name="exponential.*",
                aggregation=ExponentialBucketHistogramAggregation())
    provider = MeterProvider([PeriodicExportingMetricReader(copy, math.inf)], views=[view],
                             resource=Resource.create({"service.name": "orders"}))
    record_metrics(provider.get_meter("shop", "1.2"))
    assert provider.force_flush()
    metrics = [m for r in copy.sent.resource_metrics for s in r.scope_metrics for m in s.metrics]
    kinds = {m.name: m.WhichOneof("data") for m in metrics}
    assert kinds == {"requests": "sum", "temperature": "gauge", "duration": "histogram",
                     "exponential.size": "exponential_histogram", "queue": "sum"}
    points = sum(len(getattr(m, kinds[m.name]).data_points) for m in metrics)
    assert backend.wait("metrics", metrics=points) == copy.sent
    collector.wait_items("metrics", points)
    provider.shutdown()


class CopyLogs(LogRecordExporter):
    """The same of logs."""

    def __init__(self, inner):
        self.inner, self.sent = inner, ExportLogsServiceRequest()

    def export(self, batch):
        self.sent.MergeFrom(encode_logs(batch))
        return self.inner.export(batch)

    def force_flush(self, timeout_millis=10_000):
        return self.inner.force_flush(timeout_millis)

    def shutdown(self):
        self.inner.shutdown()


def log_exporter(collector, protocol, gzip):
    if protocol == "http":
        return HttpLogs(f"http://{collector.http}/v1/logs",
                        compression=Compression.Gzip if gzip else Compression.NoCompression)
    return GrpcLogs(f"http://{collector.grpc}", insecure=True,
                    compression=grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression)


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_logs_of_the_sdk_arrive_unchanged(protocol, gzip, start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.grpc, protocol="grpc")))
    copy = CopyLogs(log_exporter(collector, protocol, gzip))
    provider = LoggerProvider(resource=Resource.create({"service.name": "orders"}))
    provider.add_log_record_processor(BatchLogRecordProcessor(copy, schedule_delay_millis=10_000))
    logger = provider.get_logger("shop", "1.2")
    span = trace.SpanContext(0x1234 << 64 | 5, 0x56, is_remote=False, trace_flags=1)
    context = trace.set_span_in_context(trace.NonRecordingSpan(span))
    for i in range(50):
        logger.emit(LogRecord(timestamp=i + 1, observed_timestamp=i + 2, context=context,
                              severity_number=SeverityNumber.ERROR, severity_text="ERROR",
                              body={"text": f"caf\u00e9 {i}", "list": [1, 2.5, True]},
                              attributes={"s": "x", "i": i, "d": 0.5}, event_name="order.failed"))
    assert provider.force_flush()
    assert sum(len(s.log_records) for r in copy.sent.resource_logs for s in r.scope_logs) == 50
    assert backend.wait("logs", logs=50) == copy.sent
    collector.wait_items("logs", 50)
    provider.shutdown()
