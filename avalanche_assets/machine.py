"""What the machine gives this process."""

import os


def usable_cores() -> int:
    """Cores this process may run on: those it is bound to, where the system tells, else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
