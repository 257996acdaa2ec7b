"""Which traces are kept: exactly those that the rules say."""
import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from clients import post
from harness import HERE, config, exporter
from messages import (CLIENT, EPOCH, SERVER, request_with, span, spans_of, trace_id)

T_10_PERCENT = 0xE6660000000000
TRACES, SPANS = 100_000, 5
SHIPPED = """policies = {
      policy "drop_health_checks",
      policy "status_code" { status_codes = { "ERROR" } },
      policy "latency" { threshold_ms = 500 },
      policy "probabilistic" { sampling_percentage = 10 },
    }"""


def randomness(id_):
    return int.from_bytes(id_[9:], "big")


def healthy_spans(ids):
    """SPANS small spans for each id, as encoded `spans` fields; protobuf is too slow for so many."""
    blank = b"\xa5" * 16
    templates = [span(blank, k + 1, k, kind=CLIENT if k else SERVER, ms=10 - k) for k in range(SPANS)]
    parts = []
    for template in templates:
        encoded = template.SerializeToString()
        before, after = encoded.split(blank)
        head = b"\x12" + bytes([len(encoded)]) + before
        parts.extend(head + id_ + after for id_ in ids)
    return parts


def bodies(spans, rng, requests):
    """The spans in random order, split into requests of random sizes."""
    rng.shuffle(spans)
    resource = request_with().resource_spans[0].resource.SerializeToString()
    cuts = sorted(rng.sample(range(1, len(spans)), requests - 1))
    for a, b in zip([0, *cuts], [*cuts, len(spans)]):
        scope = b"".join(spans[a:b])
        rs = (b"\x0a" + varint(len(resource)) + resource + b"\x12" + varint(len(scope)) + scope)
        yield b"\x0a" + varint(len(rs)) + rs


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def send_all(collector, all_bodies, connections=8):
    lock = threading.Lock()

    def one(body):
        answer = post(collector.http, body)
        with lock:
            assert answer.status == 200 and answer.body == b"", answer.body

    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(one, all_bodies))


CASES = {
    "1 worker": (1, "auto", 1), "2 workers": (2, "auto", 2), "4 workers": (4, "auto", 3),
    "interpreted": (2, "off", 4),
}


@pytest.mark.parametrize("workers, jit, seed", CASES.values(), ids=CASES.keys())
def test_of_healthy_traces_exactly_the_tenth_that_the_ids_say_is_kept(workers, jit, seed, start,
                                                                     backend):
    ids_rng = random.Random(2024)
    ids = [ids_rng.randbytes(16) for _ in range(TRACES)]
    expected = {i for i in ids if randomness(i) >= T_10_PERCENT}
    collector = start(config(exporter("otlp", endpoint=backend.grpc, protocol="grpc"), wait="1h",
                             tail=SHIPPED, workers=workers, more=f'jit = "{jit}",'))
    rng = random.Random(seed)
    send_all(collector, list(bodies(healthy_spans(ids), rng, 400)))
    collector.wait_metrics(lambda m: m.total("moontail_received_spans_total") == SPANS * TRACES)
    collector.end_wait()
    metrics = collector.wait_decided(SPANS * TRACES)
    assert metrics.total("moontail_late_spans_total") == 0
    got = spans_of(backend.wait(spans=SPANS * len(expected)))
    kept = {}
    for s in got:
        kept[s.trace_id] = kept.get(s.trace_id, 0) + 1
    assert set(kept) == expected
    assert set(kept.values()) == {SPANS}, "a kept trace is kept whole"
    assert metrics.total("moontail_kept_spans_total", reason="sampled") == SPANS * len(expected)


def test_errors_and_slow_traces_are_kept_whole_and_health_checks_dropped(start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf"),
                             tail=SHIPPED, workers=2, wait="1h"))
    # ids that the draw never keeps, so that every keep has another reason
    ids = [bytes([1] * 9) + bytes([0] * 4) + i.to_bytes(3, "big") for i in range(1, 2001)]
    reasons = {}
    requests = []
    for i, id_ in enumerate(ids):
        kind = ("error", "slow", "health", "normal", "failing health", "slow health")[i % 6]
        reasons[id_] = kind
        ms = 600 if kind == "slow" else 10
        health = {"http.request.method": "GET", "url.path": "/healthz",
                  "user_agent.original": "kube-probe/1.34"} if "health" in kind else {}
        ms = 60_000 if kind == "slow health" else ms
        requests.append(request_with(span(id_, 1, ms=ms, attributes=health,
                                          error=kind == "failing health")))
        if "health" not in kind:
            requests.append(request_with(span(id_, 2, 1, start=EPOCH + 1000, ms=1, kind=CLIENT,
                                              error=kind == "error"), service_name="other"))
    random.Random(5).shuffle(requests)
    send_all(collector, [r.SerializeToString() for r in requests])
    collector.end_wait()
    count = len(requests)
    metrics = collector.wait_decided(count)
    expected = {}
    for r in requests:
        for s in spans_of(r):
            if reasons[s.trace_id] not in ("health", "normal"):
                expected[s.trace_id] = expected.get(s.trace_id, 0) + 1
    got = {}
    for s in spans_of(backend.wait(spans=sum(expected.values()))):
        got[s.trace_id] = got.get(s.trace_id, 0) + 1
    assert got == expected
    kept = metrics.by("moontail_kept_spans_total", "reason")
    assert kept["error"] == 334 * 2 + 333 and kept["slow"] == 334 * 2 + 333
    assert metrics.by("moontail_dropped_spans_total", "reason")["health_check"] == 333


