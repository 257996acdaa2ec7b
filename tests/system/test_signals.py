"""Metrics and logs pass through: what exporters give out is what came in, and nothing is lost."""
import json
import signal as signals

import grpc
import pytest
from clients import Grpc, Refused, post
from harness import KEEP_ALL, REQUESTS, config, exporter
from messages import attribute, fields_set, filled, from_json, reachable, request_with, span, to_json
from messages import trace_id

METHODS = {"metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
           "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export"}
ITEMS = {"metrics": "rejected_data_points", "logs": "rejected_log_records"}
BOTH = pytest.mark.parametrize("signal", ["metrics", "logs"])
PROTOBUF, JSON = "application/x-protobuf", "application/json"


def points_of(metric):
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind else []


def items_in(signal, request):
    if signal == "logs":
        return [r for rl in request.resource_logs for sl in rl.scope_logs for r in sl.log_records]
    return [p for rm in request.resource_metrics for sm in rm.scope_metrics for m in sm.metrics
            for p in points_of(m)]


def resources_of(signal, request):
    return getattr(request, f"resource_{signal}")


def logs_request(*bodies):
    request = REQUESTS["logs"]()
    scope = request.resource_logs.add().scope_logs.add()
    for body in bodies:
        scope.log_records.add(time_unix_nano=1, severity_number=9).body.string_value = body
    return request


def metrics_request(name, *values):
    request = REQUESTS["metrics"]()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
    for value in values:
        metric.gauge.data_points.add(as_int=value, time_unix_nano=1)
    return request


def small(signal, count=1):
    return (logs_request(*(f"record {i}" for i in range(count))) if signal == "logs"
            else metrics_request("cpu", *range(count)))


def respond(signal, answer):
    """The Export...ServiceResponse in an answer."""
    name = {"metrics": "ExportMetricsServiceResponse", "logs": "ExportLogsServiceResponse"}[signal]
    module = __import__(f"opentelemetry.proto.collector.{signal}.v1.{signal}_service_pb2",
                        fromlist=[name])
    return getattr(module, name).FromString(answer)


def send(collector, signal, how, request):
    protocol, form, encoding = how
    if protocol == "grpc":
        client = Grpc(collector.grpc)
        raw = client.call(request.SerializeToString(), method=METHODS[signal],
                          compression=grpc.Compression.Gzip if encoding else None)
        client.close()
        assert raw == b""
        return
    body = to_json(request).encode() if form == "json" else request.SerializeToString()
    content_type = JSON if form == "json" else PROTOBUF
    answer = post(collector.http, body, content_type, encoding, path=f"/v1/{signal}")
    assert answer.status == 200 and answer.content_type == content_type, answer.body
    assert answer.body == (b"{}" if form == "json" else b"")


HOWS = [("http", form, encoding) for form in ("protobuf", "json")
        for encoding in (None, "gzip", "deflate", "zstd")]
HOWS += [("grpc", "protobuf", None), ("grpc", "protobuf", "gzip")]


def stamped(signal, request, key, value):
    """What leaves: each resource with the attribute."""
    for resource in resources_of(signal, request):
        attribute(resource.resource, key, value)
    return request


def assert_same_resources(signal, got, sent):
    got, sent = (sorted(r.SerializeToString(deterministic=True) for r in resources_of(signal, x))
                 for x in (got, sent))
    assert got == sent


@BOTH
@pytest.mark.parametrize("tail", [None, KEEP_ALL], ids=["without tail_sampling", "with it"])
def test_every_field_survives_every_way_through(signal, tail, start, backends, tmp_path):
    by_http, by_grpc = backends(), backends()
    collector = start(config(
        exporter("otlp/http", endpoint=by_http.http, protocol="http/protobuf",
                 compression="none") + ", "
        + exporter("otlp/grpc", endpoint=by_grpc.grpc, protocol="grpc", compression="gzip") + ", "
        + exporter("file", path=f"{tmp_path}/out.jsonl"),
        tail=tail, workers=2, more='resource = { cluster = "blue" },'))
    sent = REQUESTS[signal]()
    for i, how in enumerate(HOWS):
        request = filled(REQUESTS[signal], i)
        send(collector, signal, how, request)
        sent.MergeFrom(request)
    count = len(items_in(signal, sent))
    expected = stamped(signal, sent, "cluster", "blue")
    for backend in (by_http, by_grpc):
        got = backend.wait(signal, **{signal: count})
        assert_same_resources(signal, got, expected)
        assert fields_set(got) == reachable(REQUESTS[signal].DESCRIPTOR)
    collector.wait_items(signal, count, "file")
    merged = REQUESTS[signal]()
    for line in (tmp_path / "out.jsonl").read_text().splitlines():
        assert list(json.loads(line)) == ["resourceMetrics" if signal == "metrics"
                                          else "resourceLogs"]
        merged.MergeFrom(from_json(line, REQUESTS[signal]()))
    assert_same_resources(signal, merged, expected)
    metrics = collector.scrape()
    assert metrics.total("moontail_received_items_total", signal=signal) == count
    assert metrics.total("moontail_kept_items_total", signal=signal) == count
    assert metrics.total("moontail_received_spans_total") == 0
    assert metrics.total("moontail_export_enqueued_spans_total") == 0


