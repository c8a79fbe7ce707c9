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
    """A function of its own that gives `number`, and that plain pickle cannot pickle."""

    def captured(_given: object) -> int:
        return number

    return captured


def nap(seconds: float, _given: object = None, /) -> None:
    """Sleep."""
    time.sleep(seconds)


def process_after(seconds: float, _given: object = None, /) -> int:
    """Sleep; gives the id of the process that did."""
    time.sleep(seconds)
    return os.getpid()


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


def array(count: int, _given: object = None, /) -> Any:
    """A NumPy array of so many numbers, of 8 bytes each: zeros, but for `marks`.

    As with `blob`, next to nothing is spent on filling it, or the figures would
    be about that.
    """
    import numpy as np

    numbers = np.zeros(count)
    for index in marks(count):
        numbers[index] = index + 1
    return numbers


def marks(count: int) -> list[int]:
    """The places of such an array by which it can be known: both ends, and the middle."""
    return [0, count // 2, count - 1]


def matrix_product(size: int, _given: object = None, /) -> float:
    """Multiply two square NumPy matrices of so many rows; gives one element of the product."""
    import numpy as np

    ones = np.ones((size, size))
    return float((ones @ ones)[0, 0])


class _Worker:
    """What a task leaves in its process for a later one."""

    profile: Profile | None = None


def begin_profile(_given: object = None, /) -> None:
    """Profile what this process does from now on."""
    from cProfile import Profile

    _Worker.profile = Profile()
    _Worker.profile.enable()


def end_profile(_given: object = None, /) -> dict[tuple[str, int, str], tuple[Any, ...]]:
    """What this process has done since `begin_profile`, in the format of `pstats`."""
    assert _Worker.profile is not None
    _Worker.profile.create_stats()
    return _Worker.profile.stats
