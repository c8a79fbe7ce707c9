"""The callables that are timed. All can be imported by name, for peers that spawn.

This module imports nothing heavy, which would slow down the start of workers.

Each function ignores its second argument: enact_pool calls every callable with the
run's input, also those that need none.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cProfile import Profile

__all__ = [
    "array",
    "array_sum",
    "begin_profile",
    "blob",
    "closure",
    "end_profile",
    "marks",
    "matrix_product",
    "nap",
    "noop",
    "process_after",
    "spin",
    "spin_or_segfault",
    "sum_of_shared",
]


def noop(_given: object = None, /) -> None:
    """Do nothing."""


def closure(number: int) -> Callable[[object], int]:
    """Return a new function that returns `number`, and that plain pickle cannot pickle."""

    def captured(_given: object) -> int:
        return number

    return captured


def nap(seconds: float, _given: object = None, /) -> None:
    """Sleep."""
    time.sleep(seconds)


def process_after(seconds: float, _given: object = None, /) -> int:
    """Sleep, and return the process id."""
    time.sleep(seconds)
    return os.getpid()


def spin(seconds: float, _given: object = None, /) -> None:
    """Keep a CPU busy for some seconds of wall time.

    Not of the thread's CPU time: the callable would take longer whenever other processes
    use the machine, and the figures would measure them. The price is that a contender is
    not charged for CPU time that its own caller takes away from its workers.
    """
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def spin_or_segfault(seconds: float, _given: object = None, /) -> None:
    """Spin; die of SIGSEGV if `seconds` is negative."""
    if seconds < 0:
        # Write neither a core file nor a stack to the terminal, as loky's workers would.
        # enact_pool's workers write theirs elsewhere.
        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, most))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.kill(os.getpid(), signal.SIGSEGV)
    spin(seconds)


def array_sum(array: Any, _given: object = None, /) -> float:
    """Return the sum of a NumPy array."""
    return float(array.sum())


def sum_of_shared(array: Any, _number: int, /) -> float:
    """Return the sum, with the argument order of mpire's shared objects."""
    return array_sum(array)


def blob(size: int, _given: object = None, /) -> bytes:
    """Return `size` bytes."""
    return bytes(size)


def array(count: int, _given: object = None, /) -> Any:
    """Return a NumPy array of `count` numbers of 8 bytes: zeros, except at `marks`.

    As with `blob`, filling it takes almost no time, which the figures would include.
    """
    import numpy as np

    numbers = np.zeros(count)
    for index in marks(count):
        numbers[index] = index + 1
    return numbers


def marks(count: int) -> list[int]:
    """Return the indexes by which such an array is recognized: both ends, and the middle."""
    return [0, count // 2, count - 1]


def matrix_product(size: int, _given: object = None, /) -> float:
    """Multiply two square NumPy matrices of `size` rows; return one element of the product."""
    import numpy as np

    ones = np.ones((size, size))
    return float((ones @ ones)[0, 0])


class _Worker:
    """State that one callable leaves in its process for a later one."""

    profile: Profile | None = None


def begin_profile(_given: object = None, /) -> None:
    """Start to profile this process."""
    from cProfile import Profile

    _Worker.profile = Profile()
    _Worker.profile.enable()


def end_profile(_given: object = None, /) -> dict[tuple[str, int, str], tuple[Any, ...]]:
    """Stop profiling, and return the profile in the format of `pstats`."""
    assert _Worker.profile is not None
    _Worker.profile.create_stats()
    return _Worker.profile.stats
