"""Reloads under load: the configuration changes all the time, a third of the versions are broken,
a third change exporters and receivers too, and no span is lost or refused."""
import http.client
import itertools
import os
import signal
import threading
import time

from clients import PROTOBUF
from harness import PATIENCE, Collector, config, exporter, run
from messages import request_with, span, trace_id

SENDERS = 2
SPANS = 8  # of a request, which is a trace
ALL = 'exporter "file/all" {{ path = "FOLDER/all.jsonl", max_size = "{0}MiB" }}'
TAIL = 'policies = {{ policy {{ name = "p{0}", decide = function() return {1} end }} }}'
BROKEN = ['policies = { policy "nonsense" }', "policies = {", "decision_wait = 3 .. {}"]


class Load:
    """Senders that post until they are stopped, on a connection that they keep as long as they may
    (one), or on one for each request; every request must be taken."""

    def __init__(self, address):
        self.address, self.numbers, self.ended = address, itertools.count(1), threading.Event()
        self.acknowledged, self.refused = [0] * SENDERS, [0] * SENDERS
        self.connections = [http.client.HTTPConnection(address, timeout=PATIENCE)
                            for _ in range(SENDERS)]
        self.threads = [threading.Thread(target=self.send, args=(i,)) for i in range(SENDERS)]
        for thread in self.threads:
            thread.start()

    def send(self, index):
        while not self.ended.is_set():
            number = next(self.numbers)
            spans = [span(trace_id(number), i + 1) for i in range(SPANS)]
            if self.post(index, request_with(*spans).SerializeToString()) == 200:
                self.acknowledged[index] += SPANS
            else:
                self.refused[index] += 1

    def post(self, index, body):
        connection = self.connections[index]
        connection.request("POST", "/v1/traces", body, {"Content-Type": PROTOBUF})
        response = connection.getresponse()  # after "Connection: close" the next one is new
        response.read()
        if index:
            connection.close()
        return response.status

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join()


class Campaign:
    def __init__(self, folder):
        self.folder, self.form = str(folder), 0
        self.collector = Collector(folder, self.text(TAIL.format(0, "keep()")))
        self.path = os.path.join(self.folder, "config.lua")
        self.load = Load(self.collector.http)
        self.slowest = 0

    def text(self, tail):
        """The exporter file/all is always there, in one form or another: it gets every kept span."""
        parts = [ALL.format(1000 + self.form)]
        if self.form % 2:
            type_ = ("nop", "debug")[self.form // 2 % 2]  # debug is in Lua
            parts.insert(self.form % 3 % 2, exporter(f"{type_}/{self.form % 4}"))
        listen = f'{{ listen = "127.0.0.1:0", max_connections = {1000 + self.form} }}'
        return config(", ".join(parts), tail=tail, wait="50ms", workers=2,
                      receivers=f"http = {listen}, grpc = {str(self.form % 2 == 0).lower()}",
                      journal='ack = "written"').replace("FOLDER", self.folder).replace(
                          "grpc = true", 'grpc = "127.0.0.1:0"')

    def write(self, text):
        with open(self.path + "~", "w") as f:
            f.write(text)
        os.rename(self.path + "~", self.path)

    def reload(self, number):
        """One version, which the file, a signal and the command make known."""
        broken = number % 3 == 2
        self.form += number % 3 == 1
        tail = (BROKEN[number // 3 % len(BROKEN)] if broken
                else TAIL.format(number % 7, ("keep()", "drop()")[number // 2 % 2]))
        self.write(self.text(tail))
        if number % 5 == 0:
            self.collector.signal(signal.SIGHUP)
        began = time.monotonic()
        done = run("reload", "--journal", f"{self.folder}/journal", folder=self.folder)
        self.slowest = max(self.slowest, time.monotonic() - began)
        assert done.returncode == (78 if broken else 0), (tail, done)

    def settled(self, kept):
        """What file/all has got when it has got all, each span once."""
        m = self.collector.wait_metrics(lambda m: m.total(
            "moontail_export_queued_spans", exporter="file/all") == 0)
        with open(f"{self.folder}/all.jsonl", "rb") as f:
            written = sum(line.count(b'"spanId"') for line in f)
        assert written == kept, f"{written} in the file, {kept} kept"
        return m.total("moontail_export_delivered_spans_total", exporter="file/all")

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
                   "exchanges": m.total("moontail_reload_exchanges_total"),
                   "slow_exchanges": m.total("moontail_reload_slow_exchanges_total"),
                   "longest_exchange_s": m.total("moontail_reload_exchange_max_seconds"),
                   "delivered": self.settled(m.total("moontail_kept_spans_total")),
                   "resident_mib": round(m.total("process_resident_memory_bytes") / 2 ** 20)}
        assert figures["kept"] + figures["dropped"] == sent and figures["lost"] == 0, figures
        assert figures["kept"] > 0 and figures["dropped"] > 0, figures
        assert figures["delivered"] == figures["kept"], figures
        assert figures["slow_exchanges"] <= 1 + figures["exchanges"] / 100, figures
        self.collector.stop()
        return figures

    def close(self):
        self.load.stop()
        self.collector.kill()
