"""Random metrics through exporter "prometheus_remote_write" and through the OpenTelemetry Collector's:
the series, samples, exemplars and metadata that come out, beside each other.

    build/venv/bin/python tests/differential/remote_write.py --otelcol PATH [--configs 20] [--requests 30] [--seed 1]

What is known to differ (docs/exporters.md) is not in the traffic, or made alike first. Ends with 1 if
anything else differs.
"""
import argparse
import collections
import http.server
import json
import math
import os
import pathlib
import random
import re
import struct
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))
from clients import post  # noqa: E402
from harness import Collector, Process, config, exporter  # noqa: E402
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as service  # noqa: E402
from ports import free_ports  # noqa: E402

BEGIN_NS = 1_700_000_000 * 10**9
STALE = 0x7ff0000000000002  # Prometheus, model/value
# Labels with several "_" stay as Prometheus's own endpoint leaves them; without this they become one.
GATE = "--feature-gates=pkg.translator.prometheus.PermissiveLabelSanitization"


# ---- what is sent: snappy's block format, prometheus.WriteRequest ----

def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7f) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def literal_length(tag, data, at):
    length = tag >> 2
    if length < 60:
        return length + 1, at
    width = length - 59
    return int.from_bytes(data[at:at + width], "little") + 1, at + width


def unsnap(data):
    size, at = varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag = data[at]
        at += 1
        if tag & 3 == 0:
            length, at = literal_length(tag, data, at)
            out += data[at:at + length]
            at += length
            continue
        if tag & 3 == 1:
            length, offset, width = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | data[at], 1
        else:
            width = 2 if tag & 3 == 2 else 4
            length, offset = (tag >> 2) + 1, int.from_bytes(data[at:at + width], "little")
        at += width
        for _ in range(length):
            out.append(out[-offset])
    assert len(out) == size
    return bytes(out)


