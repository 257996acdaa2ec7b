"""Log records that follow their traces: they wait, survive kill -9, and leave with kept traces alone."""
import collections
import signal

import pytest
from clients import post
from harness import REQUESTS, config, exporter, run
from messages import request_with, span, trace_id

TRACES = 200
ERRORS = 'policies = { policy "status_code" { status_codes = { "ERROR" } } }'


def following(backend, *, ack, workers):
    return config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf"), wait="1h",
                  tail=ERRORS, workers=workers, journal=f'ack = "{ack}"',
                  more="logs = { follow_traces = true },")


def records(*pairs):
    """A request of (trace id or None, text)."""
    request = REQUESTS["logs"]()
    scope = request.resource_logs.add().scope_logs.add()
    for trace, text in pairs:
        scope.log_records.add(trace_id=trace or b"", severity_number=9).body.string_value = text
    return request


def texts(request):
    return collections.Counter(r.body.string_value for rl in request.resource_logs
                               for sl in rl.scope_logs for r in sl.log_records)


def send(collector):
    """Odd traces are kept. Each has two records, and each request some without a trace."""
    spans = [span(trace_id(i), i + 1, error=i % 2 == 1) for i in range(TRACES)]
    assert post(collector.http, request_with(*spans).SerializeToString()).status == 200
    for turn in range(2):
        pairs = [(trace_id(i), f"{turn} of {i}") for i in range(TRACES)]
        pairs[50:50] = [(None, f"{turn} of none")] * 5
        answer = post(collector.http, records(*pairs).SerializeToString(), path="/v1/logs")
        assert answer.status == 200 and answer.body == b""


@pytest.mark.parametrize("ack", ["written", "fsync"])
def test_they_leave_once_and_with_kept_traces_alone_after_kill_9(at, backend, ack):
    collector = at(following(backend, ack=ack, workers=2))
    send(collector)
    early = texts(backend.wait("logs", logs=10))
    assert early == {"0 of none": 5, "1 of none": 5}
    collector.wait_metrics(lambda m: m.total("moontail_pending_items", signal="logs") == 2 * TRACES)
    collector.signal(signal.SIGKILL)
    collector.wait_exit()
    collector = at(following(backend, ack=ack, workers=1))
    metrics = collector.wait_metrics(
        lambda m: m.total("moontail_pending_items", signal="logs") == 2 * TRACES)
    assert metrics.total("moontail_recovered_items_total", signal="logs") == 2 * TRACES
    assert metrics.total("moontail_recovered_spans_total") == TRACES
    collector.stop()
    found = texts(backend.received("logs"))
    kept = {f"{turn} of {i}": 1 for turn in range(2) for i in range(1, TRACES, 2)}
    assert {t: n for t, n in found.items() if "none" not in t} == kept
    assert all(n >= 5 for t, n in found.items() if "none" in t)


def test_records_of_which_no_span_came_are_kept_and_counted(start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf"),
                             tail=ERRORS, more="logs = { follow_traces = true },"))
    request = records((trace_id(1), "alone"), (trace_id(1), "alone"), (trace_id(2), "alone"))
    assert post(collector.http, request.SerializeToString(), path="/v1/logs").status == 200
    assert texts(backend.wait("logs", logs=3)) == {"alone": 3}
    metrics = collector.wait_items("logs", 3)
    assert metrics.total("moontail_alone_items_total", signal="logs") == 3
    assert metrics.total("otelcol_processor_tail_sampling_count_traces_sampled_total",
                         policy="logs", reason="no span came") == 2
    assert metrics.total("moontail_pending_items") == 0
    assert metrics.total("moontail_kept_items_total", signal="logs") == 3


def test_a_rescue_sends_them_with_the_spans_of_their_trace(start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf"),
                             tail=ERRORS, wait="1h", journal='ack = "written"',
                             more="logs = { follow_traces = true },"))
    request = records((trace_id(1), "same"), (trace_id(2), "other"), (trace_id(1), "same"))
    assert post(collector.http, request.SerializeToString(), path="/v1/logs").status == 200
    spans = [span(trace_id(i), 1) for i in (1, 2)]
    assert post(collector.http, request_with(*spans).SerializeToString()).status == 200
    collector.end_wait()
    collector.wait_metrics(lambda m: m.total("moontail_dropped_items_total") == 3)
    hexed, journal = trace_id(1).hex(), ("--journal", f"{collector.folder}/journal")
    said = run("explain", hexed, *journal, folder=collector.folder).stdout
    assert "1 span and 2 log records are still there: `moontail rescue" in said, said
    done = run("rescue", hexed, *journal, folder=collector.folder)
    assert done.stdout == f"{hexed}: 1 span and 2 log records rescued, to otlp\n", done
    assert texts(backend.wait("logs", logs=2)) == {"same": 2}
    assert backend.wait(spans=1)
    metrics = collector.wait_metrics(lambda m: m.total("moontail_rescued_items_total") == 2)
    assert metrics.total("moontail_dropped_items_total") == 3
    assert "2 log records rescued, " in run("explain", hexed, *journal, folder=collector.folder).stdout
    again = run("rescue", hexed, *journal, folder=collector.folder)
    assert again.returncode == 1 and "rescued already" in again.stderr
