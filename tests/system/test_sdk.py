"""The OpenTelemetry SDK for Python, as applications use it."""
import grpc
import pytest
from harness import config, exporter
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
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

