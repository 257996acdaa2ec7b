"""How long a worker's turns take at most: while memory grows, at full load with a million traces waiting,
while metrics are read and configurations exchanged, and while all of it is decided. Figures, and a bound.

`moontail load --bench` at full speed; limit 6 GiB, decision_wait 20 s; WORKERS (default 1). For each phase:
turns that took over 5 ms of CPU time in it, and the most that one has taken since the start (a turn's CPU
time is free of what others on the machine take; it is known within a millisecond). Beside it the longest turn
by the clock, which is not. A virtual CPU's time goes on while its host runs somebody else, as it does where
the journal fills the disk's queue: so another process does a tenth of a millisecond of arithmetic again and
again, and the most that this took of ITS CPU time is told beside. Ends with 1 if a turn took over MOST ms
(default 5) of CPU time, whatever the machine did.
"""
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time

from harness import PROGRAM, Collector, config, exporter

SECONDS = float(os.environ.get("DURATION", "10"))  # of a phase
MOST = float(os.environ.get("MOST", "5"))
ACK = os.environ.get("ACK", "memory")
WORKERS = int(os.environ.get("WORKERS", "1"))
POLICIES = """policies = { policy "status_code" { status_codes = { "ERROR" } },
  policy "latency" { threshold_ms = 500 }, policy "probabilistic" { sampling_percentage = 10 } }"""
MORE = 'memory_limiter = { limit = "6GiB", spike_limit = "512MiB" },'


def wait(collector, seconds):
    for _ in range(int(seconds * 4)):
        collector.pause(0.25)


def look(collector):
    for _ in range(20):
        collector.scrape()
        collector.pause(SECONDS / 40)


def reload(collector):
    for _ in range(10):
        collector.signal(signal.SIGHUP)
        collector.pause(SECONDS / 10)


def do_arithmetic(longest):
    while True:
        began = time.thread_time()
        sum(range(3000))
        longest.value = max(longest.value, (time.thread_time() - began) * 1e3)
        time.sleep(0.0005)


def main():
    before, worst = 0, 0
    machine = multiprocessing.Value("d", 0)
    multiprocessing.Process(target=do_arithmetic, args=(machine,), daemon=True).start()

    def tell(phase):
        nonlocal before, worst
        metrics = collector.scrape()
        busy = metrics.total("moontail_worker_busy_turns_total")
        worst = metrics.total("moontail_worker_loop_cpu_max_seconds") * 1e3
        print(json.dumps({
            "phase": phase, "traces": int(metrics.total("moontail_pending_traces")),
            "spans": int(metrics.total("moontail_received_spans_total")),
            "turns over 5 ms of CPU": int(busy - before), "most CPU ms so far": round(worst, 1),
            "longest by the clock ms": round(metrics.total("moontail_worker_loop_max_seconds") * 1e3, 1),
            "arithmetic CPU ms so far": round(machine.value, 1)}),
            flush=True)
        before = busy

    with tempfile.TemporaryDirectory(dir=os.environ.get("FOLDER")) as folder:
        collector = Collector(folder, config(exporter("nop"), tail=POLICIES, wait="20s", workers=WORKERS, more=MORE,
                                             journal=f'ack = "{ACK}", max_size = "12GiB", min_free = "1%"'))
        load = subprocess.Popen(
            [PROGRAM, "load", "--bench", "--json", "--endpoint", f"http://{collector.http}", "--protocol",
             "http/protobuf", "--traces", str(1 << 40), "--rate", "0", "--connections", "8", "--duration",
             "10m"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            for phase, act in (("growing", lambda c: wait(c, 22)), ("full load", lambda c: wait(c, SECONDS)),
                               ("scrapes", look), ("reloads", reload)):
                act(collector)
                tell(phase)
            load.send_signal(signal.SIGTERM)
            load.communicate()
            wait(collector, 23)
            tell("all decided, memory given back")
            collector.stop()
        finally:
            load.kill()
            collector.kill()
    sys.exit(0 if worst <= MOST else
             f"a turn took {worst:.1f} ms; arithmetic of 0.1 ms took up to {machine.value:.1f} beside it")


if __name__ == "__main__":
    main()
