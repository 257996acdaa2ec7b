"""The journal's campaigns on a disk in memory, under ASan and UBSan: crash states, damaged files, failing calls and
allocations.

STATES (10000, a fourth of each kind), MUTATIONS (5000), RUNS (1000), SEED (1): each program prints how to replay what
it found. Ends with a line for each.
"""
import os
import subprocess
import sys
import time

SEED = os.environ.get("SEED", "1")
CAMPAIGNS = [
    ("crash_states", int(os.environ.get("STATES", "10000")) // 8),  # each state is recovered, and ended again
    ("corruption", int(os.environ.get("MUTATIONS", "5000"))),
    ("journal_faults", int(os.environ.get("RUNS", "1000"))),
    ("no_memory", 0),
]


def run(name, count):
    """What it printed last, and whether all of it passed."""
    program = [f"build/asan/tests/journal_test_{name}"] + ([str(count), SEED] if count else [])
    print(" ".join(program), flush=True)
    began = time.monotonic()
    done = subprocess.run(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    lines = done.stdout.splitlines()
    if done.returncode != 0:
        print(done.stdout, flush=True)
    said = "; ".join(lines[-2:] if count else lines[-1:])
    return f"{name}: {said}; {time.monotonic() - began:.0f} s", done.returncode == 0


def main():
    subprocess.run(["tools/build", "asan", "unit_tests"], check=True)
    results = [run(name, count) for name, count in CAMPAIGNS]
    for line, passed in results:
        print(line if passed else f"FAILED {line}")
    sys.exit(not all(passed for _, passed in results))


if __name__ == "__main__":
    main()
