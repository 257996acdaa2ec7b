"""Answers and workers beside a disk that is written at full speed; figures, nothing is asserted.

For each level: DURATION seconds (default 20) of load alone, then as long with a writer beside it.
A turn may be long because others have the CPU (`ready to run`: how long a worker's thread waited for
one); `longest stall` is how long one stood still beside that, which is what a disk would do. FOLDER: on the disk to test.
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

from harness import Collector, config, exporter
from load import POLICIES, Load

DURATION = float(os.environ.get("DURATION", "20"))
WRITER = """
import os, sys
block, fd = bytes(1 << 20), os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o600)
print("writes", flush=True)
while True:
    for at in range(1024):
        os.pwrite(fd, block, at << 20)
        if at % 256 == 255:
            os.fdatasync(fd)
"""


def waited_for_cpu(pid):
    """Seconds, of the worker that waited most."""
    waited = [0]
    for path in glob.glob(f"/proc/{pid}/task/*/comm"):
        with open(path) as f:
            if not f.read().startswith("worker"):
                continue
        with open(path.replace("comm", "schedstat")) as f:
            waited.append(int(f.read().split()[1]) / 1e9)
    return max(waited)


def stolen():
    """Seconds that the host of this machine has kept its CPUs for others."""
    with open("/proc/stat") as f:
        return int(f.readline().split()[8]) / os.sysconf("SC_CLK_TCK")


def share(sorted_values, p):
    return round(sorted_values[min(int(len(sorted_values) * p), len(sorted_values) - 1)] * 1e3, 2)


def measure(folder, ack, writer):
    os.makedirs(folder)
    text = config(exporter("nop"), tail=POLICIES, workers=2, wait="2s", journal=f'ack = "{ack}"')
    collector, load = Collector(folder, text), Load(1)
    try:
        load.aim({"http": collector.http, "grpc": collector.grpc})
        before, kept = waited_for_cpu(collector.process.pid), stolen()
        collector.pause(DURATION)
        metrics = collector.scrape()
        waited = waited_for_cpu(collector.process.pid) - before
        load.end()
        collector.stop()
    finally:
        load.ended = True
        collector.kill()
    times = sorted(load.latencies)
    print(json.dumps({
        "ack": ack, "writer": writer, "spans": load.count(), "requests": len(times),
        "p50 ms": share(times, 0.5), "p99 ms": share(times, 0.99), "max ms": share(times, 1),
        "longest turn ms": round(metrics.total("moontail_worker_loop_max_seconds") * 1e3, 2),
        "longest stall ms": round(metrics.total("moontail_worker_loop_stalled_max_seconds") * 1e3, 2),
        "turns over 5 ms": int(metrics.total("moontail_worker_slow_turns_total")),
        "ready to run s": round(waited, 3), "stolen s": round(stolen() - kept, 2)}), flush=True)


def main():
    for ack in ("memory", "written", "fsync"):
        for writes in (False, True):
            with tempfile.TemporaryDirectory(dir=os.environ.get("FOLDER")) as folder:
                writer = None
                if writes:
                    writer = subprocess.Popen([sys.executable, "-c", WRITER, f"{folder}/big"],
                                              stdout=subprocess.PIPE)
                    writer.stdout.readline()
                try:
                    measure(f"{folder}/c", ack, writes)
                finally:
                    if writer:
                        writer.kill()
                        writer.wait()


if __name__ == "__main__":
    main()
