"""How many processor cores this process may use."""

import os
import sys


def cores() -> int:
    """Return their number; a scheduler may allow fewer than the machine has."""
    allowed = os.sched_getaffinity(0) if sys.platform == "linux" else range(os.cpu_count() or 1)
    return len(allowed)
