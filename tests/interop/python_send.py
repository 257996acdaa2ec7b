"""python_send.py ENDPOINT PROTOCOL COMPRESSION TRACES: sends traces as an application does."""
import sys

import grpc
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def exporter(endpoint, protocol, compression):
    gzip = compression == "gzip"
    if protocol == "grpc":
        return GrpcExporter(endpoint, insecure=True, timeout=20, compression=(
            grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression))
    return HttpExporter(f"{endpoint}/v1/traces", timeout=20,
                        compression=Compression.Gzip if gzip else Compression.NoCompression)


def send_trace(tracer):
    parent = tracer.start_span("parent", kind=trace.SpanKind.SERVER)
    parent.set_attributes({"text": "é", "whole": 42, "real": 0.5, "yes": True, "list": ["a", "b"]})
    parent.add_event("happened", {"key": "value"})
    child = tracer.start_span("child", trace.set_span_in_context(parent), trace.SpanKind.CLIENT,
                              links=[trace.Link(parent.get_span_context())])
    child.set_status(trace.StatusCode.ERROR, "failed")
    child.end()
    parent.end()


def main():
    endpoint, protocol, compression, traces = sys.argv[1:]
    provider = TracerProvider(resource=Resource.create({"service.name": "interop-python"}))
    provider.add_span_processor(BatchSpanProcessor(exporter(endpoint, protocol, compression)))
    tracer = provider.get_tracer("interop", "1.0")
    for _ in range(int(traces)):
        send_trace(tracer)
    provider.force_flush()
    provider.shutdown()


main()
