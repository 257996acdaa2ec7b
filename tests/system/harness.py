"""Starts the real program and real backends, and waits for events; nothing here sleeps.

Every scrape of /metrics asserts that nothing is unaccounted for.
"""
import contextlib
import glob
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PROGRAM = os.environ.get("MOONTAIL", f"{ROOT}/build/moontail")
REQUESTS = {"traces": ExportTraceServiceRequest, "metrics": ExportMetricsServiceRequest,
            "logs": ExportLogsServiceRequest}
PATIENCE = 120  # seconds; only a failing test waits as long

UNACCOUNTED = ("moontail_unaccounted_spans", "moontail_unaccounted_items")
KEEP_ALL = 'policies = { policy "always_sample" }'


def lua(value):
    """A Python value as Lua text."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"[{lua(k)}] = {lua(v)}" for k, v in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "{ " + ", ".join(lua(v) for v in value) + " }"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else json.dumps(value)


def config(exporters, *, tail=KEEP_ALL, workers=1, receivers="", wait="100ms", more="",
           journal='ack = "memory"'):
    """A configuration on free ports. `tail` None: no tail_sampling; FOLDER is the test's own."""
    sampling = (f'tail_sampling = {{ decision_wait = "{wait}", record = false, {tail} }},'
                if tail is not None else "")
    receivers = receivers or 'grpc = "127.0.0.1:0", http = "127.0.0.1:0"'
    return f"""return {{
  workers = {workers},
  receivers = {{ otlp = {{ {receivers} }} }},
  admin = {{ listen = "127.0.0.1:0" }},
  journal = {{ path = "FOLDER/journal", min_free = 0, {journal} }},
  {sampling}
  {more}
  exporters = {{ {exporters} }},
}}
"""


def exporter(type_, **options):
    return f'exporter "{type_}" {lua(options)}'


class Metrics(dict):
    """{(name, frozenset of labels): value}."""

    def total(self, name, **labels):
        wanted = set(labels.items())
        return sum(v for (n, ls), v in self.items() if n == name and wanted <= ls)

    def by(self, name, label):
        """{value of `label`: sum}."""
        sums = {}
        for (n, labels), value in self.items():
            if n == name:
                key = dict(labels).get(label)
                sums[key] = sums.get(key, 0) + value
        return sums


