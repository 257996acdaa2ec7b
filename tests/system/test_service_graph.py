"""service_graph: requests between services are those of all traces, whatever is kept and how it came."""
import collections
import os
import random
import signal

import pytest
from clients import export_both_ways, post
from harness import Collector, config, exporter, parse_metrics
from messages import request_with, span, trace_id

PREFIX = "traces_service_graph_request"
TOTAL, FAILED = f"{PREFIX}_total", f"{PREFIX}_failed_total"
INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = 1, 2, 3, 4, 5
NOTHING = 'policies = { policy "probabilistic" { sampling_percentage = 0.5 } }'
SERVICES = ["shop", "cart", "stock", "mail"]


class Truth:
    """What is counted: by edge the number of requests, and the milliseconds of both sides."""

    def __init__(self):
        self.requests, self.server_ms, self.client_ms = (collections.Counter() for _ in range(3))
        self.spans = 0

    def add(self, client, server, kind, failed, client_ms=None, server_ms=None):
        edge = client, server, kind, str(failed).lower()
        self.requests[edge] += 1
        if client_ms is not None:
            self.client_ms[edge] += client_ms
        if server_ms is not None:
            self.server_ms[edge] += server_ms


def draw_trace(rng, number, truth):
    """(service, span) of a trace: a user calls a service, that calls others, databases, nobody."""
    trace, ids, spans = trace_id(number), iter(range(number * 1000 + 1, number * 1000 + 1000)), []

    def make(service, parent, kind, **more):
        ms, failed, own = rng.randrange(1, 400), rng.random() < 0.1, next(ids)
        spans.append((service, span(trace, own, parent, ms=ms, kind=kind, error=failed, **more)))
        return own, ms, failed

    def serve(service, parent, kind, depth):
        own, ms, failed = make(service, parent, kind)
        for _ in range(rng.randrange(3) if depth < 3 else 0):
            call(service, make(service, own, INTERNAL)[0] if rng.random() < 0.3 else own, depth)
        return ms, failed

    def call(service, parent, depth):
        what = rng.choice(["server", "server", "message", "database", "peer"])
        if what == "database":
            _, ms, failed = make(service, parent, CLIENT, attributes={"db.name": "orders"})
            truth.add(service, "orders", "database", failed, ms, ms)
        elif what == "peer":
            _, ms, failed = make(service, parent, CLIENT, attributes={"peer.service": "stripe"})
            truth.add(service, "stripe", "virtual_node", failed, ms)
        else:
            is_message, other = what == "message", rng.choice(SERVICES)
            own, ms, failed = make(service, parent, PRODUCER if is_message else CLIENT)
            server_ms, server_failed = serve(other, own, CONSUMER if is_message else SERVER,
                                             depth + 1)
            truth.add(service, other, "messaging_system" if is_message else "",
                      failed or server_failed, ms, server_ms)

    service = rng.choice(SERVICES)
    ms, failed = serve(service, 0, SERVER, 0)
    truth.add("user", service, "virtual_node", failed, server_ms=ms)
    truth.spans += len(spans)
    return spans


def requests_of(rng, truth, first, count):
    """Requests, each of one service, that have the spans of many traces in any order."""
    by_service = collections.defaultdict(list)
    for number in range(first, first + count):
        for service, s in draw_trace(rng, number, truth):
            by_service[service].append(s)
    for service, spans in by_service.items():
        rng.shuffle(spans)
        for i in range(0, len(spans), 50):
            yield request_with(*spans[i:i + 50], service_name=service)


def edge_of(labels):
    labels = dict(labels)
    return tuple(labels[k] for k in ("client", "server", "connection_type", "failed"))


def by_edge(metrics, name):
    return {edge_of(labels): v for (n, labels), v in metrics.items() if n == name}


def page(collector, requests):
    """The page once it has so many: of those before, somebody may have been late for the snapshot."""
    while True:
        status, _, text = collector.get("/metrics/spans")
        assert status == 200, text
        metrics = parse_metrics(text)
        if metrics.total(TOTAL) >= requests:
            return metrics
        collector.pause()


def check(metrics, truth):
    assert by_edge(metrics, TOTAL) == truth.requests
    assert by_edge(metrics, FAILED) == {e: n for e, n in truth.requests.items() if e[3] == "true"}
    for side, ms in (("server", truth.server_ms), ("client", truth.client_ms)):
        seconds = by_edge(metrics, f"{PREFIX}_{side}_seconds_sum")
        assert seconds.keys() == ms.keys()
        assert all(abs(seconds[edge] - ms[edge] / 1000) < 1e-6 for edge in ms)
    counts = by_edge(metrics, f"{PREFIX}_server_seconds_count")
    assert counts == {e: truth.requests[e] for e in truth.server_ms}


