"""`python -m benchmarks.executors`: `PoolExecutor` beside other executors.

All contenders are created, warmed up and timed in this process, taking turns in a new
order for each repeat; only ratios within one run count. The memory of queued calls is
what `tracemalloc` finds, once per contender.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import ExitStack
from multiprocessing import get_context
from typing import Any

from attrs import frozen
from loky.process_executor import ProcessPoolExecutor as LokyExecutor
from pebble import ProcessPool

from benchmarks import timed_callables as timed
from benchmarks.table import Table, figures, spaced
from enact_pool import PoolExecutor

_OURS = "enact_pool"


class _Pebble:
    """pebble's pool, with as much of the executor interface as this program needs."""

    def __init__(self, max_workers: int) -> None:
        self._pool: Any = ProcessPool(max_workers)

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._pool.schedule(function, args=args)

    def map(self, function: Callable[..., Any], items: Any, chunksize: int = 1) -> Any:
        return self._pool.map(function, items, chunksize=chunksize).result()

    def shutdown(self, wait: bool = True) -> None:
        self._pool.close()
        self._pool.join()


_CONTENDERS: dict[str, Callable[[int], Any]] = {
    "stdlib": lambda workers: ProcessPoolExecutor(workers, get_context("forkserver")),
    "loky": LokyExecutor,
    "pebble": _Pebble,
    _OURS: PoolExecutor,
}


def _submit(count: int) -> Callable[[Any], float]:
    def seconds(executor: Any) -> float:
        """Return the seconds until all calls were submitted and done."""
        begun_at = time.perf_counter()
        futures = [executor.submit(timed.noop) for _ in range(count)]
        wait(futures)
        taken = time.perf_counter() - begun_at
        assert all(future.result() is None for future in futures)
        return taken

    return seconds


def _submit_each_ms(count: int) -> Callable[[Any], float]:
    def seconds(executor: Any) -> float:
        begun_at = time.perf_counter()
        wait([executor.submit(timed.spin, 0.001) for _ in range(count)])
        return time.perf_counter() - begun_at

    return seconds


def _round_trips(count: int) -> Callable[[Any], float]:
    def seconds(executor: Any) -> float:
        """Return the median seconds of one call."""
        taken = []
        for _ in range(count):
            begun_at = time.perf_counter()
            executor.submit(timed.noop).result()
            taken.append(time.perf_counter() - begun_at)
        return statistics.median(taken)

    return seconds


def _map(count: int, chunksize: int) -> Callable[[Any], float]:
    def seconds(executor: Any) -> float:
        begun_at = time.perf_counter()
        assert sum(1 for _ in executor.map(timed.noop, range(count), chunksize=chunksize)) == count
        return time.perf_counter() - begun_at

    return seconds


@frozen
class _Row:
    name: str
    seconds: Callable[[Any], float]
    # Fewer for rows that take too long to be repeated.
    most_repeats: int = 100


def _rows(scale: int) -> list[_Row]:
    many, some = 10_000 // scale, 2_000 // scale
    return [
        _Row("submit().result() of a no-op, one after the other", _round_trips(some)),
        _Row(f"{spaced(many)} x submit of a no-op", _submit(many)),
        _Row(f"map over {spaced(many)}, chunksize=1", _map(many, 1)),
        _Row(f"map over {spaced(many)}, chunksize=100", _map(many, 100)),
        _Row(f"{spaced(some)} x submit of 1 ms", _submit_each_ms(some)),
        _Row(f"{spaced(10 * many)} x submit of a no-op", _submit(10 * many), 1),
    ]


def _times(workers: int, repeats: int, scale: int) -> list[Table]:
    rows = _rows(scale)
    taken: dict[tuple[str, str], list[float]] = {}
    choose = random.Random(1)
    with ExitStack() as stack:
        executors = {}
        for name, make in _CONTENDERS.items():
            executors[name] = executor = make(workers)
            stack.callback(executor.shutdown)
            wait([executor.submit(timed.noop) for _ in range(100)])
        for row in rows:
            for _ in range(min(repeats, row.most_repeats)):
                names = list(executors)
                choose.shuffle(names)
                for name in names:
                    taken.setdefault((row.name, name), []).append(row.seconds(executors[name]))
    return [_table_of_times(rows, taken), _table_of_ratios(rows, taken)]


def _table_of_times(rows: list[_Row], taken: dict[tuple[str, str], list[float]]) -> Table:
    lines = []
    for row in rows:
        cells = []
        for name in _CONTENDERS:
            times = [seconds * 1e3 for seconds in taken[row.name, name]]
            least, most = figures(min(times)), figures(max(times))
            cells.append(f"{figures(statistics.median(times))} ({least} to {most})")
        lines.append([row.name, *cells])
    return Table("Medians of wall time, least and most, ms", ["work", *_CONTENDERS], lines)


def _table_of_ratios(rows: list[_Row], taken: dict[tuple[str, str], list[float]]) -> Table:
    others = [name for name in _CONTENDERS if name != _OURS]
    lines = []
    for row in rows:
        ours = statistics.median(taken[row.name, _OURS])
        ratios = [ours / statistics.median(taken[row.name, name]) for name in others]
        lines.append([row.name, *map(figures, ratios)])
    return Table(f"{_OURS} / contender", ["work", *others], lines)


def _memory(workers: int, count: int) -> Table:
    """Measure the memory of calls that wait in this process while all workers are busy."""
    lines = []
    for name, make in _CONTENDERS.items():
        executor = make(workers)
        wait([executor.submit(timed.noop) for _ in range(100)])
        # All calls that are submitted during these seconds wait.
        busy = [executor.submit(timed.nap, 3.0) for _ in range(4 * workers)]
        tracemalloc.start()
        begun_at = time.perf_counter()
        futures = [executor.submit(timed.noop) for _ in range(count)]
        taken = time.perf_counter() - begun_at
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        for future in [*reversed(futures), *busy]:
            future.cancel()
        lines.append([name, figures(size / count), figures(taken / count * 1e6)])
        executor.shutdown(wait=True)
    return Table(
        f"{spaced(count)} calls that wait",
        ["contender", "bytes each", "us each to submit, traced"],
        lines,
    )


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.executors", description=__doc__)
    parser.add_argument("--workers", type=int, default=2, help="default: 2")
    parser.add_argument("--repeats", type=int, default=7, help="of most rows (default: 7)")
    parser.add_argument("--quick", action="store_true", help="small sizes, as a quick check")
    parser.add_argument("--markdown", action="store_true", help="the tables as markdown")
    options = parser.parse_args()
    if options.workers < 1 or options.repeats < 1:
        parser.error("--workers and --repeats must be at least 1")
    scale, repeats = (20, 2) if options.quick else (1, options.repeats)
    tables = _times(options.workers, repeats, scale)
    tables.append(_memory(options.workers, 100_000 // scale))
    print("\n\n".join(t.as_markdown() if options.markdown else t.as_text() for t in tables))
    return 0


if __name__ == "__main__":
    sys.exit(main())