SAMPLE = re.compile(r'^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def parse_metrics(text):
    metrics = Metrics()
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = SAMPLE.match(line)
        assert match, f"not a sample: {line!r}"
        key = match[1], frozenset(LABEL.findall(match[2] or ""))
        assert key not in metrics, f"twice: {line!r}"
        metrics[key] = float(match[3])
    return metrics


class Process:
    """A child whose output lines are kept, and which can be waited for by event."""

    def __init__(self, command, folder, env=None):
        self.lines, self.changed = [], threading.Condition()
        self.process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        env={**os.environ, **(env or {})}, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.lines.append(None)  # the end
            self.changed.notify_all()

    def output(self):
        with self.changed:
            return "\n".join(line for line in self.lines if line is not None)

    def wait_line(self, wanted, timeout=PATIENCE):
        """The first line for which wanted(line) is true."""
        def found():
            return next((x for x in self.lines if x is None or wanted(x)), False) is not False
        with self.changed:
            there = self.changed.wait_for(found, timeout)
            line = next((x for x in self.lines if x is not None and wanted(x)), None)
        assert there and line is not None, f"no such line in:\n{self.output()}"
        return line

    def signal(self, number):
        self.process.send_signal(number)

    def is_alive(self):
        return self.process.poll() is None

    def pause(self, seconds=0.02):
        """Lets a moment pass before the next look, or less if the process ends."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass

    def starved(self):
        """Seconds that its threads could have run and had no CPU, all together: for bounds on what
        it does by itself, whatever else the machine does."""
        waited = 0
        for path in glob.glob(f"/proc/{self.process.pid}/task/*/schedstat"):
            with contextlib.suppress(OSError), open(path) as f:  # a thread may end
                waited += int(f.read().split()[1])
        return waited / 1e9

    def wait_exit(self, timeout=PATIENCE):
        code = self.process.wait(timeout)
        self.reader.join(timeout)
        return code

    def kill(self):
        if self.is_alive():
            self.signal(signal.SIGCONT)
            self.process.kill()
        self.wait_exit()


def fields(line):
    """The pairs of a logfmt line."""
    return {k: json.loads(v) if v.startswith('"') else v
            for k, v in re.findall(r'([\w.]+)=("(?:[^"\\]|\\.)*"|\S*)', line)}


class Collector(Process):
    def __init__(self, folder, text, env=None, under=()):
        """under: a command that runs the program."""
        self.folder = str(folder)
        path = os.path.join(self.folder, "config.lua")
        os.makedirs(os.path.join(self.folder, "journal"), exist_ok=True)
        with open(path, "w") as f:
            f.write(text.replace("FOLDER", self.folder))
        super().__init__([*under, PROGRAM, "run", "--config", path], self.folder, env)

    def address(self, receiver):
        """HOST:PORT of "otlp/http", "otlp/grpc" or "admin", from the log."""
        def says(line):
            pairs = fields(line)
            if pairs.get("msg") != "listening":
                return None
            return pairs.get("admin") if receiver == "admin" else (
                pairs["address"] if pairs.get("receiver") == receiver else None)
        return says(self.wait_line(says))

    @property
    def http(self):
        return self.address("otlp/http")

    @property
    def grpc(self):
        return self.address("otlp/grpc")

    def get(self, path, headers=None):
        """(status, headers, text) of an admin page."""
        request = urllib.request.Request(f"http://{self.address('admin')}{path}",
                                         headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.headers, e.read().decode()

    def page(self):
        """/metrics as of now: neither of a start that recovers, nor, where a thread had no CPU when it
        was asked, of an earlier page's counts."""
        end = time.monotonic() + PATIENCE
        while True:
            status, _, text = self.get("/metrics")
            is_recovering = status == 503 and text.startswith("recovering")
            assert status == 200 or is_recovering, text
            if not is_recovering and "\nmoontail_ledger_age_seconds 0\n" in text:
                return text
            assert self.is_alive() and time.monotonic() < end, text
            self.pause()

    def scrape(self):
        text = self.page()
        metrics = parse_metrics(text)
        off = {k: v for k, v in metrics.items() if k[0] in UNACCOUNTED and v != 0}
        ledgers = [metrics.by(name, "ledger") for name in UNACCOUNTED]
        assert all(ledgers) and not off, f"unaccounted: {off or 'not there'}\n{text}"
        return metrics

    def wait_metrics(self, wanted, timeout=PATIENCE):
        """Scrapes until wanted(metrics); returns them."""
        end = time.monotonic() + timeout
        while True:
            metrics = self.scrape()
            if wanted(metrics):
                return metrics
            assert self.is_alive() and time.monotonic() < end, "not reached:\n" + "\n".join(
                f"{n}{dict(ls)} {v:g}" for (n, ls), v in sorted(
                    metrics.items(), key=str) if n.startswith("moontail"))
            self.pause()

    def end_wait(self):
        """What waits for an hour is decided now: it is all there, however slow the machine is."""
        path = os.path.join(self.folder, "config.lua")
        with open(path) as f:
            text = f.read()
        assert 'decision_wait = "1h"' in text
        with open(path + "~", "w") as f:
            f.write(text.replace('decision_wait = "1h"', 'decision_wait = "1ms"'))
        os.rename(path + "~", path)

    def wait_decided(self, spans):
        """Until `spans` spans have come and all are kept, dropped or filtered."""
        return self.wait_metrics(lambda m: m.total("moontail_received_spans_total") >= spans
                                 and m.total("moontail_pending_spans") == 0)

    def wait_delivered(self, spans, exporter_=None):
        labels = {"exporter": exporter_} if exporter_ else {}
        return self.wait_metrics(
            lambda m: m.total("moontail_export_delivered_spans_total", **labels) >= spans)

    def wait_items(self, signal, items, exporter_=None):
        """Until exporters have delivered so many data points or log records."""
        labels = {"exporter": exporter_} if exporter_ else {}
        return self.wait_metrics(lambda m: m.total("moontail_export_delivered_items_total",
                                                   signal=signal, **labels) >= items)

    def stop(self):
        """Ends it as an orchestrator does; it must end well."""
        if self.is_alive():
            self.scrape()
            self.signal(signal.SIGTERM)
        code = self.wait_exit()
        assert code == 0, f"exit code {code}:\n{self.output()}"


class Backend(Process):
    """tests/system/backend.py in a process of its own."""

    def __init__(self, folder, ports=()):
        super().__init__([sys.executable, f"{HERE}/backend.py", *map(str, ports)], folder)
        self.ports = json.loads(self.wait_line(lambda x: x.startswith("{")))

    @property
    def http(self):
        return f"http://127.0.0.1:{self.ports['http']}"

    @property
    def grpc(self):
        return f"http://127.0.0.1:{self.ports['grpc']}"

    def call(self, path, body=None):
        url = f"http://127.0.0.1:{self.ports['control']}{path}"
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(url, data=data, timeout=PATIENCE * 2) as answer:
            return answer.read()

    def behave(self, **how):
        self.call("/behave", how)

    def clear(self):
        self.call("/clear", {})

    def log(self):
        return json.loads(self.call("/log"))

    def received(self, signal="traces"):
        return REQUESTS[signal].FromString(self.call(f"/received?signal={signal}"))

    def wait(self, signal="traces", timeout=PATIENCE, **wanted):
        """The message of all that was accepted of a signal, when there is as much: spans, metrics
        (data points), logs (log records), requests."""
        query = "".join(f"{what}={count}&" for what, count in wanted.items())
        try:
            self.call(f"/wait?{query}t={timeout}")
        except urllib.error.HTTPError:
            raise AssertionError(f"no {wanted} within {timeout} s; log: {self.log()[-5:]}") from None
        return self.received(signal)


def run(*arguments, folder, env=None, timeout=PATIENCE, stdin=None):
    """A command of the program that ends by itself."""
    return subprocess.run([PROGRAM, *arguments], cwd=folder, capture_output=True, text=True, input=stdin,
                          timeout=timeout, env={**os.environ, **(env or {})}, check=False)
