"""memory_limiter.limit under more load than it holds: what is resident, what is held, and no OOM kill.

For each level, DURATION seconds (default 20) of `moontail load --bench` at full speed: limit 400 MiB,
spike_limit 100 MiB, decision_wait 60 s, so that memory is full after a few seconds. In a cgroup
with memory.max = 1.25 x limit where one can be made (root; version 1 or 2), which also counts the page
cache of the journal's files. Resident anonymous memory must stay within 5 % of the limit, and nothing
be killed. `bytes a held span` is all that is resident over what was after the start, by the spans that
wait at that moment (with files most of them are on disk only); `by wire size` is that by the size of a
span in its request.

The first run sends 3.68 million spans to twice that limit, which fit in when they are compressed, and looks at them when all
are: held in at most 0.35 times their size, references and table included. Before it a burst, and
what is resident after: memory goes back.
"""
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile

from harness import PROGRAM, Collector, config, exporter

DURATION = float(os.environ.get("DURATION", "20"))
LIMIT, SPIKE = 400, 100  # MiB
MIB = 1 << 20
POLICIES = """policies = { policy "status_code" { status_codes = { "ERROR" } },
  policy "latency" { threshold_ms = 500 }, policy "probabilistic" { sampling_percentage = 10 } }"""


class Group:
    """A cgroup of its own, with a bound on memory."""

    def __init__(self, bound):
        first = "/sys/fs/cgroup/memory"
        self.is_first = os.path.isdir(first)
        self.path = f"{first if self.is_first else '/sys/fs/cgroup'}/moontail-soak-{os.getpid()}"
        os.mkdir(self.path)
        try:
            self.write("memory.limit_in_bytes" if self.is_first else "memory.max", bound)
        except OSError:
            os.rmdir(self.path)
            raise

    def write(self, name, value):
        with open(f"{self.path}/{name}", "w") as f:
            f.write(str(value))

    def read(self, name, key):
        with open(f"{self.path}/{name}") as f:
            return int(re.search(rf"^{key} ?(\d+)$", f.read(), re.M)[1])

    def kills(self):
        return self.read("memory.oom_control" if self.is_first else "memory.events", "oom_kill")

    def peak(self):
        return self.read("memory.max_usage_in_bytes" if self.is_first else "memory.peak", "")

    def command(self):
        return ["/bin/sh", "-c", f'echo $$ > {self.path}/cgroup.procs && exec "$@"', "sh"]


@contextlib.contextmanager
def group_or_none(bound):
    try:
        group = Group(bound)
    except OSError as e:
        print(f"no cgroup can be made here: {e}", file=sys.stderr)
        yield None
        return
    try:
        yield group
    finally:
        os.rmdir(group.path)


def resident(pid):
    """Anonymous, and all, in bytes."""
    with open(f"/proc/{pid}/status") as f:
        found = dict(re.findall(r"^(Rss\w+):\s+(\d+) kB$", f.read(), re.M))
    return int(found["RssAnon"]) << 10, sum(int(v) for v in found.values()) << 10


def load(collector, traces=1 << 40, duration=DURATION, rate=0):
    return subprocess.Popen(
        [PROGRAM, "load", "--bench", "--json", "--endpoint", f"http://{collector.http}", "--protocol",
         "http/protobuf", "--traces", str(traces), "--rate", str(rate), "--connections", "8", "--duration",
         f"{duration:g}s"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def watch(collector, sender):
    """The most that was resident, and the moment at which most was held."""
    idle, most, held = resident(collector.process.pid)[1], 0, None
    while sender.poll() is None:
        collector.pause(0.25)
        anon, everything = resident(collector.process.pid)
        most = max(most, anon)
        metrics = collector.scrape()
        spans = metrics.total("moontail_pending_spans")
        if spans and (not held or spans > held["spans"]):
            held = {"spans": int(spans), "bytes a held span": round((everything - idle) / spans)}
    return most, held, metrics


def start(folder, ack, compression, under, wait="60s", times=1):
    os.makedirs(folder)
    more = f"""memory_limiter = {{ limit = "{times * LIMIT}MiB", spike_limit = "{times * SPIKE}MiB", compression = "{compression}" }},"""
    return Collector(folder, config(exporter("nop"), tail=POLICIES, wait=wait, more=more,
                                    journal=f'ack = "{ack}", max_size = "8GiB", min_free = "1%"'), under=under)


def measure(folder, ack, compression, group):
    collector = start(folder, ack, compression, group.command() if group else ())
    try:
        sender = load(collector)
        most, held, metrics = watch(collector, sender)
        report = json.loads(sender.stdout.read())
        found = {
            "ack": ack, "compression": compression, "received": report["spans"], "refused": report["refused"],
            "failed": report["failed_spans"], **held,
            "by wire size": round(held["bytes a held span"] * report["spans"] / report["bytes"], 2),
            "resident MiB": round(most / MIB), "decided early": int(
                metrics.total("moontail_early_decided_traces_total")),
            "most CPU ms of a turn": round(metrics.total("moontail_worker_loop_cpu_max_seconds") * 1e3, 1)}
        if group:
            found.update({"group MiB": round(group.peak() / MIB), "killed": group.kills()})
        print(json.dumps(found), flush=True)
        return most <= 1.05 * LIMIT * MIB and collector.is_alive() and not (group and group.kills())
    finally:
        collector.kill()


def measure_compressed(folder):
    """3.68 million spans in twice the limit, when all that is to be is compressed: by wire size."""
    collector = start(folder, "memory", "lz4", (), "10m", 2)
    try:
        idle = resident(collector.process.pid)[1]
        report = json.loads(load(collector, 460_000, 300, 60_000).communicate()[0])
        collector.pause(25)  # what was not needed for ten seconds is given back
        metrics = collector.scrape()
        spans = metrics.total("moontail_pending_spans")
        each = (resident(collector.process.pid)[1] - idle) / spans
        share = each * report["spans"] / report["bytes"]
        print(json.dumps({
            "held": int(spans), "compressed MiB": round(metrics.total("moontail_journal_compressed_bytes") / MIB),
            "to MiB": round(metrics.total("moontail_journal_compressed_size_bytes") / MIB),
            "bytes a held span": round(each), "by wire size": round(share, 3)}), flush=True)
        return share <= 0.35 and spans == report["spans"]
    finally:
        collector.kill()


def measure_burst(folder):
    """800,000 spans at full speed, then nothing: what is resident at the end, and some seconds after."""
    collector = start(folder, "memory", "none", (), "2s")
    try:
        load(collector, 100_000).communicate()
        found = {}
        for second in range(31):
            if second % 5 == 0:
                found[f"after {second} s"] = round(resident(collector.process.pid)[0] / MIB)
            collector.pause(1)
        print(json.dumps({"MiB resident": found}), flush=True)
        return found["after 30 s"] <= 0.15 * found["after 0 s"]
    finally:
        collector.kill()


def main():
    with tempfile.TemporaryDirectory() as folder:
        returns = measure_burst(f"{folder}/c")
    with tempfile.TemporaryDirectory() as folder:
        good = measure_compressed(f"{folder}/c") and returns
    for ack, compression in (("memory", "lz4"), ("memory", "none"), ("written", "lz4"), ("fsync", "lz4")):
        with tempfile.TemporaryDirectory(dir=os.environ.get("FOLDER")) as folder, \
                group_or_none(int(1.25 * LIMIT * MIB)) as group:
            good &= measure(f"{folder}/c", ack, compression, group)
    sys.exit(0 if good else "too much is resident, or something was killed")


if __name__ == "__main__":
    main()
