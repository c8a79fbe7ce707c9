"""Lower bounds for any pool of processes: a message, a pickle, and the sleep of its workers."""

from __future__ import annotations

import os
import pickle
import statistics
import time
from collections.abc import Callable

import cloudpickle
from attrs import frozen

from benchmarks.timed_callables import noop

__all__ = ["LowerBounds", "measure_lower_bounds"]

_MESSAGE = b"8 bytes."

_SLEEPERS = 64
_ASLEEP_S = 0.01


@frozen
class LowerBounds:
    """Medians, in microseconds of wall time.

    `round_trip_us` is for a few bytes to another process and back through two
    bare pipes, both sides asleep while they wait. `pickle_us` is for pickling a
    no-op by cloudpickle, and loading it again, in one process.

    `asleep` is the share of the time for which 64 processes sleep that just sleep
    60 x 10 ms without any messages: the ceiling for 64 busy lanes.
    """

    round_trip_us: float
    pickle_us: float
    asleep: float


def measure_lower_bounds(times: int, naps: int) -> LowerBounds:
    """Measure each bound `times` times. Call it before any thread is started: it forks."""
    asleep = statistics.median(_asleep_share(naps) for _ in range(5))
    return LowerBounds(
        round(_round_trip_us(times), 3), round(_pickle_us(times), 3), round(asleep, 4)
    )


def _asleep_share(naps: int) -> float:
    start_out, start_in = os.pipe()
    done_out, done_in = os.pipe()
    end_out, end_in = os.pipe()
    sleepers = []
    for _ in range(_SLEEPERS):
        sleeper = os.fork()
        if sleeper == 0:
            try:
                os.close(start_in)
                os.close(end_in)
                time.sleep(_ASLEEP_S)  # the first one, after a fork, takes longer
                os.write(done_in, b"!")
                os.read(start_out, 1)  # until its other end is closed
                for _ in range(naps):
                    time.sleep(_ASLEEP_S)
                os.write(done_in, b"!")
                os.read(end_out, 1)  # exiting would take CPU time from those that sleep
            finally:
                os._exit(0)
        sleepers.append(sleeper)
    _read_all(done_out, _SLEEPERS)
    begun_at = time.perf_counter()
    os.close(start_in)
    _read_all(done_out, _SLEEPERS)
    seconds = time.perf_counter() - begun_at
    os.close(end_in)
    for sleeper in sleepers:
        os.waitpid(sleeper, 0)
    for end in (start_out, done_out, done_in, end_out):
        os.close(end)
    return naps * _ASLEEP_S / seconds


def _read_all(descriptor: int, size: int) -> None:
    while size:
        size -= len(os.read(descriptor, size))


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
            # In any case: only the parent may run the code after this.
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


def _median_us(action: Callable[[], object], times: int) -> float:
    taken_ns = []
    for _ in range(times):
        begun_at = time.perf_counter_ns()
        action()
        taken_ns.append(time.perf_counter_ns() - begun_at)
    return statistics.median(taken_ns) / 1e3