@pytest.mark.parametrize("workers", [1, 2])
def test_requests_of_dropped_traces_are_counted_exactly_and_over_a_reload(start, workers):
    truth, rng = Truth(), random.Random(workers)
    collector = start(config('exporter "nop"', tail=NOTHING, workers=workers, wait="1h",
                             more="service_graph = {},"))
    export_both_ways(collector, requests_of(rng, truth, 0, 150))
    collector.signal(signal.SIGHUP)
    export_both_ways(collector, requests_of(rng, truth, 150, 150))
    collector.end_wait()
    metrics = collector.wait_decided(truth.spans)
    assert metrics.total("moontail_kept_spans_total") < truth.spans / 10
    assert metrics.total("moontail_late_spans_total") == 0
    check(page(collector, truth.requests.total()), truth)
    metrics = collector.scrape()
    assert metrics.total("moontail_service_graph_requests_total") == truth.requests.total()
    assert metrics.total("moontail_service_graph_unpaired_spans_total") == 0
    assert metrics.total("moontail_service_graph_series") == len(truth.requests)
    collector.stop()


def test_after_a_kill_what_waited_is_counted_once(tmp_path):
    text = config('exporter "nop"', tail=NOTHING, workers=2, wait="1h", more="service_graph = {},",
                  journal='ack = "written"')
    truth, rng = Truth(), random.Random(9)
    first = Collector(tmp_path, text)
    try:
        export_both_ways(first, requests_of(rng, truth, 0, 100))
        assert first.scrape().total("moontail_pending_spans") == truth.spans
    finally:
        first.kill()
    second = Collector(tmp_path, text)
    try:
        export_both_ways(second, requests_of(rng, truth, 100, 50))
        second.end_wait()
        second.wait_metrics(lambda m: m.total("moontail_pending_spans") == 0 and
                            m.total("moontail_received_spans_total")
                            + m.total("moontail_recovered_spans_total") == truth.spans)
        check(page(second, truth.requests.total()), truth)
        second.stop()
    finally:
        second.kill()


def test_what_leaves_at_the_end_is_all_that_was_decided(start, backend):
    truth, rng = Truth(), random.Random(3)
    collector = start(config(
        exporter("otlp", endpoint=backend.http, protocol="http/protobuf"), tail=NOTHING, workers=2,
        wait="1h", more='span_metrics = {}, service_graph = { exponential_histogram_max_size = 80,'
                         ' metrics_flush_interval = "300ms" },'))
    export_both_ways(collector, requests_of(rng, truth, 0, 100))
    collector.stop()  # decides what waits
    last, kinds = {}, {}
    for resource in backend.received("metrics").resource_metrics:
        if resource.scope_metrics[0].scope.name != "traces_service_graph":
            continue
        for metric in resource.scope_metrics[0].metrics:
            kinds[metric.name] = metric.WhichOneof("data"), metric.unit
            for point in metric.sum.data_points if metric.name == TOTAL else ():
                client, server, kind, failed = (a.value for a in point.attributes)
                last[client.string_value, server.string_value, kind.string_value,
                     str(failed.bool_value).lower()] = point.as_int
    assert last == truth.requests
    assert kinds == {TOTAL: ("sum", ""), FAILED: ("sum", ""),
                     f"{PREFIX}_server": ("exponential_histogram", "s"),
                     f"{PREFIX}_client": ("exponential_histogram", "s")}


def test_late_spans_make_no_requests(start):
    collector = start(config('exporter "nop"', tail=NOTHING, more="service_graph = {},"))
    post(collector.http, request_with(span(trace_id(1), 1, kind=CLIENT)).SerializeToString())
    collector.wait_decided(1)
    post(collector.http, request_with(span(trace_id(1), 2, 1), service_name="cart")
         .SerializeToString())
    metrics = collector.wait_decided(2)
    assert metrics.total("moontail_late_spans_total") == 1
    assert by_edge(page(collector, 1), TOTAL) == {("shop", "unknown", "virtual_node", "false"): 1}
    collector.stop()


def test_a_bound_of_edges_is_kept_and_a_change_wants_a_restart(start):
    collector = start(config('exporter "nop"', more="service_graph = { max_edges = 5 },"))
    for i in range(40):
        post(collector.http, request_with(span(trace_id(i), 1, error=i % 2 == 0),
                                          service_name=f"s{i}").SerializeToString())
    collector.wait_decided(40)
    metrics = page(collector, 40)
    assert metrics.total(TOTAL, otel_metric_overflow="true") == 35
    assert collector.scrape().total("moontail_service_graph_overflow_requests_total") == 35
    path = os.path.join(collector.folder, "config.lua")
    with open(path) as f:
        changed = f.read().replace("max_edges = 5", "max_edges = 7")
    with open(path, "w") as f:
        f.write(changed)
    collector.signal(signal.SIGHUP)
    assert "restart" in collector.wait_line(lambda x: "service_graph.max_edges" in x and x)
    collector.stop()
