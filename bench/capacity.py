#!/usr/bin/env python3
"""Nodes, memory and disk for a load, from the figures in docs/performance.json (docs/capacity.md explains it).

    bench/capacity.py --spans-per-s 500000 --wait 30 --keep 0.1 [--bytes 470] [--spans-a-request 80]
                      [--ack written] [--outage 600] [--export 1] [--cores 4] [--use 0.6]

bench/run --capacity checks it at three points.
"""
import argparse
import dataclasses
import json
import math
import os
import statistics
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

from rows import ROWS, SPANS_A_TRACE  # noqa: E402

FIGURES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs", "performance.json")
SEGMENT = 2 << 20
OPEN_SEGMENTS = 12      # open, ahead, reserved, and in part decided
DECISIONS = 1_000_000   # that are remembered: decision_cache
DECISION_MEMORY = 24    # bytes of one in memory
DECISION_DISK = 130     # and in the log
KEPT_BYTES = 1.35       # of a kept span by what it had: resources are written for each trace, and the decision
KEPT_AWAY = 2           # seconds until what is kept has left: batch.timeout, and the backend's answer
BENCH_KEPT = 0.19       # of the spans in bench/: errors, slow ones, and a tenth of the others


@dataclasses.dataclass(frozen=True)
class Load:
    spans_per_s: float
    wait: float = 10          # seconds until a trace is decided
    keep: float = 0.1         # share of spans
    bytes: float = 470        # of a span on the wire, not compressed
    spans_a_request: float = 80
    ack: str = "written"
    outage: float = 0         # seconds of the exporters' that the queue is to survive
    export: float = 1         # exporters over OTLP
    history: float = 0        # bytes
    since: float = 1e9        # seconds that it has run for


class Model:
    def __init__(self, figures):
        self.figures = figures
        full, small = self.cost("http"), self.cost("small")
        self.request = max(0, (small - full) / (1 / 10 - 1 / 80))   # CPU-us of a request
        self.span = full - self.request / 80                         # and of a span in it
        self.level = {"written": 0, "memory": self.cost("memory") - full, "fsync": self.cost("fsync") - full}
        self.kept = max(0, (self.cost("export") - full) / BENCH_KEPT)
        held = figures["held"]
        self.overhead = statistics.median(held[max(held, key=int)]["moontail"]) / self.median("http", "bytes_per_span")
        self.idle = self.median("http", "idle_mb") * 1e6
        # requests that come alone each wake threads; as measured at two rates
        self.waking = [(0, 0)] + [(ROWS[n].rate * SPANS_A_TRACE / 80,
                                   max(0, self.cost(n) - full) * ROWS[n].rate * SPANS_A_TRACE / 1e6)
                                  for n in ("paced", "half") if n in figures["rows"]]

    def median(self, row, key):
        return statistics.median(f[key] for f in self.figures["rows"][row]["moontail"])

    def cost(self, row):
        return self.median(row, "cpu_s_per_m")

    def waking_cores(self, requests_per_s):
        for (x0, y0), (x1, y1) in zip(self.waking, self.waking[1:]):
            if requests_per_s <= x1:
                return y0 + (y1 - y0) * (requests_per_s - x0) / (x1 - x0)
        return self.waking[-1][1]

    def cores(self, load):
        each = (self.span + self.request / load.spans_a_request + self.level[load.ack]
                + load.keep * load.export * self.kept)
        return load.spans_per_s * each / 1e6 + self.waking_cores(load.spans_per_s / load.spans_a_request)

    def held_bytes(self, load):
        return load.spans_per_s * load.wait * load.bytes

    def kept_bytes_per_s(self, load):
        return load.spans_per_s * load.keep * load.bytes * KEPT_BYTES

    def queue(self, load):
        """Bytes that wait for an exporter at the end of an outage."""
        return self.kept_bytes_per_s(load) * max(load.outage, KEPT_AWAY)

    def memory(self, load):
        """Resident, with what is queued on disk; more than that is the queue's as long as there is room."""
        decided = min(DECISIONS, load.spans_per_s / SPANS_A_TRACE * load.since)
        return (self.idle + self.held_bytes(load) * self.overhead + OPEN_SEGMENTS * SEGMENT
                + self.kept_bytes_per_s(load) * KEPT_AWAY + decided * DECISION_MEMORY)

    def disk(self, load):
        if load.ack == "memory":
            return 0
        logged = max(DECISIONS, load.spans_per_s / SPANS_A_TRACE * load.wait)
        logged = min(logged, load.spans_per_s / SPANS_A_TRACE * load.since)
        return (self.held_bytes(load) + OPEN_SEGMENTS * SEGMENT + self.queue(load) + logged * DECISION_DISK
                + load.history)

    def nodes(self, load, cores, use):
        return max(1, math.ceil(self.cores(load) / (cores * use)))

    def one_of(self, load, nodes):
        return dataclasses.replace(load, spans_per_s=load.spans_per_s / nodes)


def read():
    with open(FIGURES) as f:
        return Model(json.load(f))


# What docs/capacity.md shows: name, load, cores of a node.
EXAMPLES = [
    ("a node's agent", Load(5_000, wait=10, keep=0.1, spans_a_request=20, outage=3600), 1),
    ("a team's gateway", Load(50_000, wait=30, keep=0.1, outage=3600), 2),
    ("a company's", Load(2_000_000, wait=30, keep=0.05, outage=600), 8),
]


def size(value):
    return f"{value / 2**30:,.1f} GiB" if value >= 2**30 else f"{value / 2**20:,.0f} MiB"


def plan(model, load, cores, use):
    nodes = model.nodes(load, cores, use)
    one = model.one_of(load, nodes)
    return nodes, model.cores(one), model.memory(one), model.disk(one)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--spans-per-s", type=float, required=True)
    for field in dataclasses.fields(Load)[1:]:
        p.add_argument("--" + field.name.replace("_", "-"), type=type(field.default), default=field.default)
    p.add_argument("--cores", type=float, default=2, help="of a node")
    p.add_argument("--use", type=float, default=0.6, help="of these, at the peak")
    a = vars(p.parse_args())
    cores, use = a.pop("cores"), a.pop("use")
    model = read()
    nodes, used, memory, disk = plan(model, Load(**a), cores, use)
    queue = model.queue(model.one_of(Load(**a), nodes))
    print(f"{nodes} nodes of {cores:g} cores; each: {used:.2f} cores, memory_limiter.limit {size(memory * 1.3)} "
          f"({size(memory)} resident), journal.max_size {size(disk * 1.25)} ({size(disk)} used), "
          f"queue.max_size of an exporter {size(queue * 1.25)}")


if __name__ == "__main__":
    main()
