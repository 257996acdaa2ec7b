"""Measures rows: a program starts, is brought to where it decides as much as comes in, and is watched for a while."""
import os
import signal
import tempfile
import time

from rows import HELD, HELD_PEER_MAX, ROWS, SPAN_BYTES, SPANS_A_TRACE, Row
from systems import CPUS, FluentBit, Floor, Moontail, Otelcol, Sink, end_load, start_load


def wait_for_decisions(system, seconds):
    """Until as much is decided as comes in, and memory and files have their size, or for a minute; at least
    `seconds`, when the first decisions are due."""
    system.wait(seconds)
    for _ in range(60):
        received, decided = system.received(), system.decided()
        files, resident = system.file_bytes(), system.resident()
        system.wait(1)
        keeps_up = system.decided() - decided >= 0.97 * (system.received() - received) > 0
        if keeps_up and system.file_bytes() <= 1.01 * files and system.resident() <= 1.01 * resident:
            return


def in_seconds(duration):
    number, unit = (duration[:-2], 1e-3) if duration.endswith("ms") else (duration[:-1], 1)
    return float(number) * unit


def by_counters(system, row, rate, seconds):
    """CPU and spans of a window in which spans come and decisions are made."""
    load = start_load(system, row, rate)
    wait_for_decisions(system, in_seconds(row.after_root or row.wait) + 1.5)
    cpu, received, start = system.cpu_seconds(), system.received(), time.monotonic()
    system.wait(seconds)
    spans = system.received() - received
    cpu, seconds = system.cpu_seconds() - cpu, time.monotonic() - start
    load.send_signal(signal.SIGTERM)
    return cpu, spans, seconds, end_load(system, load)


def by_loads(system, row, rate, seconds):
    """The same for what does not count: a load of so many seconds behind another one."""
    end_load(system, start_load(system, row, rate, duration=f"{in_seconds(row.wait) + 2:.0f}s"))
    cpu = system.cpu_seconds()
    report = end_load(system, start_load(system, row, rate, duration=f"{seconds:.0f}s"))
    return system.cpu_seconds() - cpu, report["spans"], report["seconds"], report


def rate_of(kind, row):
    return row.peer_rate if kind.is_peer and row.peer_rate else row.rate


def kinds_of(row, others):
    """What is measured in the row: the collector and, of the others, those that the row is for."""
    return [Moontail] + [k for k in others
                         if not k.is_peer or (row.peers and (k is not FluentBit or k.can(row)))]


def measure_row(kind, row, seconds):
    sink = Sink() if row.export else None
    system = kind(row, sink)
    idle = system.resident()
    measure = by_counters if kind.counts else by_loads
    measured = measure(system, row, rate_of(kind, row), row.seconds or seconds)
    cpu, spans, took, report = measured
    if spans == 0:
        system.fail("no span came while it was measured")
    figures = {"cpu_s_per_m": cpu / spans * 1e6, "spans_per_s": spans / took, "p50_ms": report["p50_ms"],
               "p99_ms": report["p99_ms"], "failed_spans": report["failed_spans"],
               "bytes_per_span": report["bytes"] / max(1, report["requests"] * row.spans),
               "idle_mb": idle / 1e6, "resident_mb": system.resident() / 1e6, "load": os.getloadavg()[0]}
    if sink:
        figures["exported_share"] = sink.received() / max(1, system.received())
        sink.stop()
    system.stop()
    return figures


def measure_rows(names, others, rounds, seconds, note, keep):
    """{row: {program: [figures of a round]}}. Programs alternate, rows too; `rounds`: None for each row's own.
    keep(found) is called when a row has been measured: what broke off later has not been for nothing."""
    found = {}
    for i in range(max(rounds or ROWS[n].rounds for n in names)):
        shared = {}
        for name in [n for n in names if i < (rounds or ROWS[n].rounds)]:
            row = ROWS[name]
            kinds = kinds_of(row, others)
            for kind in kinds if i % 2 == 0 else reversed(kinds):
                key = (kind.name, row.peer_key()) if kind.is_peer else None
                figures = shared.get(key) or measure_row(kind, row, seconds)
                if key:
                    shared[key] = figures
                found.setdefault(name, {}).setdefault(kind.name, []).append(figures)
                note(f"{name:12} {kind.name:10} {figures['cpu_s_per_m']:6.2f} CPU-s/M "
                     f"{figures['spans_per_s']:12,.0f} spans/s  p99 {figures['p99_ms']:.2f} ms")
            keep(found)
    return found


def measure_floor(rounds, seconds, note):
    """{row: [CPU-seconds per million spans]} of sockets alone."""
    found = {}
    for _ in range(rounds):
        for name in ("http", "small"):
            cpu = measure_row(Floor, ROWS[name], seconds)["cpu_s_per_m"]
            found.setdefault(name, []).append(cpu)
            note(f"{name}: {cpu:.2f} CPU-s/M")
    return found


def write_around(size, rate, seconds):
    """CPU-seconds a GB of pieces that are written, at `rate` bytes/s, over and over into a file of `size`
    bytes; of the last `seconds`, when the kernel writes to the disk what was written before."""
    piece, took, written = bytes(64 << 10), 0, 0
    size = size // len(piece) * len(piece)
    with tempfile.TemporaryFile() as f:
        for at in range(0, size, len(piece)):
            os.pwrite(f.fileno(), piece, at)
        began, around = time.monotonic(), size / rate
        while (now := time.monotonic() - began) < around + seconds:
            if written > now * rate:
                time.sleep(0.0005)
                continue
            cpu = time.thread_time()
            os.pwrite(f.fileno(), piece, written % size)
            took += (time.thread_time() - cpu) * (now > around)
            written += len(piece)
    return took / (rate * seconds) * 1e9


def measure_writes(note):
    """{live traces: CPU-seconds per million spans} of writing alone what is held, as it comes in rows held-*."""
    found = {}
    rate = ROWS["held-1m"].rate * SPANS_A_TRACE * SPAN_BYTES
    for traces in HELD:
        cpu = write_around(traces * SPANS_A_TRACE * SPAN_BYTES, rate, 10) * SPAN_BYTES / 1e3
        found[str(traces)] = cpu
        note(f"written, {traces:,} live traces: {cpu:.2f} CPU-s/M")
    return found


def held_bytes(kind, traces, ack):
    """Bytes of memory for each of the spans of `traces` held traces, or None where it refuses."""
    row = Row("", wait="1h", ack=ack)
    system = kind(row, None, max(2 * traces, 50_000))
    idle = system.resident()
    report = end_load(system, start_load(system, row, 0, traces))
    if report["failed_spans"]:
        system.stop()
        return None
    if kind.counts:
        system.until(lambda: system.received() >= report["spans"], "all spans received")
    held = system.resident() - idle
    system.stop()
    return held / report["spans"]


def measure_held(peers, rounds, note, ack="written"):
    """{traces: {program: [bytes a span]}}"""
    found = {}
    for _ in range(rounds):
        for traces in HELD:
            for kind in [Moontail] + (peers if traces <= HELD_PEER_MAX else []):
                value = held_bytes(kind, traces, ack)
                found.setdefault(str(traces), {}).setdefault(kind.name, []).append(value)
                note(f"{traces:,} traces {kind.name}: {value or 0:,.0f} bytes a span")
    return found


def machine():
    with open("/proc/cpuinfo") as f:
        model = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "")
    return {"cpus": len(CPUS), "model": model, "kernel": os.uname().release, "load": os.getloadavg()[0]}