@BOTH
def test_unknown_fields_leave_as_they_came(signal, start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf"),
                             more='resource = { cluster = "blue" },'))
    unknown = b"\xaa\x06\x05hello"  # field 101, five bytes
    item = resources_of(signal, small(signal))[0]
    scope = (item.scope_logs if signal == "logs" else item.scope_metrics)[0]
    inner = scope.SerializeToString() + unknown
    resource = b"\x12" + bytes([len(inner)]) + inner + unknown
    body = b"\x0a" + bytes([len(resource)]) + resource + unknown
    assert post(collector.http, body, path=f"/v1/{signal}").status == 200
    backend.wait(signal, **{signal: 1})
    assert backend.call(f"/received?signal={signal}").count(unknown) == 3



def bad_request(signal):
    """Three items of which one has invalid UTF-8."""
    request = small(signal, 3)
    if signal == "logs":
        request.resource_logs[0].scope_logs[0].log_records[1].severity_text = "BADBAD"
    else:
        metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
        attribute(metric.gauge.data_points[1], "host", "BADBAD")
    return request.SerializeToString().replace(b"BADBAD", b"BAD\xff\xfe\xfd")


def request_with_bad_id(signal):
    """Three items of which one has an id of five bytes: strict decoders refuse all that is with it."""
    request = small(signal, 3)
    if signal == "logs":
        request.resource_logs[0].scope_logs[0].log_records[1].trace_id = b"short"
    else:
        metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
        metric.gauge.data_points[1].exemplars.add(span_id=b"short")
    return request.SerializeToString()


@pytest.mark.parametrize("make, reason", [(bad_request, "invalid UTF-8"),
                                          (request_with_bad_id, "trace_id is not 16 bytes")],
                         ids=["text", "id"])
