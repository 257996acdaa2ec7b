"""The journal's campaigns on a disk in memory, under ASan and UBSan: crash states, damaged files, failing calls.

STATES (10000, a fourth of each kind), MUTATIONS (5000), RUNS (1000), SEED (1): each program prints how to replay what
it found.
"""
import os
import subprocess
import sys

SEED = os.environ.get("SEED", "1")
CAMPAIGNS = [
    ("crash_states", int(os.environ.get("STATES", "10000")) // 8),  # each state is recovered, and ended again
    ("corruption", int(os.environ.get("MUTATIONS", "5000"))),
    ("journal_faults", int(os.environ.get("RUNS", "1000"))),
]


def main():
    subprocess.run(["tools/build", "asan", "unit_tests"], check=True)
    failed = 0
    for name, count in CAMPAIGNS:
        print(f"{name} {count} {SEED}", flush=True)
        program = [f"build/asan/tests/journal_test_{name}", str(count), SEED]
        failed |= subprocess.run(program, stderr=subprocess.DEVNULL).returncode != 0
    sys.exit(failed)


if __name__ == "__main__":
    main()
