"""Scripts that never end, ROUNDS (1000) times each: as functions, policies, processors and
exporters. Each call is ended within three budgets, and nothing is left behind. Then the scripts
that the program carries, on ten times as many traces, compiled and not; and how long others wait
for each script in a running program."""
import os
import subprocess
import sys
import tempfile

from hostile_campaign import longest_delay, scripts

ROUNDS = os.environ.get("ROUNDS", "1000")
TESTS = os.path.join(os.path.dirname(__file__), "..", "..", "build", "tests")

PROGRAMS = {"lua_test_budget": ROUNDS, "policy_test_hostile": ROUNDS, "export_test_lua": ROUNDS,
            "policy_test_shipped": f"{ROUNDS}0"}

failed = [name for name, count in PROGRAMS.items()
          if subprocess.run([os.path.join(TESTS, name), count], stderr=subprocess.DEVNULL,
                            check=False).returncode]
with tempfile.TemporaryDirectory() as folder:
    for number, (name, body) in enumerate(scripts().items()):
        delay = longest_delay(body, os.path.join(folder, str(number)))
        print(f"  {name:28} others wait {delay:.2f} s at most", flush=True)
        if delay >= 1:
            failed.append(name)
sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
