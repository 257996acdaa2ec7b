"""What the exporters give out equals what came in, field by field, for every field there is."""
import json

import pytest
from clients import Grpc, post
from harness import KEEP_ALL, config, exporter
from messages import (assert_same_spans, by_span, fields_set, from_json, full_request, reachable,
                      request_with, span, spans_of, to_json, trace_id)
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service

TAILS = {"everything kept": None, "kept by a policy": KEEP_ALL}


def send(collector, how, request):
    protocol, form, encoding = how
    if protocol == "grpc":
        import grpc
        compression = grpc.Compression.Gzip if encoding == "gzip" else None
        client = Grpc(collector.grpc)
        answer = client.export(request.SerializeToString(), compression=compression)
        client.close()
        assert not answer.HasField("partial_success"), answer
        return
    body = to_json(request).encode() if form == "json" else request.SerializeToString()
    content_type = "application/json" if form == "json" else "application/x-protobuf"
    answer = post(collector.http, body, content_type, encoding)
    assert answer.status == 200 and answer.content_type == content_type, answer.body
    assert "partial" not in answer.body.decode("latin-1").lower(), answer.body


HOWS = [("http", form, encoding) for form in ("protobuf", "json")
        for encoding in (None, "gzip", "deflate", "zstd")]
HOWS += [("grpc", "protobuf", None), ("grpc", "protobuf", "gzip")]


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS.keys())
def test_every_field_survives_every_way_through(tail, start, backend, tmp_path):
    collector = start(config(
        exporter("otlp/http", endpoint=backend.http, protocol="http/protobuf",
                   compression="none") + ", "
        + exporter("otlp/grpc", endpoint=backend.grpc, protocol="grpc", compression="gzip") + ", "
        + exporter("file", path=f"{tmp_path}/out.jsonl"), tail=tail))
    sent = service.ExportTraceServiceRequest()
    for i, how in enumerate(HOWS):
        request = full_request(i, one_trace=trace_id(i) if tail else None)
        send(collector, how, request)
        sent.MergeFrom(request)
    count = len(spans_of(sent))
    backend.wait(spans=2 * count)
    collector.wait_delivered(count, "file")
    for protocol, entries in per_protocol(backend).items():
        assert sum(e["spans"] for e in entries) == count, protocol
        sizes = [(int(own_header(e, "content-length")), e["bytes"]) for e in entries]
        assert all((sent < decoded) == (protocol == "grpc") for sent, decoded in sizes), sizes
    twice = backend.received()
    halves = split_by_copies(twice)
    for half in halves:
        assert_same_spans(half, sent)
        assert fields_set(half) == reachable()
    assert_same_spans(read_file(tmp_path / "out.jsonl"), sent)


def own_header(entry, name):
    return next(v for k, v in entry["headers"].items() if k.lower() == name)


def per_protocol(backend):
    entries = {"http": [], "grpc": []}
    for entry in backend.log():
        entries[entry["protocol"]].append(entry)
    return entries


def split_by_copies(request):
    """Both exporters sent every span: the first and the second copies, as two messages."""
    halves = [service.ExportTraceServiceRequest(), service.ExportTraceServiceRequest()]
    seen = set()
    for rs in request.resource_spans:
        for ss in rs.scope_spans:
            for s in ss.spans:
                half = halves[s.span_id in seen].resource_spans.add()
                half.resource.CopyFrom(rs.resource)
                half.schema_url = rs.schema_url
                scope = half.scope_spans.add(schema_url=ss.schema_url)
                scope.scope.CopyFrom(ss.scope)
                scope.spans.add().CopyFrom(s)
                seen.add(s.span_id)
    return halves


def read_file(path):
    merged = service.ExportTraceServiceRequest()
    for line in path.read_text().splitlines():
        merged.MergeFrom(from_json(line))
    return merged


def test_unknown_fields_leave_as_they_came(start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf")))
    unknown = b"\xaa\x06\x05hello"  # field 101, five bytes
    one = span(trace_id(1)).SerializeToString() + unknown
    scope = b"\x12" + bytes([len(one)]) + one + unknown
    resource = b"\x12" + bytes([len(scope)]) + scope + unknown
    body = b"\x0a" + bytes([len(resource)]) + resource
    assert post(collector.http, body).status == 200
    backend.wait(spans=1)
    raw = backend.call("/received")
    assert raw.count(unknown) == 3 and one in raw


def test_the_decision_is_recorded_on_the_entry_span_only(start, backend):
    text = config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf"),
                  tail='policies = { policy "probabilistic/all" { sampling_percentage = 100 } }')
    collector = start(text.replace("record = false", "record = true"))
    t = trace_id(2)
    sent = request_with(span(t, 1), span(t, 2, 1), span(t, 3, 2))
    post(collector.http, sent.SerializeToString())
    got = by_span(backend.wait(spans=3))
    added = {s.span_id[-1]: {a.key: a.value for a in s.attributes} for *_, s in got.values()}
    assert added[2] == {} and added[3] == {}
    assert set(added[1]) == {"sampling.policy", "sampling.reason", "sampling.probability"}
    assert added[1]["sampling.policy"].string_value == "probabilistic/all"
    assert added[1]["sampling.reason"].string_value == "sampled"
    assert added[1]["sampling.probability"].double_value == 1.0


def test_resource_attributes_are_stamped(start, backend):
    collector = start(config(
        exporter("otlp", endpoint=backend.http, protocol="http/protobuf"),
        more='resource = { cluster = "blue", ["service.name"] = "renamed" },'))
    post(collector.http, request_with(span(trace_id(3))).SerializeToString())
    resource = backend.wait(spans=1).resource_spans[0].resource
    assert {a.key: a.value.string_value for a in resource.attributes} == {
        "service.name": "renamed", "cluster": "blue"}


def test_a_line_of_the_file_is_one_request(start, tmp_path):
    collector = start(config(exporter("file", path=f"{tmp_path}/out.jsonl")))
    t = trace_id(4)
    post(collector.http, request_with(span(t), span(t, 2, 1)).SerializeToString())
    collector.wait_delivered(2)
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    tree = json.loads(lines[0])
    assert len(lines) == 1 and list(tree) == ["resourceSpans"]
    found = tree["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert {s["traceId"] for s in found} == {t.hex()}
    assert {s["spanId"] for s in found} == {"0000000000000001", "0000000000000002"}
    assert all(isinstance(s["startTimeUnixNano"], str) and s["kind"] == 2 for s in found)
