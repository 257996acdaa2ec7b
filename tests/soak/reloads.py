"""ROUNDS reloads (default 1000) under load, a third of them broken. FOLDER: on the disk to test."""
import os
import sys
import tempfile

from reload_campaign import Campaign


def main():
    rounds = int(os.environ.get("ROUNDS", "1000"))
    print(f"ROUNDS={rounds}", flush=True)
    with tempfile.TemporaryDirectory(dir=os.environ.get("FOLDER")) as folder:
        campaign = Campaign(folder)
        try:
            print(campaign.run(rounds), flush=True)
        except AssertionError as e:
            print(f"FAILED: {e}\n{campaign.collector.output()[-4000:]}", flush=True)
            sys.exit(1)
        finally:
            campaign.close()


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main()
