"""exporter "prometheus_remote_write": a real Prometheus answers queries with what was sent."""
import math
import re
import signal
import subprocess
import time

import pytest
from clients import post
from harness import Collector, config, exporter
from messages import attribute, request_with, span, trace_id
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest)
from prometheus import Door, Prometheus

DELTA, CUMULATIVE = 1, 2


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    server = Prometheus(tmp_path_factory.mktemp("prometheus"))
    yield server
    server.kill()


def remote_write(url, **more):
    return exporter("prometheus_remote_write", endpoint=url, **{"batch": {"timeout": "0s"}, **more})


def request(service):
    message = ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    attribute(resource.resource, "service.name", service)
    attribute(resource.resource, "service.instance.id", "one")
    attribute(resource.resource, "host.name", "h1")
    return message, resource.scope_metrics.add().metrics


def point(points, seconds, **values):
    return points.add(time_unix_nano=int(seconds * 1e9), **values)


def send(collector, message):
    answer = post(collector.http, message.SerializeToString(), path="/v1/metrics")
    assert answer.status == 200, answer


def exemplar_of(point_, value, seconds):
    point_.exemplars.add(as_double=value, time_unix_nano=int(seconds * 1e9),
                         trace_id=bytes(range(16)), span_id=bytes(range(1, 9)))


def numbers(metrics, at):
    gauge = metrics.add(name="room.temperature", unit="Cel").gauge.data_points
    attribute(point(gauge, at, as_double=21.5), "room.name", "a")
    attribute(point(gauge, at, as_int=-3), "room.name", "b")
    calls = metrics.add(name="calls", unit="1").sum
    calls.is_monotonic, calls.aggregation_temporality = True, CUMULATIVE
    exemplar_of(point(calls.data_points, at, as_int=42), 7, at)
    open_ = metrics.add(name="connections").sum
    open_.aggregation_temporality = CUMULATIVE
    point(open_.data_points, at, as_int=-5)


def distributions(metrics, at):
    latency = metrics.add(name="latency", unit="s").histogram
    latency.aggregation_temporality = CUMULATIVE
    p = point(latency.data_points, at, count=6, sum=7.5, bucket_counts=[1, 2, 3],
              explicit_bounds=[0.5, 2])
    exemplar_of(p, 1.5, at)
    size = metrics.add(name="size", unit="By").exponential_histogram
    size.aggregation_temporality = CUMULATIVE
    p = point(size.data_points, at, count=10, sum=12, scale=0, zero_count=2)
    p.positive.offset, p.negative.offset = 1, 0
    p.positive.bucket_counts.extend([3, 0, 4])
    p.negative.bucket_counts.extend([1])
    summary = metrics.add(name="wait").summary.data_points
    p = point(summary, at, count=4, sum=8)
    p.quantile_values.add(quantile=0.5, value=1.5)


def test_every_type_is_what_was_sent(start, prometheus):
    collector = start(config(remote_write(prometheus.url, external_labels={"cluster": "blue", "_zone": "a"}),
                             tail=None))
    at = int(time.time())
    message, metrics = request("shop")
    numbers(metrics, at)
    distributions(metrics, at)
    send(collector, message)
    collector.wait_items("metrics", 7)
    same = {"job": "shop", "instance": "one", "cluster": "blue", "key_zone": "a"}

    def of(**labels):
        return frozenset({**same, **labels}.items())
    values = prometheus.values
    assert values("room_temperature_celsius", at) == {of(room_name="a"): 21.5,
                                                      of(room_name="b"): -3}
    assert values("calls_total", at) == {of(): 42}
    assert values("connections", at) == {of(): -5}
    assert values("latency_seconds_bucket", at) == {of(le="0.5"): 1, of(le="2"): 3,
                                                    of(le="+Inf"): 6}
    assert values("latency_seconds_sum", at) == {of(): 7.5}
    assert values("latency_seconds_count", at) == {of(): 6}
    assert values("wait", at) == {of(quantile="0.5"): 1.5}
    assert values("wait_sum", at) == {of(): 8} and values("wait_count", at) == {of(): 4}
    assert values('target_info{job="shop"}', at) == {of(host_name="h1"): 1}
    native = values("size_bytes", at)[of()]
    assert (native["count"], native["sum"]) == ("10", "12")
    # a boundary rule, the two ends, and how many
    assert sorted((float(low), float(high), int(n)) for _, low, high, n in native["buckets"]
                  if int(n) and abs(float(low)) > 1e-9) == [(-2, -1, 1), (2, 4, 3), (8, 16, 4)]
    for query, value in (("calls_total", "7"), ("latency_seconds_bucket", "1.5")):
        found = prometheus.ask("query_exemplars", query=query, start=at - 10, end=at + 10)
        assert [e["value"] for series in found for e in series["exemplars"]] == [value]
        labels = found[0]["exemplars"][0]["labels"]
        assert labels == {"trace_id": bytes(range(16)).hex(), "span_id": "0102030405060708"}


