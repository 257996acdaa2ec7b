"""What the SDKs of four languages send arrives, and what is refused comes again where they can.

The refusals are the program's own: its outbox is full and told to refuse, until the backend is
well again. Node's gRPC exporter has no retry at all, so for it the row says that the spans are
gone; should that change, the row fails and the documentation can be better.
"""
import collections
import os
import subprocess
import sys

import pytest
from clients import post
from harness import ROOT, config, exporter
from messages import request_with, span, spans_of, trace_id
from opentelemetry.proto.trace.v1 import trace_pb2

OUT = f"{ROOT}/build/interop"
SENDERS = {
    "python": [sys.executable, f"{ROOT}/tests/interop/python_send.py"],
    "node": ["node", f"{OUT}/node/send.mjs"],
    "java": ["java", "-XX:TieredStopAtLevel=1", "-cp", f"{OUT}/java/classes:{OUT}/java/lib/*", "Send"],
    "go": [f"{OUT}/go/send"],
}
PROTOCOLS = {language: ["http/protobuf", "grpc"] for language in SENDERS}
PROTOCOLS["node"] = ["http/protobuf", "http/json", "grpc"]
ROWS = [(language, protocol) for language in SENDERS for protocol in PROTOCOLS[language]]
TRACES = 600  # more than one batch of each SDK


def sender(collector, language, protocol, compression="none", traces=TRACES):
    address = collector.grpc if protocol == "grpc" else collector.http
    return subprocess.Popen(
        [*SENDERS[language], f"http://{address}", protocol, compression, str(traces)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "JAVA_TOOL_OPTIONS": ""})


def finish(process):
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 0, output
    return output


def check_spans(request, language, traces):
    services = {a.value.string_value for r in request.resource_spans for a in r.resource.attributes
                if a.key == "service.name"}
    assert services == {f"interop-{language}"}
    found = collections.defaultdict(dict)
    for s in spans_of(request):
        found[s.trace_id][s.name] = s
    assert len(found) == traces
    for spans in found.values():
        parent, child = spans["parent"], spans["child"]
        assert parent.kind == trace_pb2.Span.SPAN_KIND_SERVER and not parent.parent_span_id
        assert child.kind == trace_pb2.Span.SPAN_KIND_CLIENT
        assert child.parent_span_id == parent.span_id == child.links[0].span_id
        assert (child.status.code, child.status.message) == (2, "failed")
        values = {a.key: a.value for a in parent.attributes}
        assert values["text"].string_value == "é" and values["whole"].int_value == 42
        assert values["real"].double_value == 0.5 and values["yes"].bool_value
        assert [v.string_value for v in values["list"].array_value.values] == ["a", "b"]
        assert language != "node" or values["cut"].string_value == "moon\ufffd"
        assert parent.events[0].name == "happened"


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("language, protocol", ROWS)
def test_spans_arrive(language, protocol, compression, start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.grpc, protocol="grpc"), workers=2))
    output = finish(sender(collector, language, protocol, compression))
    metrics = collector.wait_decided(2 * TRACES)
    assert metrics.total("moontail_rejected_spans_total") == 0, output
    check_spans(backend.wait(spans=2 * TRACES), language, TRACES)


def refusing(start, backend):
    """A collector whose outbox is full, and the number of spans that filled it."""
    collector = start(config(exporter(
        "otlp", endpoint=backend.grpc, protocol="grpc", batch={"max_spans": 10, "timeout": "10ms"},
        retry={"initial_interval": "20ms", "max_interval": "100ms"},
        circuit={"failures": 5, "probe": "200ms"},
        queue={"max_size": "1MiB", "on_full": "refuse"})))
    backend.behave(grpc=14)
    fill = request_with(span(trace_id(1), name="n" * 50_000)).SerializeToString()
    sent = 0
    while post(collector.http, fill).status == 200:
        sent += 1
        assert sent < 10_000, "a full queue never refuses"
    return collector, sent


@pytest.mark.parametrize("language, protocol", ROWS)
def test_what_is_refused_comes_again(language, protocol, start, backend):
    collector, filled = refusing(start, backend)
    before = collector.scrape().total("moontail_refused_requests_total")
    process = sender(collector, language, protocol, traces=20)
    collector.wait_metrics(lambda m: m.total("moontail_refused_requests_total") > before)
    backend.behave()
    output = finish(process)
    repeats = (language, protocol) != ("node", "grpc")
    expected = filled + (40 if repeats else 0)
    got = backend.wait(spans=expected)
    names = collections.Counter(s.name for s in spans_of(got) if len(s.name) < 10)
    assert names == ({"parent": 20, "child": 20} if repeats else {}), output
    metrics = collector.wait_delivered(expected)
    assert metrics.total("moontail_received_spans_total") == expected
