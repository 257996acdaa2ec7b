"""Scripts that never end, ROUNDS (1000) times each: as functions, policies, processors and
exporters. Each call is ended within three budgets, and nothing is left behind."""
import os
import subprocess
import sys

ROUNDS = os.environ.get("ROUNDS", "1000")
TESTS = os.path.join(os.path.dirname(__file__), "..", "..", "build", "tests")

failed = [name for name in ("lua_test_budget", "policy_test_hostile", "export_test_lua")
          if subprocess.run([os.path.join(TESTS, name), ROUNDS], stderr=subprocess.DEVNULL,
                            check=False).returncode]
sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