def fields(data):
    """(number, wire type, value) of each field."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        else:
            length = {1: 8, 5: 4}.get(tag & 7)
            if length is None:
                length, at = varint(data, at)
            value, at = data[at:at + length], at + length
        yield tag >> 3, tag & 7, value


def double(data):
    if int.from_bytes(data, "little") == STALE:
        return "stale"
    value, = struct.unpack("<d", data)
    return "NaN" if math.isnan(value) else value


def signed(value):
    return value - (1 << 64) if value >> 63 else value


def zigzag(value):
    return (value >> 1) ^ -(value & 1)


def label(data):
    pair = {number: value.decode() for number, _, value in fields(data)}
    return pair.get(1, ""), pair.get(2, "")


def sample(data):
    found = {number: value for number, _, value in fields(data)}
    return "sample", double(found[1]) if 1 in found else 0.0, signed(found.get(2, 0))


def exemplar_label(data):
    """Cleaned, as it is here."""
    name, value = label(data)
    name = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return ("key_" + name if name[:1].isdigit() else name), value


def exemplar(data):
    labels, found = [], {}
    for number, _, value in fields(data):
        if number == 1:
            labels.append(exemplar_label(value))
        else:
            found[number] = value
    value = double(found[2]) if 2 in found else 0.0
    return "exemplar", tuple(sorted(labels)), value, signed(found.get(3, 0))


def bucket_span(data):
    found = {number: value for number, _, value in fields(data)}
    return zigzag(found.get(1, 0)), found.get(2, 0)


def packed(data):
    at = 0
    while at < len(data):
        value, at = varint(data, at)
        yield zigzag(value)


def buckets(spans, deltas):
    """((index, count), ...) of those that are not empty: how they are cut into spans may differ."""
    found, index, count = [], 0, 0
    deltas = iter(deltas)
    for offset, length in spans:
        index += offset
        for _ in range(length):
            count += next(deltas)
            if count:
                found.append((index, count))
            index += 1
    return tuple(found)


def histogram(data):
    spans, deltas, rest = collections.defaultdict(list), {}, {}
    for number, wire_type, value in fields(data):
        if number in (8, 11):
            spans[number].append(bucket_span(value))
        elif number in (9, 12):
            deltas[number - 1] = list(packed(value))
        else:
            rest[number] = double(value) if wire_type == 1 else value
    if rest.get(3) == "stale":
        return "histogram", "stale", rest[15]
    sides = [buckets(spans[side], deltas.get(side, [])) for side in (8, 11)]
    return ("histogram", *sides, *sorted((n, value) for n, value in rest.items() if value != 0))


class Sink:
    """Takes remote write."""
    TAKE = {2: sample, 3: exemplar, 4: histogram}

    def __init__(self):
        self.series, self.metadata = collections.defaultdict(set), {}
        self.changed = threading.Condition()
        sink = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with sink.changed:
                    sink.take(unsnap(body))
                    sink.changed.notify_all()
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *_):
                pass  # a program was killed

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/api/v1/write"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, data):
        for number, _, value in fields(data):
            if number == 1:
                self.take_series(value)
            elif number == 3:
                found = {n: v for n, _, v in fields(value)}
                self.metadata[found.get(2, b"")] = [found.get(n, b"") for n in (1, 4, 5)]

    def take_series(self, data):
        labels, points = [], set()
        for number, _, value in fields(data):
            if number == 1:
                labels.append(label(value))
            else:
                points.add(self.TAKE[number](value))
        self.series[tuple(sorted(labels))] |= points

    def clear(self):
        with self.changed:
            self.series.clear()
            self.metadata.clear()

    def wait(self, ending, with_metadata):
        """Until there is a series whose name ends so; False: there is none."""
        def is_there():
            return (any(dict(labels)["__name__"].endswith(ending) for labels in self.series)
                    and (not with_metadata or any(name.decode().endswith(ending) for name in self.metadata)))
        with self.changed:
            return self.changed.wait_for(is_there, 60)


# ---- traffic ----

NAMES = ["http.server.duration", "0abc", "a__b", "a b", "aµs", "total", "x_total", "requests", "ratio_", "x日本", "cpu.time",
         "x_seconds", "seconds", "a.ratio", "A-B/C", "_x", "__y__", "a:b", ":c", "x.total.seconds", "By", "m_total_total",
         "process.memory.bytes", "bytes_per_second", "x..y", "xé", "per", "x_per_second", "x.per.second", "created"]
UNITS = ["s", "ms", "By", "1", "{req}", "m/s", "By/s", "%", "KiBy", "", "{a}/s", "1/s", "m2", "us", "µs", "unknown", "s/", "/s",
         "By/min", "{packet}/{x}", "MBy", "d", "h", "Cel", "Hz", "V", "GiBy/d", "{x}By", "By{x}", "s ", " s", "min", "foo/bar",
         "a_b", "TiBy", "ns/op", "m/s/s", "$", "%/s", "l", "mg", "1/min", "rps{x}", "kBy/w", "x/mo", "x/y"]
KEYS = ["a.b", "a_b", "a-b", "0x", "job", "instance", "otel_scope_name", "http.status_code", "key", "x ", "a..b", "xé日",
        "otel_scope_version", "service.name", "A", "host.name", "0", "a:b", "k", "z.y"]
TEXTS = ["", "x", "GET", "a\nb", 'q"\\', "日本", "  ", "long" * 20]
WHOLE = [0, 1, -1, 200, 2**53 + 1, 2**63 - 1, -2**63]
DOUBLES = [0.0, -0.0, 1.5, 0.1, 3.0, 1e6, 1e-6, 1e-7, 1e20, 1e21, 123456789.125, 5e-324, 2.2250738585072014e-308,
           1.7976931348623157e308]
VALUES = [0.0, 1.5, -2.25, 42.0, 1e300, 1e-300, math.inf, -math.inf, math.nan]
BOUNDS = [-5.0, 0.0, 1e-9, .005, .01, .1, 1.0, 2.5, 10.0, 1e6, 1e8, 1e21]


class Traffic:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.ns = BEGIN_NS
        self.chosen = self.options()

    def some(self, *counts):
        return range(self.rng.choice(counts))

    def value(self, to, depth=0):
        kind = self.rng.randrange(9 if depth else 10)
        if kind < 4:
            to.string_value = self.rng.choice(TEXTS)
        elif kind == 4:
            to.int_value = self.rng.choice(WHOLE)
        elif kind == 5:
            to.double_value = self.rng.choice(DOUBLES)
        elif kind == 6:
            to.bool_value = self.rng.random() < .5
        elif kind == 7:
            to.bytes_value = self.rng.choice([b"abc", b"\x00\xff\x01"])
        elif kind == 8 and depth < 2:
            to.array_value.SetInParent()
            for _ in self.some(0, 1, 2):
                self.value(to.array_value.values.add(), depth + 1)
        elif kind == 8:
            to.string_value = "deep"
        else:
            to.kvlist_value.SetInParent()
            for _ in self.some(0, 1):  # there they are sorted
                self.value(to.kvlist_value.values.add(key="b<").value, depth + 1)

    def attributes(self, to, most, texts=False):
        for key in self.rng.sample(KEYS, self.rng.randrange(most + 1)):
            if texts:
                to.add(key=key).value.string_value = "scope"  # an empty one is a label there
            else:
                self.value(to.add(key=key).value)

    def exemplars(self, point):
        for _ in self.some(0, 0, 0, 1, 2):
            e = point.exemplars.add(time_unix_nano=self.ns - self.rng.randrange(5) * 10**9)
            if self.rng.random() < .5:
                e.as_double = self.rng.choice(VALUES[:-2])
            else:
                e.as_int = self.rng.randrange(-5, 100)
            if self.rng.random() < .7:
                e.trace_id, e.span_id = self.rng.randbytes(16), self.rng.randbytes(8)
            for key in self.rng.sample(KEYS, self.rng.randrange(3)):
                e.filtered_attributes.add(key=key).value.string_value = self.rng.choice(TEXTS[1:])

    def number(self, point, with_exemplars):
        if self.rng.random() < .5:
            point.as_double = self.rng.choice(VALUES)
        else:
            point.as_int = self.rng.choice(WHOLE)
        if with_exemplars:
            self.exemplars(point)

    def histogram(self, point):
        bounds = sorted(self.rng.sample(BOUNDS, self.rng.choice([0, 1, 3, 5])))
        counts = [self.rng.randrange(5) for _ in range(len(bounds) + 1)]
        point.explicit_bounds.extend(bounds)
        if bounds or self.rng.random() < .5:
            point.bucket_counts.extend(counts)
        point.count = sum(counts)
        if point.flags or self.rng.random() < .8:  # one without a value ends the series of sums here
            point.sum = abs(self.rng.choice(VALUES))
        self.exemplars(point)

    def exponential(self, point):
        point.scale = self.rng.choice([0, 1, 3, 8, -1, -4, -5])
        point.zero_count = self.rng.choice([0, 2])
        point.zero_threshold = self.rng.choice([0.0, 1e-6])
        for side in (point.positive, point.negative):
            side.offset = self.rng.randrange(-6, 7)
            side.bucket_counts.extend(self.rng.choice([0, 0, 0, 1, 4]) for _ in self.some(0, 1, 4, 12))
        point.count = point.zero_count + sum(point.positive.bucket_counts) + sum(point.negative.bucket_counts)
        point.sum = abs(self.rng.choice(VALUES))
        self.exemplars(point)

    def summary(self, point):
        point.count, point.sum = self.rng.randrange(9), self.rng.choice(VALUES)
        for quantile in self.rng.sample([0.0, .25, .5, .99, .999, 1.0], self.rng.randrange(4)):
            point.quantile_values.add(quantile=quantile, value=abs(self.rng.choice(VALUES)))

    def metric(self, to, suffix):
        m = to.add(name=self.rng.choice(NAMES) + self.rng.choice(["", "", suffix]), unit=self.rng.choice(UNITS),
                   description=self.rng.choice(["", "help", "a\nb"]))
        kind = self.rng.choice(["gauge", "sum", "sum", "histogram", "exponential_histogram", "summary"])
        data = getattr(m, kind)
        data.SetInParent()
        if kind not in ("gauge", "summary"):
            data.aggregation_temporality = 2
        if kind == "sum":
            data.is_monotonic = self.rng.random() < .6
        for _ in self.some(0, 1, 1, 2, 3):
            self.ns += self.rng.randrange(1, 5) * 10**6 + self.rng.randrange(2) * 1500
            point = data.data_points.add(time_unix_nano=self.ns, flags=int(self.rng.random() < .06))
            if self.rng.random() < .6:
                point.start_time_unix_nano = BEGIN_NS - 10**12
            self.attributes(point.attributes, 4)
            if kind in ("gauge", "sum"):
                self.number(point, kind == "sum" and data.is_monotonic)
            else:
                {"histogram": self.histogram, "exponential_histogram": self.exponential,
                 "summary": self.summary}[kind](point)

    def request(self, number):
        message = service.ExportMetricsServiceRequest()
        for _ in self.some(1, 1, 2):
            resource = message.resource_metrics.add()
            self.attributes(resource.resource.attributes, 3)
            there = {a.key for a in resource.resource.attributes}
            for key in ("service.name", "service.instance.id"):
                if self.rng.random() < .6 and key not in there:
                    self.value(resource.resource.attributes.add(key=key).value)
            if self.rng.random() < .6:  # of an empty one "/" is left there
                resource.resource.attributes.add(key="service.namespace").value.string_value = "shop"
            for _ in self.some(1, 1, 2):
                scope = resource.scope_metrics.add()
                if self.rng.random() < .5:
                    scope.scope.name, scope.scope.version = self.rng.choice(["", "lib"]), self.rng.choice(["", "1.2"])
                    self.attributes(scope.scope.attributes, 2, texts=True)
                for i in self.some(0, 1, 2, 3):
                    self.metric(scope.metrics, f"{number}_{i}")
        return message

    def last(self, name):
        """Sent behind each request: once it is there, so is all before it."""
        message = service.ExportMetricsServiceRequest()
        metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
        metric.gauge.data_points.add(time_unix_nano=self.ns, as_int=1)
        return message

    def options(self):
        all_ = {"namespace": self.rng.choice(["ns", "n2"]), "add_metric_suffixes": False,
                "external_labels": self.rng.choice([{"env": "x"}, {"a_b": "external", "job": "j"}]),
                "target_info": {"enabled": False}, "resource_to_telemetry_conversion": {"enabled": True},
                "send_metadata": True, "disable_scope_info": True}
        return {name: value for name, value in all_.items() if self.rng.random() < .3}


# ---- the two ----

def their_config(options, url, port):
    return {"receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
            "exporters": {"prometheusremotewrite": {"endpoint": url, **options}},
            "service": {"telemetry": {"metrics": {"level": "none"}},
                        "pipelines": {"metrics": {"receivers": ["otlp"], "exporters": ["prometheusremotewrite"]}}}}


def start_theirs(otelcol, options, url, folder):
    [port] = free_ports(1)
    path = folder / "otelcol.yaml"
    path.write_text(json.dumps(their_config(options, url, port)))
    process = Process([otelcol, "--config", str(path), GATE], folder)
    process.wait_line(lambda line: "Everything is ready" in line)
    return process, f"127.0.0.1:{port}"


def start_ours(options, url, folder):
    to = exporter("prometheus_remote_write", endpoint=url, batch={"timeout": "0s"}, **options)
    process = Collector(folder, config(to, tail=None))
    return process, process.http


def differences(ours, theirs):
    for what in ("series", "metadata"):
        a, b = ({key: found for key, found in getattr(sink, what).items() if found} for sink in (ours, theirs))
        for key in sorted(set(a) | set(b)):
            if a.get(key) != b.get(key):
                yield key, a.get(key), b.get(key)


def compare(programs, sinks, traffic, requests, about):
    """How many requests came out otherwise."""
    wrong = 0
    for i in range(requests):
        bodies = [m.SerializeToString() for m in (traffic.request(i), traffic.last(f"the_last_{i}"))]
        for sink, (_, address) in zip(sinks, programs):
            sink.clear()
            for body in bodies:
                answer = post(address, body, path="/v1/metrics")
                assert answer.status == 200, answer
            assert sink.wait(f"the_last_{i}", "send_metadata" in traffic.chosen), f"{about}, request {i}: not all came"
        found = list(differences(*sinks))
        wrong += bool(found)
        for key, here, there in found[:6]:
            print(f"{about}, request {i}: {key}\n  here: {here}\n  there: {there}")
    return wrong


def run(otelcol, number, requests, seed, folder):
    traffic, sinks, programs = Traffic(seed * 1000003 + number), (Sink(), Sink()), []
    try:
        programs.append(start_ours(traffic.chosen, sinks[0].url, folder))
        programs.append(start_theirs(otelcol, traffic.chosen, sinks[1].url, folder))
        return compare(programs, sinks, traffic, requests, f"configuration {number} {traffic.chosen}")
    finally:
        for process, _ in programs:
            process.kill()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--otelcol", required=True)
    parser.add_argument("--configs", type=int, default=20)
    parser.add_argument("--requests", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    wrong = 0
    for number in range(a.configs):
        with tempfile.TemporaryDirectory() as folder:
            wrong += run(a.otelcol, number, a.requests, a.seed, pathlib.Path(folder))
    print(f"{a.configs} configurations, {a.requests} requests each: {a.configs * a.requests - wrong} passed, {wrong} failed")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
