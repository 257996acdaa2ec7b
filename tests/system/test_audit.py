"""sampling_audit: what sampling removes is named, with who does it; what it draws honestly is not."""
import json
import random
import socket

import pytest
from clients import Grpc
from harness import config, run
from messages import request_with, span, trace_id

ERRORS, DRAW = 'policy "status_code" { status_codes = { "ERROR" } }', 'policy "probabilistic" { sampling_percentage = %g }'
MISTAKE = """policy { name = "too_broad", decide = function(trace)
  if trace.root and trace.root.name:find("pay", 1, true) then return drop("not needed") end end }"""
BIAS = "moontail_sampling_bias_standard_errors"


def tail(*policies):
    return f"policies = {{ {', '.join(policies)} }}"


def send(collector, traces, first=0):
    """Traces of 3 operations, a twentieth of which have an error; returns how many of each."""
    rng, grpc, roots, calls = random.Random(first), Grpc(collector.grpc), [], []
    counts = dict.fromkeys(["GET /cart", "POST /pay", "GET /health"], 0)
    for number in range(first, first + traces):
        name = rng.choice(list(counts))
        counts[name] += 1
        roots.append(span(trace_id(number), number * 4 + 1, name=name, error=rng.random() < 0.05))
        calls.append(span(trace_id(number), number * 4 + 2, number * 4 + 1, name="SELECT", kind=3))
    for i in range(0, traces, 200):
        grpc.export(request_with(*roots[i:i + 200]).SerializeToString())
        grpc.export(request_with(*calls[i:i + 200], service_name="store").SerializeToString())
    grpc.close()
    return counts


def of(metrics, name, operation, **more):
    return metrics.total(name, service="shop", operation=operation, **more)


def control(collector, command):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(f"{collector.folder}/journal/control.sock")
        s.sendall(command.encode() + b"\n")
        s.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: s.recv(65536), b"")).decode()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_policy_that_drops_a_class_by_mistake_is_named(start, workers):
    collector = start(config('exporter "nop"', tail=tail(MISTAKE, ERRORS, DRAW % 10),
                             workers=workers))
    counts = send(collector, 6000)
    metrics = collector.wait_metrics(
        lambda m: m.total("moontail_sampling_true_traces") == 6000)
    for name, traces in counts.items():
        assert of(metrics, "moontail_sampling_true_traces", name) == traces
    assert of(metrics, "moontail_sampling_counted_traces", "POST /pay") == 0
    assert of(metrics, "moontail_sampling_dropped_traces", "POST /pay", policy="too_broad",
              reason="not needed") == counts["POST /pay"]
    assert metrics.total("moontail_sampling_dropped_traces") == counts["POST /pay"]
    assert of(metrics, BIAS, "POST /pay") < -100
    for name in ("GET /cart", "GET /health"):
        assert abs(of(metrics, BIAS, name)) < 5
        assert abs(of(metrics, "moontail_sampling_counted_traces", name) / counts[name] - 1) < 0.35
    assert max(abs(v) for (n, _), v in metrics.items()
               if n == "moontail_sampling_bias_unexplained_standard_errors") < 5
    collector.stop()


def test_the_log_the_control_socket_and_explain_say_it(start, tmp_path):
    collector = start(config('exporter "nop"', tail=tail(MISTAKE, DRAW % 10),
                             journal='ack = "written"'), folder=tmp_path / "one")
    counts = send(collector, 1000)
    collector.wait_metrics(lambda m: m.total("moontail_sampling_true_traces") == 1000)
    wanted = f"shop POST /pay: {counts['POST /pay']} of {counts['POST /pay']} traces dropped by too_broad"
    assert wanted in control(collector, "bias")
    assert wanted in control(collector, "bias too_broad")
    assert control(collector, "bias probabilistic").strip() == "ok 0"
    assert "bias    " + wanted in control(collector, "summary")
    line = collector.wait_line(lambda x: "all traces of an operation are dropped" in x and x)
    assert 'operation="POST /pay"' in line and "policy=too_broad" in line
    dropped = next(n for n in range(1000)
                   if "by too_broad" in explain(collector, n))
    assert wanted in explain(collector, dropped)
    said = json.loads(run("explain", trace_id(dropped).hex(), "--json", "--config",
                          f"{collector.folder}/config.lua", folder=collector.folder).stdout)
    assert said["bias"][0].startswith(wanted)
    collector.stop()
    assert wanted not in explain(collector, dropped)  # nobody is there to say it


