"""span_metrics: calls, errors and durations are those of all spans that were sent, whatever is kept."""
import bisect
import collections
import os
import random
import signal
import subprocess

import pytest
from clients import export_both_ways
from harness import config, exporter, lua, parse_metrics, run
from messages import request_with, span, trace_id

CALLS, DURATION = "traces_span_metrics_calls_total", "traces_span_metrics_duration_milliseconds"
KINDS = {2: "SPAN_KIND_SERVER", 3: "SPAN_KIND_CLIENT"}
NOTHING = 'policies = { policy "probabilistic" { sampling_percentage = 0.5 } }'
BOUNDS = [2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10000, 15000]


def requests_of(rng, truth):
    """Requests of spans; what is in them is noted by series: a list of durations."""
    for number in range(60):
        service = rng.choice(["shop", "cart", 'odd "one"\n'])
        spans = []
        for i in range(rng.randrange(1, 80)):
            name, kind = rng.choice(["GET", "PUT", "naïve"]), rng.choice(list(KINDS))
            error, ms = rng.random() < 0.1, rng.choice([0, 2, 100, rng.randrange(20000)])
            spans.append(span(trace_id(rng.randrange(500)), number * 100 + i + 1, ms=ms, name=name,
                              kind=kind, error=error))
            truth[service, name, KINDS[kind],
                  f"STATUS_CODE_{'ERROR' if error else 'UNSET'}"].append(ms)
        yield request_with(*spans, service_name=service)


def unescaped(text):
    return text.replace('\\"', '"').replace("\\n", "\n")


def series_of(labels):
    labels = dict(labels)
    return tuple(unescaped(labels[k]) for k in ("service_name", "span_name", "span_kind",
                                                "status_code"))


def page(collector):
    status, _, text = collector.get("/metrics/spans")
    assert status == 200, text
    return parse_metrics(text)


def full_page(collector, spans):
    """The page once it has so many: of those before, somebody may have been late for the snapshot."""
    while True:
        metrics = page(collector)
        if metrics.total(CALLS) >= spans:
            return metrics
        collector.pause()


def check_page(metrics, truth):
    calls = {series_of(labels): v for (n, labels), v in metrics.items() if n == CALLS}
    assert calls == {series: len(durations) for series, durations in truth.items()}
    sums = {series_of(labels): v for (n, labels), v in metrics.items() if n == f"{DURATION}_sum"}
    assert sums == {series: sum(durations) for series, durations in truth.items()}
    buckets = {(*series_of(labels), dict(labels)["le"]): v for (n, labels), v in metrics.items()
               if n == f"{DURATION}_bucket"}
    for series, durations in truth.items():
        below = sorted(durations)
        for bound in BOUNDS:
            assert buckets[*series, str(bound)] == bisect.bisect_right(below, bound)
        assert buckets[*series, "+Inf"] == len(durations)


def sent_of(request):
    """By series the last (calls, durations counted, sum) of what the backend was given."""
    last = {}
    for resource in request.resource_metrics:
        calls, duration = resource.scope_metrics[0].metrics
        assert (calls.name, duration.name) == ("traces.span.metrics.calls",
                                               "traces.span.metrics.duration")
        points = zip(calls.sum.data_points, duration.exponential_histogram.data_points)
        for number, histogram in points:
            assert number.attributes == histogram.attributes
            assert histogram.count == histogram.zero_count + sum(histogram.positive.bucket_counts)
            last[tuple(a.value.string_value for a in number.attributes)] = (
                number.as_int, histogram.count, histogram.sum)
    return last


@pytest.mark.parametrize("workers", [1, 2])
def test_what_is_dropped_is_counted_exactly(start, workers):
    truth = collections.defaultdict(list)
    collector = start(config('exporter "nop"', tail=NOTHING, workers=workers,
                             more="span_metrics = {}, head_sampling = { sampling_percentage = 30 },"))
    export_both_ways(collector, requests_of(random.Random(workers), truth))
    spans = sum(map(len, truth.values()))
    metrics = collector.wait_decided(spans)
    assert metrics.total("moontail_kept_spans_total") < spans / 10
    check_page(full_page(collector, spans), truth)
    collector.stop()


