"""`python -m benchmarks.limit_cost`: what limits cost, and how late they are enforced.

The same callables run without limits, with a time limit, and with a time and a memory
limit, in turn, repeat by repeat; no callable exceeds a limit. Then callables that never
end are run, and the time from the end of their limit to the end of the call is measured.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import Any

from benchmarks import timed_callables as timed
from benchmarks.table import Table, figures
from enact_pool import Pool
from enact_pool._api.options import RunOptions

_LIMITS: dict[str, RunOptions] = {
    "none": {},
    "timeout": {"timeout": 60.0},
    "timeout and max_memory": {"timeout": 60.0, "max_memory": 1 << 40},
}
_TIMEOUT_S = 0.2


def _seconds(pool: Pool, functions: list[Any], input: object, limits: RunOptions) -> float:
    begun_at = time.perf_counter()
    results = pool.run_parallel(functions, input, **limits)
    seconds = time.perf_counter() - begun_at
    if not all(result.output.is_ok for result in results):
        raise AssertionError("a callable has failed")
    return seconds


def _cost(pool: Pool, count: int, each_s: float, repeats: int) -> Table:
    functions = [timed.spin if each_s else timed.noop] * count
    taken: dict[str, list[float]] = {name: [] for name in _LIMITS}
    for _ in range(repeats):
        for name, limits in _LIMITS.items():
            taken[name].append(_seconds(pool, functions, each_s, limits))
    medians = {name: statistics.median(times) for name, times in taken.items()}
    lines = [
        [name, figures(median * 1e3), figures(median / medians["none"])]
        for name, median in medians.items()
    ]
    title = f"{count} x {each_s * 1e3:g} ms" if each_s else f"{count} no-ops"
    return Table(title, ["limits", "median, ms", "ratio"], lines)


def _lateness(pool: Pool, times: int) -> Table:
    late_ms = []
    for _ in range(times):
        # Starts a worker.
        pool.run_parallel([timed.noop] * 4, None)
        begun_at = time.perf_counter()
        (result,) = pool.run_parallel([timed.spin], 3600.0, timeout=_TIMEOUT_S)
        late_ms.append((time.perf_counter() - begun_at - _TIMEOUT_S) * 1e3)
        if result.error is None or result.error.code != "timeout":
            raise AssertionError("a callable that never ends has ended")
    lines = [[figures(statistics.median(late_ms)), figures(max(late_ms))]]
    title = f"{times} callables that never end, limited to {_TIMEOUT_S:g} s: how late the call is"
    return Table(title, ["median, ms", "most, ms"], lines)


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limit_cost", description=__doc__)
    parser.add_argument("--workers", type=int, default=2, help="default: 2")
    parser.add_argument("--repeats", type=int, default=15, help="of each row (default: 15)")
    parser.add_argument("--quick", action="store_true", help="small sizes, as a quick check")
    options = parser.parse_args()
    if options.workers < 1 or options.repeats < 1:
        parser.error("--workers and --repeats must be at least 1")
    small = 10 if options.quick else 1
    with Pool(options.workers) as pool:
        pool.run_parallel([timed.noop] * 1000, None)
        for count, each_s in [(10_000, 0.0), (2_000, 0.001), (100, 0.010)]:
            repeats = max(1, options.repeats // small)
            print(_cost(pool, count // small, each_s, repeats).as_text(), end="\n\n")
        print(_lateness(pool, 50 // small).as_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
