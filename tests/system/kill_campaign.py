"""A campaign of kills: senders, the collector, and backends, each a process or thread that is real.

The collector is killed with SIGKILL at random moments and started again on the same folder; what
was acknowledged must be where the policies want it, whatever happened.
"""
import collections
import json
import os
import random
import signal
import sys
import threading
import time
import urllib.request

from harness import PATIENCE, HERE, Collector, Process, config, exporter, run
from load import POLICIES, Load, is_kept
from ports import free_ports
from sink import read_records

RETRY = {"initial_interval": "20ms", "max_interval": "200ms"}
CIRCUIT = {"failures": 5, "probe": "200ms"}
BEFORE, AFTER = 2.0, 1.0  # seconds: a delivery as near a kill may not have been noted, because the
                          # process was gone or slow; a backend may be behind with what it got


class Sink:
    """tests/system/sink.py, which can be killed too; its port stays its own."""

    def __init__(self, folder, name):
        self.name, self.folder = name, folder
        self.path = os.path.join(folder, f"{name}.spans")
        [self.port], self.killed = free_ports(1), []
        self.begin()

    def begin(self):
        self.process = Process([sys.executable, f"{HERE}/sink.py", self.path, str(self.port)],
                               self.folder)
        self.process.wait_line(lambda x: x.startswith("{"))

    def kill(self):
        self.process.kill()
        self.killed.append(time.monotonic())

    def behave(self, how):
        if how == "dead":
            self.kill()
            return
        if not self.process.is_alive():
            self.begin()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/be/{how}", data=b"")
        urllib.request.urlopen(request, timeout=PATIENCE).read()

    def exporter(self):
        return exporter(f"otlp/{self.name}", endpoint=f"http://127.0.0.1:{self.port}",
                        protocol="http/protobuf", batch={"timeout": "20ms"}, retry=RETRY,
                        circuit=CIRCUIT)


class Scraper:
    """Scrapes as often as it can; every scrape asserts that nothing is unaccounted for."""

    def __init__(self, collector):
        self.collector, self.scrapes, self.error, self.last = collector, 0, None, None
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopped.wait(0.05):
            try:
                self.last = self.collector.scrape()
                self.scrapes += 1
            except OSError:
                continue  # killed
            except Exception as e:  # a page that was cut off by a kill, or a ledger that is wrong
                if self.collector.is_alive() or isinstance(e, AssertionError):
                    self.error = e
                    return

    def stop(self):
        """The last page that was seen, or None."""
        self.stopped.set()
        self.thread.join()
        if self.error:
            raise self.error
        return self.last