@BOTH
def test_what_is_invalid_is_refused_alone_and_cut_out(signal, make, reason, start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf")))
    body = make(signal)
    answer = post(collector.http, body, path=f"/v1/{signal}")
    partial = respond(signal, answer.body).partial_success
    assert answer.status == 200 and getattr(partial, ITEMS[signal]) == 1
    assert reason in partial.error_message
    client = Grpc(collector.grpc)
    partial = respond(signal, client.call(body, method=METHODS[signal])).partial_success
    client.close()
    assert getattr(partial, ITEMS[signal]) == 1
    got = items_in(signal, backend.wait(signal, **{signal: 4}))  # parsed by a strict decoder
    wanted = items_in(signal, small(signal, 3))
    assert got == [wanted[0], wanted[2]] * 2
    metrics = collector.scrape()
    assert metrics.total("moontail_received_items_total", signal=signal) == 6
    assert metrics.total("moontail_rejected_items_total", signal=signal) == 2


@BOTH
def test_what_is_malformed_is_refused_for_good(signal, start):
    collector = start(config(exporter("nop")))
    answer = post(collector.http, b"\x0a\xff\xff", path=f"/v1/{signal}")
    assert answer.status == 400 and answer.rpc_status().code == 3
    answer = post(collector.http, b'{"resourceLogs": 5, "resourceMetrics": 5}', JSON,
                  path=f"/v1/{signal}")
    assert answer.status == 400 and b"must be an array" in answer.body
    client = Grpc(collector.grpc)
    with pytest.raises(Refused) as refused:
        client.call(b"\x0a\xff\xff", method=METHODS[signal])
    client.close()
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert post(collector.http, b"", path=f"/v1/{signal}").status == 200  # empty: a success
    assert collector.scrape().total("moontail_received_items_total") == 0


def test_each_exporter_gets_the_signals_that_it_takes(start, backends):
    all_, logs = backends(), backends()
    collector = start(config(
        exporter("otlp/all", endpoint=all_.http, protocol="http/protobuf") + ", "
        + exporter("otlp/logs", endpoint=f"{logs.http}/v1/traces", protocol="http/protobuf",
                   signals=["logs"])))
    post(collector.http, request_with(span(trace_id(1))).SerializeToString())
    for signal in ("metrics", "logs"):
        send(collector, signal, HOWS[0], small(signal, 5))
    all_.wait(spans=1, metrics=5, logs=5)
    logs.wait(logs=5)
    collector.wait_items("logs", 10)
    assert [e["signal"] for e in logs.log()] == ["logs"]
    assert sorted(e["signal"] for e in all_.log()) == ["logs", "metrics", "traces"]
    metrics = collector.scrape()
    enqueued = "moontail_export_enqueued_items_total"
    assert metrics.total(enqueued, exporter="otlp/logs", signal="logs") == 5
    assert metrics.total(enqueued, exporter="otlp/logs", signal="metrics") == 0
    assert metrics.total("moontail_export_enqueued_spans_total", exporter="otlp/logs") == 0


@BOTH
def test_a_signal_that_no_exporter_takes_is_refused(signal, start):
    collector = start(config(exporter("nop", signals=["traces"])))
    collector.wait_line(lambda x: "no exporter takes" in x and f"signal={signal}" in x)
    answer = post(collector.http, small(signal).SerializeToString(), path=f"/v1/{signal}")
    assert answer.status == 404 and "no exporter takes" in answer.rpc_status().message
    client = Grpc(collector.grpc)
    with pytest.raises(Refused) as refused:
        client.call(small(signal).SerializeToString(), method=METHODS[signal])
    client.close()
    assert refused.value.code is grpc.StatusCode.UNIMPLEMENTED
    assert collector.output().count(f"signal={signal}") == 1


def test_debug_shows_all_signals(start):
    collector = start(config(exporter("debug", verbosity="detailed", batch={"timeout": "0s"})))
    send(collector, "metrics", HOWS[0], metrics_request("cpu.load", 1, 2))
    send(collector, "logs", HOWS[0], logs_request("something happened"))
    collector.wait_line(lambda x: "2 data points" in x)
    collector.wait_line(lambda x: "cpu.load" in x and "resourceMetrics" in x)
    collector.wait_line(lambda x: "1 log records" in x)
    collector.wait_line(lambda x: "something happened" in x and "resourceLogs" in x)


def many(signal, count):
    """`count` units, each about 200 bytes, with an item in each."""
    request = REQUESTS[signal]()
    for i in range(count):
        if signal == "logs":
            request.MergeFrom(logs_request(f"record {i} " + "x" * 180))
        else:
            request.MergeFrom(metrics_request(f"metric.{i}." + "x" * 180, i))
    first = resources_of(signal, request)[0]
    attribute(first.resource, "host", "a")
    for other in resources_of(signal, request)[1:]:
        getattr(first, f"scope_{signal}").extend(getattr(other, f"scope_{signal}"))
    del resources_of(signal, request)[1:]
    return request


@BOTH
def test_what_is_too_large_for_a_request_is_split(signal, start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf",
                                      compression="none", batch={"max_bytes": "4KiB"})))
    sent = many(signal, 200)
    send(collector, signal, HOWS[0], sent)
    got = backend.wait(signal, **{signal: 200})
    collector.wait_items(signal, 200)
    assert sorted(map(str, items_in(signal, got))) == sorted(map(str, items_in(signal, sent)))
    assert len(backend.log()) > 10 and all(e["bytes"] <= 4096 for e in backend.log())
    assert all(r.resource.attributes[0].value.string_value == "a"
               for r in resources_of(signal, got))


@BOTH
def test_a_backend_may_refuse_some(signal, start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf")))
    backend.behave(reject=2)
    send(collector, signal, HOWS[0], small(signal, 5))
    metrics = collector.wait_items(signal, 3)
    assert metrics.total("moontail_export_lost_items_total", signal=signal, reason="permanent") == 2
    assert metrics.total("moontail_export_lost_spans_total") == 0


@BOTH
def test_what_was_acknowledged_survives_kill_9(signal, start, backends, tmp_path):
    backend = backends()
    backend.behave(status=503)
    text = config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf",
                           retry={"initial_interval": "50ms", "max_interval": "50ms"}))
    text = text.replace('ack = "memory"', 'ack = "written"')
    folder = tmp_path / "survivor"
    collector = start(text, folder=folder)
    for how in HOWS:
        send(collector, signal, how, small(signal, 3))
    collector.signal(signals.SIGKILL)
    assert collector.wait_exit() == -signals.SIGKILL
    collector.stop = lambda: None  # it ended as it was to
    backend.behave()
    again = start(text, folder=folder)
    got = backend.wait(signal, **{signal: 3 * len(HOWS)})
    assert len(items_in(signal, got)) == 3 * len(HOWS)
    metrics = again.wait_items(signal, 3 * len(HOWS))
    assert metrics.total("moontail_export_recovered_items_total", signal=signal) == 3 * len(HOWS)


@BOTH
def test_a_stop_sends_what_is_queued(signal, start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf",
                                      batch={"timeout": "1h"})))
    send(collector, signal, HOWS[0], small(signal, 7))
    collector.stop()
    assert len(items_in(signal, backend.received(signal))) == 7