FAMILIES = {"room_temperature_celsius": "gauge", "calls_total": "counter", "connections": "gauge",
            "latency_seconds": "histogram", "wait": "summary", "target_info": "gauge"}


def family_of(name):
    base = re.sub("_(bucket|sum|count)$", "", name)
    return base if FAMILIES.get(base) in ("histogram", "summary") else name


def test_promtool_likes_the_names_that_are_stored(start, prometheus):
    """What Prometheus gives of them, with the help and type that remote write has no place for."""
    collector = start(config(remote_write(prometheus.url), tail=None))
    at = int(time.time())
    message, metrics = request("lint")
    numbers(metrics, at)
    distributions(metrics, at)
    send(collector, message)
    collector.wait_items("metrics", 7)
    samples = {}
    for line in prometheus.federate('{job="lint"}').splitlines():
        if not line.startswith("#"):
            samples.setdefault(family_of(line.split("{")[0]), []).append(line)
    assert set(samples) == set(FAMILIES)
    text = "".join(f"# HELP {name} As it is stored.\n# TYPE {name} {FAMILIES[name]}\n"
                   + "\n".join(lines) + "\n" for name, lines in samples.items())
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True,
                          text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), text
    bad = text.replace("calls_total", "calls")  # it would say so
    assert subprocess.run(["promtool", "check", "metrics"], input=bad, capture_output=True,
                          text=True, check=False).returncode != 0


def test_a_series_without_a_value_ends(start, prometheus):
    collector = start(config(remote_write(prometheus.url), tail=None))
    at = int(time.time())
    for seconds, values in ((at - 20, {"as_int": 1}), (at - 10, {"flags": 1})):
        message, metrics = request("ends")
        point(metrics.add(name="ending").gauge.data_points, seconds, **values)
        native = metrics.add(name="ending.native").exponential_histogram
        native.aggregation_temporality = CUMULATIVE
        point(native.data_points, seconds, count=values.get("as_int", 0), sum=0,
              zero_count=values.get("as_int", 0), flags=values.get("flags", 0))
        send(collector, message)
    collector.wait_items("metrics", 4)
    assert prometheus.value("ending", at - 15) == 1
    assert math.isnan(prometheus.value("ending", at))
    assert prometheus.values("ending_native", at - 15) and not prometheus.values("ending_native", at)


def test_delta_is_summed(start, prometheus):
    collector = start(config(remote_write(prometheus.url), tail=None))
    at = int(time.time()) - 20
    for i in range(4):
        message, metrics = request("delta")
        calls = metrics.add(name="steps").sum
        calls.is_monotonic, calls.aggregation_temporality = True, DELTA
        point(calls.data_points, at + i, as_int=i + 1)
        latency = metrics.add(name="took").histogram
        latency.aggregation_temporality = DELTA
        point(latency.data_points, at + i, count=3, sum=1.5, bucket_counts=[1, 2],
              explicit_bounds=[1])
        send(collector, message)
    collector.wait_items("metrics", 8)
    assert [v for _, v in prometheus.samples("steps_total", at + 5, 60)[
        frozenset({("job", "delta"), ("instance", "one")})]] == [1, 3, 6, 10]
    assert prometheus.value('took_bucket{le="1"}', at + 5) == 4
    assert prometheus.value("took_count", at + 5) == 12
    assert prometheus.value("took_sum", at + 5) == 6


def steps(collector, seconds, value):
    message, metrics = request("reloaded")
    sum_ = metrics.add(name="steps").sum
    sum_.is_monotonic, sum_.aggregation_temporality = True, DELTA
    point(sum_.data_points, seconds, as_int=value)
    took = metrics.add(name="took").histogram
    took.aggregation_temporality = DELTA
    point(took.data_points, seconds, count=2, sum=value, bucket_counts=[1, 1], explicit_bounds=[1])
    send(collector, message)


def test_sums_of_deltas_go_on_over_reloads(start, prometheus):
    def text(**more):
        return config(remote_write(prometheus.url, **more), tail=None)

    def says(line):
        return "an exporter goes on with other options" in line
    collector = start(text())
    at = int(time.time()) - 20
    changes = [{}, {"timeout": "7s"}, {"timeout": "7s", "headers": {"x-a": "b"}}, {"max_stale": "9m"}]
    for i, more in enumerate(changes):
        if i:
            with open(f"{collector.folder}/config.lua", "w", encoding="utf-8") as f:
                f.write(text(**more).replace("FOLDER", collector.folder))
            collector.signal(signal.SIGHUP)
            collector.wait_line(lambda line, n=i: says(line) and sum(map(says, filter(
                None, collector.lines))) >= n)
        steps(collector, at + i, i + 1)
        collector.wait_items("metrics", 2 * (i + 1))
    same = frozenset({("job", "reloaded"), ("instance", "one")})
    stored = prometheus.samples('steps_total{job="reloaded"}', at + 10, 60)
    assert [v for _, v in stored[same]] == [1, 3, 6, 10]
    stored = prometheus.samples('took_count{job="reloaded"}', at + 10, 60)
    assert [v for _, v in stored[same]] == [2, 4, 6, 8]


