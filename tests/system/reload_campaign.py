"""Reloads under load: the configuration changes all the time, a third of the versions are broken,
and no span is lost or refused."""
import itertools
import os
import signal
import threading
import time

from clients import post
from harness import Collector, config, exporter, run
from messages import request_with, span, trace_id

SENDERS = 2
SPANS = 8  # of a request, which is a trace
TAIL = 'policies = {{ policy {{ name = "p{0}", decide = function() return {1} end }} }}'
BROKEN = ['policies = { policy "nonsense" }', "policies = {", "decision_wait = 3 .. {}"]


class Load:
    """Senders that post until they are stopped; every request must be taken."""

    def __init__(self, address):
        self.address, self.numbers, self.ended = address, itertools.count(1), threading.Event()
        self.acknowledged, self.refused = [0] * SENDERS, [0] * SENDERS
        self.threads = [threading.Thread(target=self.send, args=(i,)) for i in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def send(self, index):
        while not self.ended.is_set():
            number = next(self.numbers)
            spans = [span(trace_id(number), i + 1) for i in range(SPANS)]
            if post(self.address, request_with(*spans).SerializeToString()).status == 200:
                self.acknowledged[index] += SPANS
            else:
                self.refused[index] += 1

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()


class Campaign:
    def __init__(self, folder):
        self.folder = str(folder)
        self.collector = Collector(folder, self.text(TAIL.format(0, "keep()")))
        self.path = os.path.join(self.folder, "config.lua")
        self.load = Load(self.collector.http)
        self.slowest = 0

    def text(self, tail):
        return config(exporter("nop"), tail=tail, wait="50ms", workers=2,
                      journal='ack = "written"').replace("FOLDER", self.folder)

    def write(self, text):
        with open(self.path + "~", "w") as f:
            f.write(text)
        os.rename(self.path + "~", self.path)

    def reload(self, number):
        """One version, which the file, a signal and the command make known."""
        broken = number % 3 == 2
        tail = (BROKEN[number // 3 % len(BROKEN)] if broken
                else TAIL.format(number % 7, ("keep()", "drop()")[number // 2 % 2]))
        self.write(self.text(tail))
        if number % 5 == 0:
            self.collector.signal(signal.SIGHUP)
        began = time.monotonic()
        done = run("reload", "--journal", f"{self.folder}/journal", folder=self.folder)
        self.slowest = max(self.slowest, time.monotonic() - began)
        assert done.returncode == (78 if broken else 0), (tail, done)

    def run(self, rounds):
        for number in range(1, rounds + 1):
            self.reload(number)
            if number % 10 == 0:
                self.collector.scrape()  # the ledger is exact
        self.load.stop()
        sent = sum(self.load.acknowledged)
        assert sum(self.load.refused) == 0, "requests were refused"
        m = self.collector.wait_decided(sent)
        figures = {"acknowledged": sent, "kept": m.total("moontail_kept_spans_total"),
                   "dropped": m.total("moontail_dropped_spans_total"),
                   "lost": m.total("moontail_lost_spans_total"),
                   "slowest_reload_s": round(self.slowest, 3),
                   "longest_turn_s": m.total("moontail_worker_loop_max_seconds"),
                   "resident_mib": round(m.total("process_resident_memory_bytes") / 2 ** 20)}
        assert figures["kept"] + figures["dropped"] == sent and figures["lost"] == 0, figures
        assert figures["kept"] > 0 and figures["dropped"] > 0, figures
        self.collector.stop()
        return figures

    def close(self):
        self.load.stop()
        self.collector.kill()
