"""What no pool of processes can do without: a message there and back, and a pickle."""

from __future__ import annotations

import os
import pickle
import statistics
import time
from collections.abc import Callable

import cloudpickle
from attrs import frozen

from benchmarks.tasks import noop

__all__ = ["Limits", "measured_limits"]

_MESSAGE = b"8 bytes."


@frozen
class Limits:
    """Medians, in microseconds of wall time.

    `round_trip_us` is for a few bytes to another process and back through two
    bare pipes, both sides asleep while they wait. `pickle_us` is for pickling a
    no-op by cloudpickle, and loading it again, in one process.
    """

    round_trip_us: float
    pickle_us: float


def measured_limits(times: int) -> Limits:
    """Each so many times. Call it before any thread is started: it forks."""
    return Limits(round(_round_trip_us(times), 3), round(_pickle_us(times), 3))


def _round_trip_us(times: int) -> float:
    there_out, there_in = os.pipe()
    back_out, back_in = os.pipe()
    echo = os.fork()
    if echo == 0:
        try:
            os.close(there_in)
            while message := os.read(there_out, len(_MESSAGE)):
                os.write(back_in, message)
        finally:
            # Whatever happens: what comes next is for the parent alone.
            os._exit(0)

    def trip() -> None:
        os.write(there_in, _MESSAGE)
        os.read(back_out, len(_MESSAGE))

    try:
        return _median_us(trip, times)
    finally:
        os.close(there_in)
        os.waitpid(echo, 0)
        for end in (there_out, back_out, back_in):
            os.close(end)


def _pickle_us(times: int) -> float:
    return _median_us(lambda: pickle.loads(cloudpickle.dumps(noop)), times)


def _median_us(deed: Callable[[], object], times: int) -> float:
    taken_ns = []
    for _ in range(times):
        begun_at = time.perf_counter_ns()
        deed()
        taken_ns.append(time.perf_counter_ns() - begun_at)
    return statistics.median(taken_ns) / 1e3