def gauges(collector, service, first, count, at):
    for i in range(first, first + count):
        message, metrics = request(service)
        point(metrics.add(name="walk").gauge.data_points, at + i / 100, as_int=i)
        send(collector, message)


@pytest.fixture
def door(prometheus):
    door = Door(prometheus.url, "right")
    yield door
    door.shutdown()


KEY = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_EC2_METADATA_DISABLED": "true"}


def test_a_wrong_key_holds_the_queue_and_nothing_is_lost(start, prometheus, door, tmp_path):
    def write(secret):
        part = tmp_path / "part"
        part.write_text(f"[default]\naws_access_key_id = AKIDEXAMPLE\n"
                        f"aws_secret_access_key = {secret}\n")
        part.rename(tmp_path / "credentials")

    write("wrong")
    at = int(time.time()) - 60
    collector = start(config(remote_write(door.url, sigv4={"region": "eu-west-1"},
                                          circuit={"probe": "20ms"}), tail=None),
                      {**KEY, "AWS_ACCESS_KEY_ID": "",
                       "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")})
    gauges(collector, "amp", 0, 30, at)
    collector.wait_line(lambda line: "the endpoint fails" in line and "403" in line)
    assert door.taken == 0 and door.refused > 0
    write("right")
    metrics = collector.wait_items("metrics", 30)
    assert metrics.total("moontail_export_lost_items_total") == 0 and door.taken > 0
    stored = prometheus.samples('walk{job="amp"}', at + 10, 60)
    assert [[v for _, v in values] for values in stored.values()] == [list(range(30))]


def test_a_kill_loses_nothing_and_keeps_the_order(start, prometheus, door, tmp_path):
    at, folder = int(time.time()) - 60, tmp_path / "one"
    text = config(remote_write(door.url, sigv4={"region": "eu-west-1"}, circuit={"probe": "20ms"},
                               retry={"initial_interval": "10ms", "max_interval": "20ms"}),
                  tail=None, journal='ack = "written"')
    env = {**KEY, "AWS_SECRET_ACCESS_KEY": "right"}
    folder.mkdir()
    collector = Collector(folder, text, env)
    gauges(collector, "kill", 0, 20, at)
    collector.wait_items("metrics", 20)
    door.dead = True
    gauges(collector, "kill", 20, 20, at)
    collector.kill()
    door.dead = False
    again = start(text, env, folder)
    gauges(again, "kill", 40, 10, at)
    again.wait_metrics(lambda m: m.total("moontail_export_queued_items") == 0
                       and m.total("moontail_export_enqueued_items_total") == 10)
    stored = prometheus.samples('walk{job="kill"}', at + 10, 60)
    assert [[v for _, v in values] for values in stored.values()] == [list(range(50))]


def test_what_is_too_old_takes_nothing_else_with_it(start, prometheus):
    collector = start(config(remote_write(prometheus.url), tail=None))
    at = int(time.time())
    gauges(collector, "late", 100, 1, at)
    collector.wait_items("metrics", 1)
    message, metrics = request("late")
    points = metrics.add(name="walk").gauge.data_points
    point(points, at - 30, as_int=-1)
    point(points, at + 2, as_int=2)
    other = metrics.add(name="other").gauge.data_points
    for i in range(20):
        attribute(point(other, at - 10, as_int=i), "n", i)
    send(collector, message)
    metrics = collector.wait_metrics(
        lambda m: m.total("moontail_export_lost_items_total", signal="metrics") == 1
        and m.total("moontail_export_queued_items") == 0)
    assert metrics.total("moontail_export_script_total", what="halved") > 0
    assert prometheus.value('walk{job="late"}', at + 3) == 2
    assert len(prometheus.values('other{job="late"}', at)) == 20


def test_red_of_spans_goes_there_too(start, prometheus):
    collector = start(config(f'{remote_write(prometheus.url)}, exporter "nop"',
                             more='span_metrics = { histogram = { exponential = {} }, '
                                  'metrics_flush_interval = "200ms" },'))
    for number in range(10):
        message = request_with(span(trace_id(number + 1), 1, ms=100, name="GET",
                                    error=number < 3), service_name="red")
        assert post(collector.http, message.SerializeToString()).status == 200
    collector.stop()  # it sends what is left
    at = time.time() + 1
    calls = 'sum(traces_span_metrics_calls_total{service_name="red"})'
    assert prometheus.value(calls, at) == 10
    errors = calls.replace("}", ', status_code="STATUS_CODE_ERROR"}')
    assert prometheus.value(errors, at) == 3
    quantile = ("histogram_quantile(0.5, sum(traces_span_metrics_duration_milliseconds"
                '{service_name="red"}))')
    assert prometheus.value(quantile, at) == pytest.approx(100, rel=0.03)