def test_promtool_likes_both_pages(start):
    truth = collections.defaultdict(list)
    collector = start(config('exporter "nop"', workers=2, more='span_metrics = { histogram = { '
                             'unit = "s" } }, service_graph = {},'))
    export_both_ways(collector, requests_of(random.Random(1), truth))
    collector.wait_decided(sum(map(len, truth.values())))
    for path in ("/metrics", "/metrics/spans"):
        status, _, text = collector.get(path)
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                              text=True, check=False)
        assert status == 200 and (done.returncode, done.stdout, done.stderr) == (0, "", ""), path


@pytest.mark.parametrize("key, names, message", [
    ("span_metrics", ["http.method", "http_method"], "'http_method', whose label is that of 'http.method'"),
    ("span_metrics", ["a", "a"], "'a', whose label is that of 'a'"),
    ("span_metrics", ["service.name"], "'service.name', whose label is that of 'service.name'"),
    ("span_metrics", ["le"], "'le', whose label is that of 'le'"),
    ("service_graph", ["x/y", "z", "x.y"], "'x.y', whose label is that of 'x/y'"),
    ("service_graph", ["le", "service.name", "a", "aa", "a.a"], None),
])
def test_each_dimension_has_a_label_of_its_own(key, names, message, tmp_path):
    path = tmp_path / "config.lua"
    path.write_text(config('exporter "nop"', more=f"{key} = {{ dimensions = {lua(names)} }},"))
    done = run("check", "--config", str(path), folder=tmp_path)
    assert done.returncode == (78 if message else 0)
    assert message is None or f"{key}.dimensions has {message}" in done.stderr


def test_a_namespace_that_begins_with_a_digit_can_be_read(start):
    collector = start(config('exporter "nop"', more='span_metrics = { namespace = "3scale" },'))
    export_both_ways(collector, [request_with(span(trace_id(1), 1))])
    metrics = collector.wait_metrics(lambda m: m.total("moontail_received_spans_total") == 1) and page(collector)
    assert metrics.total("_3scale_calls_total") == 1
    collector.stop()


def test_without_span_metrics_there_is_no_page(start):
    collector = start(config('exporter "nop"'))
    assert collector.get("/metrics/spans")[0] == 404
    assert collector.scrape().total("moontail_span_metrics_series") == 0


def test_spans_beyond_the_bound_are_counted_and_said(start):
    collector = start(config('exporter "nop"', more="span_metrics = { max_series = 5 },"))
    export_both_ways(collector, [request_with(*(span(trace_id(i), i + 1, name=f"op {i}") for i in range(100)))])
    metrics = full_page(collector, 100)
    assert metrics.total(CALLS, otel_metric_overflow="true") == 95
    assert len([key for key in metrics if key[0] == CALLS]) == 6
    metrics = collector.scrape()
    assert metrics.total("moontail_span_metrics_overflow_spans_total") == 95
    assert metrics.total("moontail_span_metrics_spans_total") == 100
    assert metrics.total("moontail_span_metrics_series") == 5
    collector.stop()


def test_a_change_of_it_wants_a_restart(start):
    text = config('exporter "nop"', more="span_metrics = {},")
    collector = start(text)
    collector.wait_metrics(lambda m: m.total("moontail_build_info") == 1)
    path = os.path.join(collector.folder, "config.lua")
    with open(path) as f:
        changed = f.read().replace("span_metrics = {}", "span_metrics = { max_series = 7 }")
    with open(path, "w") as f:
        f.write(changed)
    collector.signal(signal.SIGHUP)
    line = collector.wait_line(lambda x: "span_metrics.max_series" in x and x)
    assert "restart" in line
    collector.stop()


def test_what_leaves_at_the_end_is_all_that_came(start, backend):
    truth = collections.defaultdict(list)
    collector = start(config(
        exporter("otlp", endpoint=backend.http, protocol="http/protobuf"), tail=NOTHING, workers=2,
        more='span_metrics = { histogram = { exponential = {} }, metrics_flush_interval = "200ms" },'))
    export_both_ways(collector, requests_of(random.Random(3), truth))
    collector.stop()
    assert sent_of(backend.received("metrics")) == {
        series: (len(durations), len(durations), sum(durations))
        for series, durations in truth.items()}
