"""The measurement of how the cost per callable grows with the number of callables and lanes."""

from __future__ import annotations

import gc
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import repeat
from typing import Any

from attrs import frozen

from benchmarks import timed_callables as timed
from benchmarks.lower_bounds import LowerBounds, measure_lower_bounds
from benchmarks.record import machine, today
from enact_pool import EventEmitter, Pool, iter_parallel

__all__ = ["Cost", "ScalingRecord", "Occupation", "Peak", "measure_scaling", "print_peak"]

# Each number of callables is run repeatedly for so many seconds in all.
_MEASURED_S = 1.0
_QUICKLY_MEASURED_S = 0.1
_MOST_RUNS = 200
_LANE_RUNS = 3

# After how many streamed results the events are drained.
_DRAINED_EVERY = 1_000

# Long enough that every worker gets a callable; and how often to try.
_WARM_UP_S = 0.05
_WARM_UP_ROUNDS = 200

_ASLEEP_S = 0.010
_PEAK_TIMEOUT_S = 300.0
# The unit of `ru_maxrss`, in bytes.
_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024


@frozen
class Cost:
    """The median wall time per no-op, in microseconds, of `runs` runs of `callables` no-ops."""

    way: str
    callables: int
    us: float
    runs: int


@frozen
class Occupation:
    """How busy lanes are with callables that sleep.

    `wall_ms` is the median for all callables, `busy` the share of it for which
    a lane slept on average, `cpu_us` the CPU time of the parent per callable.
    """

    lanes: int
    callables: int
    asleep_ms: float
    wall_ms: float
    busy: float
    cpu_us: float


@frozen
class Peak:
    """The parent's largest resident size, in MB, after `callables` were streamed."""

    callables: int
    megabytes: float


@frozen
class ScalingRecord:
    """One run of these measurements. `workers` is the number for the no-ops."""

    date: str
    quick: bool
    workers: int
    machine: dict[str, Any]
    lower_bounds: LowerBounds
    peaks: list[Peak]
    costs: list[Cost]
    occupations: list[Occupation]


def measure_scaling(quick: bool, workers: int, say: Callable[[str], None]) -> ScalingRecord:
    """Measure everything; if quick, in sizes small sizes."""
    # The order matters: the lower bounds fork, and memory that this process has used
    # counts for the peaks of its children.
    say("lower bounds")
    lower_bounds = measure_lower_bounds(200 if quick else 5_000, naps=6 if quick else 60)
    peaks = [_peak(workers, count, say) for count in ([100, 10_000] if quick else [10_000, 10**6])]
    costs = _costs(quick, workers, say)
    occupations = [
        _occupation(lanes, 10 if quick else 60, say)
        for lanes in ([1, 2, 8] if quick else [1, 2, 4, 8, 16, 32, 64])
    ]
    return ScalingRecord(
        today(), quick, workers, machine(), lower_bounds, peaks, costs, occupations
    )


# Peaks


def _peak(workers: int, count: int, say: Callable[[str], None]) -> Peak:
    say(f"peak memory: {count} callables")
    program = (
        f"from benchmarks.scaling_measurement import print_peak\nprint_peak({workers}, {count})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=_PEAK_TIMEOUT_S,
    )
    return Peak(count, float(done.stdout))


def print_peak(workers: int, count: int) -> None:
    """Stream `count` callables, and print the peak of this process's resident size, in MB."""
    with Pool(workers) as pool:
        _stream(pool, count)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _PEAK_UNIT
    print(round(peak / 1e6, 1))


# Costs


def _stream(pool: Pool, count: int) -> None:
    """Run `count` no-ops, and keep none of their results."""
    emitter = EventEmitter()
    done = 0
    for result in iter_parallel(repeat(timed.noop, count), None, emitter, pool=pool):
        done += result.output.is_ok
        if done % _DRAINED_EVERY == 0:
            list(emitter.drain())  # creates the events
    list(emitter.drain())  # creates the events
    _check(done, count)


def _gather(pool: Pool, count: int) -> None:
    """Run `count` no-ops, with all results in a list."""
    emitter = EventEmitter()
    results = pool.run_parallel([timed.noop] * count, None, emitter)
    list(emitter.drain())  # creates the events
    _check(sum(result.output.is_ok for result in results), count)


def _check(done: int, count: int) -> None:
    if done != count:
        raise AssertionError(f"{done} of {count} no-ops were done")


def _costs(quick: bool, workers: int, say: Callable[[str], None]) -> list[Cost]:
    powers = [10**power for power in range(2, 5 if quick else 7)]
    # Not a list of a million results, which would measure memory.
    gathered = powers if quick else [*powers[:-1], 200_000]
    costs = []
    with Pool(workers) as pool:
        _warm_up(pool)
        for way, run, counts in [
            ("run_parallel", _gather, gathered),
            ("iter_parallel", _stream, powers),
        ]:
            for count in counts:
                say(f"{way}: {count} callables")
                taken = _taken_s(run, pool, count, _QUICKLY_MEASURED_S if quick else _MEASURED_S)
                us = statistics.median(taken) / count * 1e6
                costs.append(Cost(way, count, round(us, 3), len(taken)))
    return costs


def _taken_s(
    run: Callable[[Pool, int], None], pool: Pool, count: int, seconds: float
) -> list[float]:
    """Run repeatedly for `seconds` in all; return the seconds of each run."""
    taken: list[float] = []
    while sum(taken) < seconds and len(taken) < _MOST_RUNS:
        gc.collect()
        begun_at = time.perf_counter()
        run(pool, count)
        taken.append(time.perf_counter() - begun_at)
    return taken


def _warm_up(pool: Pool) -> None:
    """Run callables until every worker has run one."""
    naps = [timed.process_after] * (2 * pool.max_workers)
    seen: set[int] = set()
    for _ in range(_WARM_UP_ROUNDS):
        seen.update(result.output.unwrap() for result in pool.run_parallel(naps, _WARM_UP_S))
        if len(seen) >= pool.max_workers:
            return
    raise AssertionError(f"{len(seen)} of {pool.max_workers} workers have started")


# Occupations


def _occupation(lanes: int, callables_each: int, say: Callable[[str], None]) -> Occupation:
    say(f"{lanes} lanes")
    count = lanes * callables_each
    naps = [timed.nap] * count
    wall_s: list[float] = []
    cpu_s: list[float] = []
    emitter = EventEmitter()
    with Pool(lanes) as pool:
        _warm_up(pool)
        for _ in range(_LANE_RUNS):
            spent_before, begun_at = time.process_time(), time.perf_counter()
            results = pool.run_parallel(naps, _ASLEEP_S, emitter)
            list(emitter.drain())  # creates the events
            wall_s.append(time.perf_counter() - begun_at)
            cpu_s.append(time.process_time() - spent_before)
            _check(sum(result.output.is_ok for result in results), count)
    wall = statistics.median(wall_s)
    return Occupation(
        lanes,
        count,
        asleep_ms=_ASLEEP_S * 1e3,
        wall_ms=round(wall * 1e3, 3),
        busy=round(count * _ASLEEP_S / (lanes * wall), 4),
        cpu_us=round(statistics.median(cpu_s) / count * 1e6, 3),
    )
