"""What the workers run. All of it can be imported by name, for peers that spawn.

Nothing heavy is imported here, so that no peer's start is slowed down by it.

Each function ignores what it is given after its first argument: enact_pool
calls every callable with the run's input, also those that need none.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from typing import Any

__all__ = [
    "array_sum",
    "blob",
    "closure",
    "nap",
    "noop",
    "spin",
    "spin_or_segfault",
    "sum_of_shared",
]


def noop(_given: object = None, /) -> None:
    """Do nothing."""


def closure(number: int) -> Callable[[object], int]:
    """A function of its own that gives `number`, and that plain pickle cannot pickle."""

    def captured(_given: object) -> int:
        return number

    return captured


def nap(seconds: float, _given: object = None, /) -> None:
    """Sleep."""
    time.sleep(seconds)


def spin(seconds: float, _given: object = None, /) -> None:
    """Keep a CPU busy for so long by the wall clock.

    Not by the thread's CPU time: the work would take longer whenever somebody
    else uses the machine, and the figures would be about them. The price is
    that a contender is not charged for CPU time that its own caller takes away
    from its workers.
    """
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def spin_or_segfault(seconds: float, _given: object = None, /) -> None:
    """Spin; if `seconds` is negative, die of SIGSEGV."""
    if seconds < 0:
        # Neither a core file nor a stack on the terminal, whoever asked for
        # them: loky's workers do. enact_pool's write theirs elsewhere.
        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, most))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.kill(os.getpid(), signal.SIGSEGV)
    spin(seconds)


def array_sum(array: Any, _given: object = None, /) -> float:
    """The sum of a NumPy array."""
    return float(array.sum())


def sum_of_shared(array: Any, _number: int, /) -> float:
    """The same, in the argument order of mpire's shared objects."""
    return array_sum(array)


def blob(size: int, _given: object = None, /) -> bytes:
    """So many bytes."""
    return bytes(size)
