"""What a client is answered, by the table of OTLP's rules and ours."""
import gzip
import json
import zlib

import grpc
import pytest
from clients import (ENCODE, EXPORT, PROTOBUF, Grpc, Refused, grpc_headers, h2_answer_frames, post)
from harness import config, exporter
from messages import request_with, span, to_json, trace_id

ONE = request_with(span(trace_id(1)))


@pytest.fixture
def collector(start):
    return start(config(exporter("nop"), receivers=(
        'grpc = { listen = "127.0.0.1:0", max_body = "1MiB", max_inflated = "2MiB" }, '
        'http = { listen = "127.0.0.1:0", max_body = "1MiB", max_inflated = "2MiB", '
        'max_headers = "8KiB" }')))


def refusals(collector):
    return collector.scrape().by("moontail_refused_requests_total", "reason")


@pytest.mark.parametrize("encoding", ENCODE)
def test_protobuf_is_answered_in_protobuf(collector, encoding):
    answer = post(collector.http, ONE.SerializeToString(), encoding=encoding)
    assert (answer.status, answer.content_type) == (200, PROTOBUF)
    assert not answer.message().HasField("partial_success")


def test_json_is_answered_in_json(collector):
    answer = post(collector.http, to_json(ONE), "application/json; charset=utf-8")
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert json.loads(answer.body) in ({}, {"partialSuccess": {}})


def test_an_empty_request_is_a_success(collector):
    assert post(collector.http, b"").status == 200
    assert post(collector.http, "{}", "application/json").status == 200
    client = Grpc(collector.grpc)
    assert client.export(b"").partial_success.rejected_spans == 0
    client.close()


def broken_ids():
    request = request_with(span(trace_id(2), 1), span(trace_id(2), 2, 1))
    spans = request.resource_spans[0].scope_spans[0].spans
    spans.add().CopyFrom(spans[0])
    spans[2].trace_id = bytes(16)
    spans.add().CopyFrom(spans[0])
    spans[3].span_id = b"short"
    return request


def test_spans_with_wrong_ids_are_rejected_and_the_rest_is_taken(collector):
    answer = post(collector.http, broken_ids().SerializeToString())
    assert answer.status == 200
    assert answer.message().partial_success.rejected_spans == 2
    assert answer.message().partial_success.error_message
    answer = post(collector.http, to_json(broken_ids()), "application/json")
    partial = json.loads(answer.body)["partialSuccess"]
    assert answer.status == 200 and partial["rejectedSpans"] == "2" and partial["errorMessage"]
    client = Grpc(collector.grpc)
    assert client.export(broken_ids().SerializeToString()).partial_success.rejected_spans == 2
    client.close()
    metrics = collector.wait_metrics(lambda m: m.total("moontail_received_spans_total") == 12)
    assert metrics.total("moontail_rejected_spans_total") == 6


def test_all_spans_rejected_is_still_a_success(collector):
    request = request_with(span(bytes(16)), span(b"x"))
    answer = post(collector.http, request.SerializeToString())
    assert answer.status == 200 and answer.message().partial_success.rejected_spans == 2


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\x05abc", b"\x0b\x0c", b"\x00\x01", b"\x08" * 20,
                                  b"\x0a\x02\x0a"])
def test_a_body_that_does_not_parse_is_bad(collector, body):
    answer = post(collector.http, body)
    assert answer.status == 400 and answer.rpc_status().message
    client = Grpc(collector.grpc)
    with pytest.raises(Refused) as e:
        client.call(body)
    assert e.value.code == grpc.StatusCode.INVALID_ARGUMENT
    client.close()
    assert refusals(collector)["malformed"] == 2


@pytest.mark.parametrize("text", ["", "[", "[]", '{"resourceSpans": 1}', '{"a": }', "[" * 5000])
def test_json_that_does_not_parse_is_bad(collector, text):
    answer = post(collector.http, text, "application/json")
    assert (answer.status, answer.content_type) == (400, "application/json")
    assert json.loads(answer.body)["message"]


def test_deep_values_are_bad_and_do_no_harm(collector):
    value = b"\x10\x01"
    for _ in range(70):
        array = b"\x0a" + varint(len(value)) + value
        value = b"\x2a" + varint(len(array)) + array
    body = request_with(span(trace_id(3))).SerializeToString()
    attribute = b"\x0a\x01k\x12" + varint(len(value)) + value
    resource = b"\x0a" + varint(len(attribute)) + attribute
    rs = b"\x0a" + varint(len(resource)) + resource
    body += b"\x0a" + varint(len(rs)) + rs
    assert post(collector.http, body).status == 400


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def test_where_and_how_a_request_must_come(collector):
    body, address = ONE.SerializeToString(), collector.http
    assert post(address, body, method="GET").status == 405
    assert post(address, body, method="PUT").status == 405
    assert post(address, body, path="/v1/traces/").status == 404
    assert post(address, body, path="/v1/profiles").status == 404
    assert post(address, body, path="/v1/metricsx").status == 404
    assert post(address, body, path="/").status == 404
    assert post(address, body, "text/plain").status == 415
    assert post(address, body, encoding="br").status == 415
    assert post(address, body, "application/x-protobuf; charset=x").status == 200