def test_late_spans_follow_the_decision(start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf"),
                             tail=SHIPPED))
    kept, dropped = trace_id(1), bytes([1] * 9) + bytes([0] * 6) + b"\1"
    post(collector.http, request_with(span(kept, 1, error=True), span(dropped, 1)).SerializeToString())
    collector.wait_decided(2)
    late = request_with(span(kept, 2, 1), span(dropped, 2, 1))
    post(collector.http, late.SerializeToString())
    metrics = collector.wait_metrics(lambda m: m.total("moontail_late_spans_total") == 2)
    assert metrics.by("moontail_late_spans_total", "verdict") == {"keep": 1, "drop": 1}
    assert {s.span_id[-1] for s in spans_of(backend.wait(spans=2))} == {1, 2}
    assert {s.trace_id for s in spans_of(backend.received())} == {kept}


def test_a_policy_that_always_raises_costs_a_bounded_number_of_traces(start, backend):
    tail = ("on_error = { keep_traces_per_second = 10 }, policies = { policy { name = 'broken', "
            "decide = function(trace) error('no') end }, "
            "policy 'probabilistic' { sampling_percentage = 10 } }")
    collector = start(config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf"),
                             tail=tail, wait="100ms"))
    ids_rng = random.Random(7)
    ids = [ids_rng.randbytes(16) for _ in range(20_000)]
    send_all(collector, list(bodies(healthy_spans(ids), random.Random(1), 200)))
    metrics = collector.wait_decided(20_000 * SPANS)
    kept = metrics.by("moontail_kept_spans_total", "reason")
    assert metrics.total("moontail_policy_errors_total", policy="broken") > 0
    assert 0 < kept["policy_error"] < 20_000 * SPANS * 0.2, kept


def test_without_tail_sampling_everything_is_kept(start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf"),
                             tail=None))
    for i in range(20):
        post(collector.http, request_with(span(trace_id(i))).SerializeToString())
    assert len(spans_of(backend.wait(spans=20))) == 20
    metrics = collector.wait_decided(20)
    assert metrics.total("moontail_kept_spans_total", policy="none") == 20


def test_a_sampled_keep_says_its_threshold(start, backend):
    collector = start(config(exporter("otlp", endpoint=backend.http, protocol="http/protobuf"),
                             tail=SHIPPED))
    sampled = bytes([9] * 9) + b"\xff" * 7
    foreign = bytes([8] * 9) + b"\xff" * 7
    post(collector.http, request_with(
        span(sampled), span(foreign, trace_state="vendor=1,ot=rv:fedcba98765432"))
        .SerializeToString())
    states = {s.trace_id: s.trace_state for s in spans_of(backend.wait(spans=2))}
    assert states[sampled] == "ot=th:e666"
    assert dict(m.split("=", 1) for m in states[foreign].split(",")) == {
        "vendor": "1", "ot": "th:e666;rv:fedcba98765432"} or states[foreign].count("th:e666") == 1


@pytest.mark.parametrize("jit", ["auto", "on"])
def test_where_memory_is_never_executable_lua_runs_interpreted_and_that_is_said(jit, start):
    tail = ("policies = { policy 'status_code' { status_codes = { 'ERROR' } }, "
            "policy 'latency' { threshold_ms = 500 } }")
    collector = start(config(exporter("nop"), tail=tail, wait="10ms", workers=2,
                             more=f'jit = "{jit}",'),
                      under=(sys.executable, f"{HERE}/no_exec.py"))
    for i in range(300):
        post(collector.http, request_with(span(trace_id(i), 1, error=i % 3 == 0)).SerializeToString())
    metrics = collector.wait_decided(300)
    assert metrics.by("moontail_kept_spans_total", "reason").get("error") == 100
    assert metrics.total("moontail_policy_errors_total") == 0
    said = [line for line in collector.lines if "Lua runs interpreted" in line]
    assert len(said) == 1, collector.output()