class Campaign:
    """ack: of the journal. mixed: other workers and exporters at each start."""

    def __init__(self, folder, seed, ack="written", mixed=False, rate=4000):
        self.folder, self.ack, self.mixed = str(folder), ack, mixed
        self.random = random.Random(seed)
        self.main, self.side = Sink(self.folder, "main"), Sink(self.folder, "side")
        self.load = Load(seed, rate=rate)
        self.kills, self.ready_s, self.begins = [], [], []
        self.recovered = self.scrapes = 0
        self.lost = collections.Counter()
        self.has_side, self.removed = False, 0  # that exporter now; what waited for it where it was not
        self.collector = None

    def close(self):
        self.load.ended = True
        for process in (self.collector, self.main.process, self.side.process):
            if process:
                process.kill()

    # ---- rounds ----

    def text(self):
        r, exporters, workers = self.random, [self.main.exporter()], 2
        if self.mixed:
            workers = r.choice([1, 2, 4])
            self.has_side = r.random() < 0.5
            if self.has_side:
                exporters.insert(r.randrange(2), self.side.exporter())
        wait = r.choice(["50ms", "300ms", "1500ms"])
        return config(", ".join(exporters), tail=POLICIES, workers=workers, wait=wait,
                      journal=f'ack = "{self.ack}", segment_size = "2MiB"')

    def begin(self):
        start = time.monotonic()
        self.collector = Collector(self.folder, self.text())
        addresses = {"http": self.collector.http, "grpc": self.collector.grpc}
        while self.collector.get("/readyz")[0] != 200:
            self.collector.pause()
        self.ready_s.append(time.monotonic() - start)
        self.begins.append((start, self.ready_s[-1]))
        self.load.aim(addresses)
        self.scraper = Scraper(self.collector)

    def note(self, metrics):
        if not metrics:
            return
        self.recovered += metrics.total("moontail_recovered_spans_total")
        for name in ("moontail_lost_spans_total", "moontail_export_lost_spans_total"):
            for reason, count in metrics.by(name, "reason").items():
                self.lost[reason] += count
        removed = metrics.total("moontail_export_lost_spans_total", exporter=f"otlp/{self.side.name}", reason="removed")
        assert removed == 0 or not self.has_side, removed
        self.lost["removed"] -= removed
        self.removed += removed

    def round(self):
        r = self.random
        for sink in (self.main, self.side):
            sink.behave(r.choice(["ok", "ok", "slow", "down", "dead"]))
        self.begin()
        if r.random() < 0.5:
            self.main.behave("ok")
        self.collector.pause(r.uniform(0.02, 2.0))
        assert self.collector.is_alive(), self.collector.output()
        self.collector.kill()
        self.kills.append(time.monotonic())
        self.load.aim(None)
        self.scrapes += self.scraper.scrapes
        self.note(self.scraper.stop())

    def drain(self):
        """Everything that was sent is decided and delivered, and the folder is whole."""
        for sink in (self.main, self.side):
            sink.behave("ok")
        self.begin()
        self.load.end()
        self.collector.wait_metrics(
            lambda m: m.total("moontail_pending_spans") == 0
            and m.total("moontail_export_queued_spans") == 0, timeout=120)
        self.note(self.scraper.stop())
        self.collector.signal(signal.SIGTERM)
        code = self.collector.wait_exit()
        assert code == 0, f"exit code {code}:\n{self.collector.output()}"
        whole = run("fsck", "--journal", f"{self.folder}/journal", folder=self.folder, timeout=120)
        assert whole.returncode == 0, whole.stdout + whole.stderr

    def run(self, rounds):
        for _ in range(rounds):
            self.round()
        self.drain()
        return self.check()

    # ---- what must hold ----

    def arrivals(self, sink):
        """{ids: [times]} of the spans that a backend took; none of them may be one to drop."""
        found = collections.defaultdict(list)
        for when, ids in read_records(sink.path):
            for i in ids:
                found[i].append(when)
        wrong = [i.hex() for i in found if not is_kept(i[:16])]
        assert not wrong, f"{len(wrong)} spans at {sink.name} that the policies drop: {wrong[:3]}"
        return found

    def is_explained(self, i, times, killed):
        """True: each copy is of a request without an answer, or of a delivery just before a kill."""
        near = sum(any(-AFTER <= k - t <= BEFORE for k in killed) for t in times[:-1])
        return len(times) - 1 <= near + self.load.repeated[i]

    def check(self):
        found = self.arrivals(self.main)
        self.arrivals(self.side)
        acknowledged = [i for ids in self.load.acknowledged for i in ids]
        kept = [i for i in acknowledged if is_kept(i[:16])]
        missing = [i for i in kept if i not in found]
        again = {i: times for i, times in found.items() if len(times) > 1}
        killed = self.kills + self.main.killed
        strange = [(i.hex(), t) for i, t in again.items() if not self.is_explained(i, t, killed)]
        figures = {
            "rounds": len(self.kills), "ack": self.ack, "mixed": self.mixed,
            "acknowledged": len(acknowledged), "to keep": len(kept), "missing": len(missing),
            "copies": sum(len(t) - 1 for t in again.values()),
            "unexplained copies": len(strange),
            "sent again without an answer": sum(self.load.repeated.values()),
            "unanswered requests": self.load.unanswered, "refused": sum(self.load.refused.values()),
            "recovered": int(self.recovered), "scrapes": self.scrapes,
            "lost": {k: int(v) for k, v in self.lost.items() if v},
            "removed with their exporter": int(self.removed),
            "ready max s": round(max(self.ready_s), 3),
            "ready median s": round(sorted(self.ready_s)[len(self.ready_s) // 2], 3),
        }
        print(json.dumps(figures), flush=True)
        assert not missing, (f"{len(missing)} of {len(kept)} acknowledged spans are missing: "
                             f"{[i.hex() for i in missing[:5]]}\n{self.collector.output()}")
        assert not self.lost_any(), self.lost
        assert not strange, strange[:5]
        return figures

    def lost_any(self):
        return sum(self.lost.values())