def test_what_is_too_large_is_refused(collector):
    large = request_with(span(trace_id(4), name="n" * (1 << 20))).SerializeToString()
    answer = post(collector.http, large)
    assert answer.status == 413
    bomb = request_with(span(trace_id(5), name="n" * (3 << 20))).SerializeToString()
    for encoding in ("gzip", "deflate", "zstd"):
        assert post(collector.http, bomb, encoding=encoding).status == 413, encoding
    assert post(collector.http, b"", headers={"X": "y" * 9000}).status == 431
    client = Grpc(collector.grpc)
    with pytest.raises(Refused) as e:
        client.call(large)
    assert e.value.code == grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(Refused) as e:
        client.call(bomb, compression=grpc.Compression.Gzip)
    assert e.value.code == grpc.StatusCode.INVALID_ARGUMENT
    client.close()
    assert refusals(collector)["too_large"] == 6


def test_compressed_bodies_that_are_broken_are_bad(collector):
    whole = gzip.compress(ONE.SerializeToString())
    for body in (whole[:-6], b"not gzip", whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        answer = post(collector.http, body, headers={"Content-Encoding": "gzip"})
        assert answer.status == 400, body


def test_every_form_of_compression_that_clients_use_is_taken(collector):
    body = ONE.SerializeToString()
    members = gzip.compress(body[:30]) + gzip.compress(body[30:])
    raw = zlib.compressobj(wbits=-15)
    raw_deflate = raw.compress(body) + raw.flush()
    for encoding, bytes_ in (("gzip", members), ("deflate", raw_deflate), ("identity", body),
                             ("zlib", zlib.compress(body)), ("GZIP", gzip.compress(body))):
        answer = post(collector.http, bytes_, headers={"Content-Encoding": encoding})
        assert answer.status == 200, encoding


def test_chunked_bodies_are_taken(collector):
    body = ONE.SerializeToString()
    answer = post(collector.http, iter([body[:10], body[10:]]))
    assert answer.status == 200
    collector.wait_metrics(lambda m: m.total("moontail_received_spans_total") == 1)


def test_grpc_serves_export_and_health_and_nothing_else(collector):
    client = Grpc(collector.grpc)
    assert client.call(b"", "/grpc.health.v1.Health/Check") == b"\x08\x01"
    for method in (EXPORT + "X", EXPORT.replace("trace", "profiles").replace("Trace", "Profiles"),
                   EXPORT.replace("TraceService/", "TraceService/Re")):
        with pytest.raises(Refused) as e:
            client.call(b"", method)
        assert e.value.code == grpc.StatusCode.UNIMPLEMENTED, method
    client.close()


def test_grpc_refusals_are_trailers_only(collector):
    bad = h2_answer_frames(collector.grpc, grpc_headers(collector.grpc), b"\xff")
    assert bad == [(1, bad[0][1])] and bad[0][1] & 1, "one HEADERS frame that ends the stream"
    good = h2_answer_frames(collector.grpc, grpc_headers(collector.grpc), ONE.SerializeToString())
    assert [kind for kind, _ in good] == [1, 0, 1]


def test_an_unknown_grpc_encoding_is_refused(collector):
    headers = grpc_headers(collector.grpc, grpc_encoding="br")
    frames = h2_answer_frames(collector.grpc, headers, ONE.SerializeToString(), compressed=True)
    assert [kind for kind, _ in frames] == [1]
    collector.wait_metrics(
        lambda m: m.total("moontail_refused_requests_total", reason="unsupported") == 1)


BEARER = ('grpc = { listen = "127.0.0.1:0", auth = { bearer = { secret(env "TOKEN"), "old" } } }, '
          'http = { listen = "127.0.0.1:0", auth = { bearer = { secret(env "TOKEN"), "old" } } }')


def test_a_bearer_token_is_asked_for(start):
    collector = start(config(exporter("nop"), receivers=BEARER), env={"TOKEN": "s3cr3t"})
    body = ONE.SerializeToString()
    for value, status in ((None, 401), ("Bearer nope", 401), ("Bearer s3cr3", 401),
                          ("Basic s3cr3t", 401), ("Bearer s3cr3t", 200), ("bearer old", 200)):
        headers = {"Authorization": value} if value else {}
        assert post(collector.http, body, headers=headers).status == status, value
    client = Grpc(collector.grpc)
    with pytest.raises(Refused) as e:
        client.call(body)
    assert e.value.code == grpc.StatusCode.UNAUTHENTICATED
    client.export(body, metadata=(("authorization", "Bearer s3cr3t"),))
    client.close()
    assert refusals(collector)["unauthenticated"] == 5
    assert "s3cr3t" not in collector.output()




def test_overload_is_answered_in_the_way_that_clients_repeat(start):
    collector = start(config(
        exporter("otlp", endpoint="http://127.0.0.1:9", protocol="http/protobuf",
                 queue={"max_size": "1MiB", "on_full": "refuse"}),
        more='shutdown_timeout = "1s",'))
    big = request_with(*[span(trace_id(i), name="n" * 10000) for i in range(60)]).SerializeToString()
    statuses = []
    while not statuses or statuses[-1].status == 200:
        statuses.append(post(collector.http, big))
        assert len(statuses) < 1000, "a full queue never refuses"
    refused = statuses[-1]
    assert refused.status == 503 and refused.headers["Retry-After"] == "1"
    assert refused.rpc_status().code == 14
    client = Grpc(collector.grpc)
    with pytest.raises(Refused) as e:
        client.call(big)
    assert e.value.code == grpc.StatusCode.UNAVAILABLE
    assert e.value.retry_delays() == [1, 1], "in the details and in the header of its own"
    client.close()
    status, _, text = collector.get("/readyz?verbose")
    assert status == 503, text
    assert refusals(collector)["queue_full"] == 2 and refusals(collector)["memory"] == 0