def explain(collector, number):
    return run("explain", trace_id(number).hex(), "--config", f"{collector.folder}/config.lua",
               folder=collector.folder).stdout


def test_what_is_kept_and_sent_nowhere_is_seen(start):
    where = """exporter "nop" { where = match { attr = { nobody = any } } }"""
    collector = start(config(where, tail=tail('policy "always_sample"')))
    counts = send(collector, 600)
    metrics = collector.wait_metrics(lambda m: m.total("moontail_sampling_true_traces") == 600)
    for name, traces in counts.items():
        assert of(metrics, "moontail_sampling_dropped_traces", name, policy="exporters") == traces
    collector.stop()


def test_what_is_drawn_before_it_goes_nowhere_is_no_bias_that_nobody_explains(start):
    where = """exporter "nop" { where = match { name = "GET /cart" } }"""
    collector = start(config(where, tail=tail(DRAW % 20)))
    counts = send(collector, 3000)
    metrics = collector.wait_metrics(lambda m: m.total("moontail_sampling_true_traces") == 3000)
    for name in ("POST /pay", "GET /health"):
        dropped = of(metrics, "moontail_sampling_dropped_traces", name, policy="exporters")
        assert 0 < dropped < counts[name] / 2
        assert of(metrics, BIAS, name) < -10
    assert max(abs(v) for (n, _), v in metrics.items()
               if n == "moontail_sampling_bias_unexplained_standard_errors") < 5
    collector.stop()


def test_head_sampling_is_no_bias_and_a_limit_is_one(start):
    collector = start(config('exporter "nop"', tail=tail(DRAW % 10),
                             more="head_sampling = { sampling_percentage = 40 },"))
    send(collector, 4000)
    metrics = collector.wait_metrics(lambda m: m.total("moontail_sampling_true_traces") > 1000
                                     and m.total("moontail_pending_spans") == 0)
    worst = [v for (n, _), v in metrics.items() if n == BIAS]
    assert len(worst) == 3 and max(map(abs, worst)) < 5
    collector.stop()
    limited = start(config('exporter "nop"',
                           tail=tail('policy "rate_limiting" { spans_per_second = 10 }')))
    send(limited, 900)
    metrics = limited.wait_metrics(lambda m: m.total("moontail_sampling_true_traces") == 900)
    assert metrics.total("moontail_sampling_dropped_traces") > 500
    assert min(v for (n, _), v in metrics.items() if n == BIAS) < -100
    limited.stop()


def test_every_operation_in_a_trace_counts_where_it_is_asked_for(start):
    collector = start(config('exporter "nop"', tail=tail(MISTAKE, DRAW % 100), wait="1h",
                             more="sampling_audit = { all_spans = true },"))
    counts = send(collector, 300)
    collector.end_wait()
    metrics = collector.wait_metrics(
        lambda m: m.total("moontail_sampling_true_traces", service="store") == 300)
    assert metrics.total("moontail_sampling_dropped_traces", service="store", operation="SELECT",
                         policy="too_broad") == counts["POST /pay"]
    collector.stop()


def test_it_can_be_turned_off(start):
    collector = start(config('exporter "nop"', tail=tail(MISTAKE),
                             more="sampling_audit = { enabled = false },"))
    send(collector, 100)
    metrics = collector.wait_decided(200)
    assert not [n for n, _ in metrics if n.startswith("moontail_sampling")]
    collector.stop()


def test_operations_that_look_the_same_on_the_page_are_one_sample(start):
    """A NUL ends a label; a family may have each set of labels once, which every scrape checks."""
    collector = start(config('exporter "nop"', tail=tail(DRAW % 100)))
    grpc = Grpc(collector.grpc)
    for number, name in enumerate(["", "\0", "a", "a\0b", "a\0c", "(others)"]):
        grpc.export(request_with(span(trace_id(number), name=name)).SerializeToString())
    grpc.close()
    metrics = collector.wait_decided(6)  # names are known before what is counted of them is
    assert metrics.total("moontail_sampling_audit_operations") == 6
    assert set(metrics.by(BIAS, "operation")) == {"", "a", "(others)"}
