"""The workloads, one per row: their tasks, and the expected values."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

from attrs import field, frozen

from benchmarks import timed_callables as timed
from benchmarks.table import spaced

__all__ = ["Load", "Workload", "workloads"]


@frozen
class Load:
    """The tasks of one run: `functions[i](arguments[i])` must return `expected[i]`.

    All have the same argument if `one_argument`, otherwise all are the same function.
    `is_right(value, expected)` returns whether a value is the expected one.
    `timeout_s` is None if no task dies; otherwise a contender counts as hanging after
    so many seconds.
    """

    functions: list[Callable[[Any], Any]]
    arguments: list[Any]
    expected: list[Any]
    one_argument: bool = False
    timeout_s: float | None = None
    is_right: Callable[[Any, Any], bool] = operator.eq

    def calls(self) -> Iterator[tuple[Callable[[Any], Any], Any]]:
        """Iterate over the functions, each with its argument."""
        return zip(self.functions, self.arguments, strict=True)


@frozen
class Workload:
    """One row. `build(n)` makes its first n tasks, on new inputs.

    `deaths` is how many of its tasks kill their worker. `calls` is how many runs of a
    repeat are timed one by one; their median counts. `most_repeats` limits the repeats
    of a slow workload. `needs` is a module that the workload requires. `workers` is
    the number of workers of each contender; None for the measurement's number.
    `asleep_s` is how long each task sleeps, if that is all it does.
    """

    name: str
    title: str
    tasks: int
    build: Callable[[int], Load] = field(repr=False)
    deaths: int = 0
    calls: int = 1
    most_repeats: int | None = None
    closures: bool = False
    needs: str = ""
    workers: int | None = None
    asleep_s: float = 0.0

    @property
    def is_feasible(self) -> bool:
        """Whether the module that the workload needs is installed."""
        return not self.needs or find_spec(self.needs) is not None


def workloads(quick: bool) -> list[Workload]:
    """Return all rows; with `quick`, in a size for continuous integration."""

    def size(full: int, small: int) -> int:
        return small if quick else full

    return [
        _noops("noops-1", 1, size(300, 20)),
        _noops("noops-4", 4, size(300, 20)),
        _noops("noops-10000", size(10_000, 1_000)),
        _closures(size(10_000, 500)),
        _noops("noops-200000", size(200_000, 2_000), most_repeats=3),
        _spins("spins-1ms", size(2_000, 100), 0.001),
        _spins("spins-10ms", size(200, 20), 0.010),
        _skewed(size(301, 31), 0.06 if quick else 0.3),
        _array_sums(size(16, 4), size(100, 10)),
        _blobs("bytes-returned", size(32, 8), size(20_000_000, 2_000_000)),
        _blobs("bytes-100kB", size(2_000, 100), 100_000),
        _arrays(size(32, 8), size(20, 2)),
        _deaths("segfaults-10", size(500, 60), 0.005, size(10, 2)),
        _deaths("segfaults-1", size(100, 40), 0.010, 1),
        _sleeps("lanes-64", size(3_840, 160), size(64, 8), 0.010),
    ]


def _noops(name: str, count: int, calls: int = 1, most_repeats: int | None = None) -> Workload:
    def build(count: int) -> Load:
        nothing = [None] * count
        return Load([timed.noop] * count, nothing, nothing, one_argument=True)

    plural = "" if count == 1 else "s"
    title = f"{spaced(count)} no-op{plural}" + (", latency" if calls > 1 else ", same function")
    return Workload(name, title, count, build, calls=calls, most_repeats=most_repeats)


def _closures(count: int) -> Workload:
    def build(count: int) -> Load:
        return Load(
            [timed.closure(number) for number in range(count)],
            [None] * count,
            list(range(count)),
            one_argument=True,
        )

    title = f"{spaced(count)} no-ops, distinct closures"
    return Workload("closures-10000", title, count, build, closures=True)


def _spins(name: str, count: int, seconds: float) -> Workload:
    def build(count: int) -> Load:
        return Load([timed.spin] * count, [seconds] * count, [None] * count, one_argument=True)

    return Workload(name, f"{spaced(count)} x {seconds * 1e3:.0f} ms busy", count, build)


def _skewed(count: int, longest_s: float) -> Workload:
    # A fixed seed: the tail of a row depends on where its long tasks are.
    draw = random.Random(301)
    seconds = [draw.lognormvariate(-5.4, 1.0) for _ in range(count - 1)]
    seconds.append(longest_s)

    def build(count: int) -> Load:
        return Load([timed.spin] * count, seconds[:count], [None] * count)

    most, last = f"{sum(seconds) * 1e3:.0f} ms in all", f"{longest_s * 1e3:.0f} ms the last"
    title = f"{count} skewed (log-normal, {most}, {last})"
    return Workload("skewed", title, count, build)


def _array_sums(count: int, megabytes: int) -> Workload:
    numbers = megabytes * 1_000_000 // 8

    def build(count: int) -> Load:
        import numpy as np

        # A new array for every run: joblib remembers which arrays it has written.
        array = np.ones(numbers)
        sums = [float(numbers)] * count
        return Load([timed.array_sum] * count, [array] * count, sums, one_argument=True)

    title = f"{count} x sum of a {megabytes} MB array input"
    return Workload("array-input", title, count, build, needs="numpy")


def _blobs(name: str, count: int, size: int) -> Workload:
    def build(count: int) -> Load:
        blobs = [timed.blob(size)] * count
        return Load([timed.blob] * count, [size] * count, blobs, one_argument=True)

    much = f"{size // 1_000_000} MB" if size >= 1_000_000 else f"{size // 1_000} kB"
    return Workload(name, f"{spaced(count)} x {much} bytes returned", count, build)


def _arrays(count: int, megabytes: int) -> Workload:
    numbers = megabytes * 1_000_000 // 8

    def build(count: int) -> Load:
        sizes = [numbers] * count
        return Load([timed.array] * count, sizes, sizes, one_argument=True, is_right=_has_marks)

    title = f"{count} x {megabytes} MB arrays returned"
    return Workload("arrays-returned", title, count, build, needs="numpy")


def _has_marks(array: Any, size: int) -> bool:
    """Return whether a few numbers of the array are those of `timed.array(size)`."""
    return array.shape == (size,) and all(array[at] == at + 1 for at in timed.marks(size))


def _sleeps(name: str, count: int, workers: int, seconds: float) -> Workload:
    def build(count: int) -> Load:
        return Load([timed.nap] * count, [seconds] * count, [None] * count, one_argument=True)

    title = f"{spaced(count)} x {seconds * 1e3:.0f} ms asleep, {workers} workers"
    return Workload(name, title, count, build, workers=workers, asleep_s=seconds)


def _deaths(name: str, count: int, seconds: float, deaths: int) -> Workload:
    # In the middle of each of `deaths` equal shares.
    doomed = {(2 * death + 1) * count // (2 * deaths) for death in range(deaths)}

    def build(count: int) -> Load:
        times = [-1.0 if index in doomed else seconds for index in range(count)]
        # Enough for one worker alone, and to replace the others.
        timeout_s = count * seconds + 1.0
        return Load([timed.spin_or_segfault] * count, times, [None] * count, timeout_s=timeout_s)

    which = f"the {min(doomed) + 1}st segfaults" if deaths == 1 else f"{deaths} of them segfault"
    return Workload(name, f"{count} x {seconds * 1e3:.0f} ms, {which}", count, build, deaths=deaths)
