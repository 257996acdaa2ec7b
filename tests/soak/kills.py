"""ROUNDS kills (default 200) under load: half at written with other workers and exporters at each
start, a quarter each at fsync and at written with one configuration. FOLDER: on the disk to test.
"""
import os
import random
import sys
import tempfile

from kill_campaign import Campaign

ROUNDS = int(os.environ.get("ROUNDS", "200"))
SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))


def run(rounds, seed, ack, mixed):
    with tempfile.TemporaryDirectory(dir=os.environ.get("FOLDER")) as folder:
        campaign = Campaign(folder, seed, ack, mixed)
        try:
            campaign.run(rounds)
        finally:
            campaign.close()


def main():
    print(f"SEED={SEED} ROUNDS={ROUNDS}", flush=True)
    failed = False
    for part, ack, mixed in ((2, "written", True), (4, "fsync", True), (4, "written", False)):
        try:
            run(max(ROUNDS // part, 1), SEED + part, ack, mixed)
        except AssertionError as e:
            print(f"FAILED: {e}", flush=True)
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main()
