"""The well-behaved callables around a harmful one. Workers import this: standard library only.

Each is called with a number.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time

# Neighbours


def square(x: int) -> int:
    """Return the square."""
    return x * x


def slow_square(x: int) -> int:
    """Return the square, slowly enough to be hit by what a harmful callable has left behind."""
    time.sleep(0.005)
    return x * x


def square_unless_changed(x: int) -> int:
    """Return the square; fail in a process whose state a callable has changed."""
    time.sleep(0.005)
    umask = os.umask(0o077)
    os.umask(umask)
    changes = {
        "the folder": os.getcwd() == "/",
        "the environment": "HAZARD" in os.environ or "PATH" not in os.environ,
        "the umask": umask == 0o777,
        "a handler": signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN,
        "the recursion limit": sys.getrecursionlimit() == 4321,
        "a resource limit": resource.getrlimit(resource.RLIMIT_CPU)[0] == 7777,
        "a timer": signal.getitimer(signal.ITIMER_PROF) != (0.0, 0.0),
    }
    found = [name for name, changed in changes.items() if changed]
    if found:
        raise AssertionError(f"found changed: {', '.join(found)}")
    return x * x
