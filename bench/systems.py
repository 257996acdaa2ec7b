"""The programs under measurement, the sink that they export to, and the load."""
import atexit
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

from rows import SPANS_A_TRACE

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
BUILT = os.path.join(ROOT, "build", "bench")
PROGRAM = os.path.join(ROOT, "build", "moontail")
sys.path.append(os.path.join(ROOT, "tests", "system"))

from ports import free_ports  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")
CPUS = sorted(os.sched_getaffinity(0))


def pin(cpus):
    """What a child does before it starts: it stays on these CPUs, where there are two."""
    return (lambda: os.sched_setaffinity(0, set(cpus))) if len(CPUS) > 1 else None


def parse(text):
    """{metric name: [(labels as text, value)]}"""
    found = {}
    for line in text.splitlines():
        m = re.match(r"^([a-zA-Z_:][\w:]*)(\{.*\})? (\S+)$", line)
        if m:
            found.setdefault(m[1], []).append((m[2] or "", float(m[3])))
    return found


STARTED = []


@atexit.register
def end_what_is_left():
    """Where a run is broken off."""
    for process in STARTED:
        if process.poll() is None:
            process.kill()


class System:
    """A running program. Its folder is gone when it has been stopped."""
    counts = True  # says how many spans it received and decided
    is_peer = True  # another program, with loads of its own

    def start(self, command, environment, cpus):
        self.folder = tempfile.TemporaryDirectory(prefix="bench-")
        self.log = open(os.path.join(self.folder.name, "log"), "w+")
        os.mkdir(os.path.join(self.folder.name, "journal"))
        self.process = subprocess.Popen(command, cwd=self.folder.name, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, preexec_fn=pin(cpus),
                                        env={**os.environ, **environment})
        STARTED.append(self.process)

    def fail(self, why):
        self.log.seek(0)
        text = self.log.read()[-3000:]
        self.stop()
        sys.exit(f"{self.name}: {why}\n{text}")

    def until(self, wanted, what, seconds=600):
        """Polls wanted() ten times a second; what it does costs the program next to nothing."""
        end = time.monotonic() + seconds
        while True:
            value = wanted()
            if value:
                return value
            if self.process.poll() is not None or time.monotonic() > end:
                self.fail(f"not reached: {what}")
            try:
                self.process.wait(0.1)
            except subprocess.TimeoutExpired:
                pass

    def wait(self, seconds):
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= end, "the end of a wait", seconds + 60)

    def page(self, url):
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return answer.read().decode()
        except OSError:
            return None

    def metric(self, name, labels=""):
        text = self.page(self.metrics_url)
        if text is None:
            self.fail(f"no answer from {self.metrics_url}")
        found = parse(text)
        for n in (name, name + "_total"):
            if n in found:
                return sum(v for ls, v in found[n] if labels in ls)
        return 0

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def resident(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            found = dict(re.findall(r"^(Rss\w+):\s+(\d+) kB$", f.read(), re.M))
        return sum(int(found[k]) for k in ("RssAnon", "RssFile", "RssShmem")) * 1024

    def file_bytes(self):
        return 0

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()
        self.folder.cleanup()


class Moontail(System):
    name = "moontail"
    path = PROGRAM
    is_peer = False

    @staticmethod
    def environment(row, sink):
        """What config.lua reads. `sink`: where the kept go, or "" to nothing."""
        return {"WAIT": row.wait, "AFTER_ROOT": row.after_root, "WORKERS": str(row.workers), "ACK": row.ack,
                "HISTORY": row.history, "RECORD": "on" if row.record else "off",
                "REDACT": "on" if row.redact else "off", "POLICIES": row.policies, "SINK": sink,
                "COMPRESSION": row.export or "none",
                "SINK_PROTOCOL": "grpc" if row.protocol == "grpc" else "http/protobuf"}

    def __init__(self, row, sink, _num_traces=0):
        self.run(f"{HERE}/config.lua", self.environment(row, sink.endpoint(row.protocol) if sink else ""),
                 CPUS if row.all_cpus else CPUS[:1])

    def run(self, config, environment, cpus):
        self.start([self.path, "run", "--config", config], {**environment, "JOURNAL": "journal"}, cpus)
        self.until(lambda: self.address("admin"), "the admin address in the log", 30)
        self.metrics_url = f"http://{self.address('admin')}/metrics"
        self.until(lambda: self.page(f"http://{self.address('admin')}/readyz"), "readiness", 30)

    def address(self, receiver):
        with open(self.log.name) as f:
            key = "admin=" if receiver == "admin" else f"receiver={receiver} address="
            m = re.search(rf"msg=listening {key}(\S+)", f.read())
        return m and m[1]

    def endpoint(self, protocol):
        return f"http://{self.address('otlp/' + protocol)}"

    def received(self):
        return self.metric("moontail_received_spans")

    def decided(self):
        return sum(self.metric(f"moontail_{what}_spans") for what in ("kept", "dropped", "filtered"))

    def file_bytes(self):
        return self.metric("moontail_journal_file_bytes")


class Before(Moontail):
    """Another build of it, which is to be compared with this one."""
    name = "before"


class Sink(Moontail):
    """An OTLP backend beside the generator."""
    name = "sink"

    def __init__(self):
        self.run(f"{HERE}/sink.lua", {}, CPUS[-1:])


class Floor(System):
    """Sockets alone: reads and answers (bench/floor.c)."""
    name = "floor"
    counts = False

    def __init__(self, _row, _sink, _num_traces=0):
        self.start([os.path.join(BUILT, "floor")], {}, CPUS[:1])
        self.until(lambda: self.endpoint("http"), "its address", 30)

    def endpoint(self, _protocol):
        with open(self.log.name) as f:
            m = re.search(r"address=(\S+)\n", f.read())
        return m and f"http://{m[1]}"


def otelcol_policies(kind):
    tenth = {"name": "tenth", "type": "probabilistic", "probabilistic": {"sampling_percentage": 10}}
    if kind == "attributes":
        return [{"name": "route", "type": "string_attribute",
                 "string_attribute": {"key": "http.route", "values": ["/checkout", "/pay"]}},
                {"name": "status", "type": "numeric_attribute",
                 "numeric_attribute": {"key": "http.response.status_code", "min_value": 500,
                                       "max_value": 599}}, tenth]
    return [{"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
            {"name": "slow", "type": "latency", "latency": {"threshold_ms": 500}}, tenth]


class Otelcol(System):
    name = "otelcol"
    path = None

    def __init__(self, row, sink, num_traces=1_000_000):
        self.samples = row.policies != "none"
        self.ports = dict(zip(("http", "grpc", "metrics"), free_ports(3)))
        processors = (["memory_limiter"] + ["tail_sampling"] * self.samples + ["redaction"] * row.redact
                      + ["batch"])
        exporter = ("otlp" if row.protocol == "grpc" else "otlphttp") if sink else "nop"
        target = sink.endpoint(row.protocol) if sink else "http://127.0.0.1:1"
        self.start([self.path, "--config", f"{HERE}/otelcol.yaml"], {
            "WAIT": row.wait, "AFTER_ROOT": row.after_root or "0s", "NUM_TRACES": str(num_traces),
            "POLICIES": json.dumps(otelcol_policies(row.policies)), "PROCESSORS": json.dumps(processors),
            "EXPORTERS": json.dumps([exporter]), "SINK": target, "COMPRESSION": row.export or "none",
            **{f"{p.upper()}_PORT": str(n) for p, n in self.ports.items()}}, CPUS[:1])
        self.metrics_url = f"http://127.0.0.1:{self.ports['metrics']}/metrics"
        self.until(lambda: self.page(self.metrics_url), "the metrics page", 60)

    def endpoint(self, protocol):
        return f"http://127.0.0.1:{self.ports[protocol]}"

    def received(self):
        return self.metric("otelcol_receiver_accepted_spans")

    def decided(self):
        if not self.samples:
            return self.received()
        traces = self.metric("otelcol_processor_tail_sampling_global_count_traces_sampled")
        return traces * SPANS_A_TRACE


class FluentBit(System):
    """Counts no spans, so it is measured over whole loads; samples by errors and latency alone."""
    name = "fluent-bit"
    path = None
    counts = False

    @staticmethod
    def can(row):
        return not (row.export or row.redact or row.after_root or row.policies != "reference")

    def __init__(self, row, _sink, num_traces=1_000_000):
        self.ports = dict(zip(("http", "metrics"), free_ports(2)))
        self.ports["grpc"] = self.ports["http"]
        self.start([self.path, "-c", f"{HERE}/fluent-bit.yaml"], {
            "WAIT": row.wait, "NUM_TRACES": str(num_traces),
            **{f"{p.upper()}_PORT": str(n) for p, n in self.ports.items()}}, CPUS[:1])
        self.metrics_url = f"http://127.0.0.1:{self.ports['metrics']}/api/v1/metrics/prometheus"
        self.until(lambda: self.page(self.metrics_url), "the metrics page", 60)

    def endpoint(self, protocol):
        return f"http://127.0.0.1:{self.ports[protocol]}"


def start_load(system, row, rate, traces=1 << 40, duration="30m"):
    process = subprocess.Popen(
        [PROGRAM, "load", "--bench", "--json", "--endpoint", system.endpoint(row.protocol),
         "--protocol", "grpc" if row.protocol == "grpc" else "http/protobuf", "--traces", str(traces),
         "--spans", str(row.spans), *["--gzip"] * row.gzip, "--rate", str(rate), "--connections", "8",
         "--duration", duration],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=pin(CPUS[-1:]))
    STARTED.append(process)
    return process


def end_load(system, process):
    """What `moontail load --json` says when it has ended."""
    output, errors = process.communicate()
    if not output.startswith("{"):
        system.fail(f"load: {errors}")
    return json.loads(output)
