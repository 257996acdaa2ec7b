import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "system"))

from fixtures import backend, backends, start  # noqa: E402,F401
