"""Runs three loads and puts what bench/capacity.py predicts beside what they take."""
import dataclasses
import signal
import time

import capacity
from measure import in_seconds, wait_for_decisions
from rows import SPANS_A_TRACE, Row
from systems import Moontail, Sink, free_ports, start_load

WINDOW = 10


class Nobody:
    """An OTLP backend that is down."""

    def __init__(self):
        [self.port] = free_ports(1)

    def endpoint(self, _protocol):
        return f"http://127.0.0.1:{self.port}"

    def stop(self):
        pass


# Name, the row, what takes what is kept.
POINTS = [
    ("HTTP, wait 10 s", Row("", wait="10s", rate=5_000), None),
    ("gRPC, 10 spans a request, wait 5 s, exporting", Row("", protocol="grpc", spans=10, wait="5s", rate=10_000,
                                                          export="none"), Sink),
    ("HTTP, wait 3 s, the backend is down", Row("", wait="3s", rate=30_000, export="none"), Nobody),
]


def measure_point(row, backend):
    sink = backend() if backend else None
    system = Moontail(row, sink)
    began = time.monotonic()
    load = start_load(system, row, row.rate)
    if backend is Nobody:  # files grow for as long as that lasts
        system.wait(in_seconds(row.wait) + 5)
    else:
        wait_for_decisions(system, in_seconds(row.wait) + 1.5)
    cpu, received, start = system.cpu_seconds(), system.received(), time.monotonic()
    system.wait(WINDOW)
    cpu, seconds = system.cpu_seconds() - cpu, time.monotonic() - start
    found = {"cores": cpu / seconds, "memory": system.resident(), "disk": system.file_bytes(),
             "spans_per_s": (system.received() - received) / seconds,
             "keep": system.metric("moontail_kept_spans") / max(1, system.decided()),
             "since": time.monotonic() - began}
    load.send_signal(signal.SIGTERM)
    load.communicate()
    system.stop()
    if sink:
        sink.stop()
    return found


def check(note):
    """What docs/capacity.md says of the model."""
    model, points = capacity.read(), []
    wire = model.median("http", "bytes_per_span")
    for name, row, backend in POINTS:
        found = measure_point(row, backend)
        load = capacity.Load(row.rate * SPANS_A_TRACE, wait=in_seconds(row.wait), keep=found["keep"], bytes=wire,
                             spans_a_request=row.spans, ack=row.ack, export=float(backend is Sink),
                             since=found["since"],
                             outage=max(0, found["since"] - in_seconds(row.wait)) if backend is Nobody else 0)
        queue = model.queue(load) if backend is Nobody else 0  # there is room for it in memory
        figures = [["CPUs", model.cores(load), found["cores"]],
                   ["memory, MB", (model.memory(load) + queue) / 1e6, found["memory"] / 1e6],
                   ["disk, MB", model.disk(load) / 1e6, found["disk"] / 1e6]]
        for what, expected, measured in figures:
            note(f"{name}: {what}: predicted {expected:.3g}, measured {measured:.3g} ({measured / expected:.2f})")
        points.append({"name": name, "spans_per_s": found["spans_per_s"], "figures": figures,
                       "load": dataclasses.asdict(load)})
    return {"points": points}
