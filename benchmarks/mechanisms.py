"""`python -m benchmarks.mechanisms`: what each mechanism gains that exists for speed.

Two processes run the row of a mechanism in turn: one as it is, and one in which the mechanism is
disabled, in the caller and in the workers. The ratio of their medians says how much longer the
row takes without it. `docs/design.md` has the table.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from attrs import frozen

from benchmarks import timed_callables as timed
from benchmarks.table import Table, figures
from benchmarks.workloads import Load, workloads
from enact_pool import Pool, PoolExecutor, map_parallel

__all__ = ["MECHANISMS", "Mechanism"]


@frozen
class Mechanism:
    """A mechanism that exists for speed.

    `row` is a workload of the benchmark, or one of `_OWN_ROWS`. `disable` is called in the caller
    and in each worker.
    """

    name: str
    row: str
    disable: Callable[[], None]


# How to disable them


def _send_one_by_one() -> None:
    from enact_pool._core.batch_sizing import Sizing

    replaced: Any = Sizing
    replaced.largest = lambda self, lanes=1: 1
    replaced.first_batch = lambda self, queued, idle_lanes: 1


def _forget_durations() -> None:
    from enact_pool._core.batch_sizing import Pace

    replaced: Any = Pace
    replaced.expected_seconds = lambda self, key: None


def _revoke_nothing() -> None:
    from enact_pool._core.schedule import Schedule

    replaced: Any = Schedule
    replaced.revocable = lambda self, *, patient: None


def _take_permits_one_by_one() -> None:
    from enact_pool._worker.commands import Permits

    replaced: Any = Permits
    replaced.several = property(lambda self: False, lambda self, value: None)


def _write_each_answer() -> None:
    import enact_pool._worker.batches as batches

    replaced: Any = batches
    replaced.COLLECT_NS = -1


def _never_spin() -> None:
    import enact_pool._system.spin_poll as spin_poll

    replaced: Any = spin_poll
    replaced._SPIN_NS = -1


def _send_whole_closures() -> None:
    import enact_pool._engine.sources as sources

    replaced: Any = sources
    replaced.split_closures = lambda callables: (callables, [])


def _send_large_values_in_pipes() -> None:
    import enact_pool._engine.setup as setup
    import enact_pool._mirror.caller.delivery as delivery
    import enact_pool._mirror.worker.result_pickling as result_pickling
    import enact_pool._worker.outcomes as outcomes

    for module in (setup, delivery, result_pickling, outcomes):
        replaced: Any = module
        replaced.LARGE_BYTES = 1 << 60
    replaced = setup
    replaced._large_value_of = lambda payload, buffers: None


def _make_whole_results() -> None:
    import enact_pool._engine.outcomes as outcomes
    from enact_pool._model.results import ParallelResult

    def whole(*parts: Any) -> ParallelResult[Any]:
        result: ParallelResult[Any] = ParallelResult(*parts)
        _ = result.output, result.execution_id
        return result

    replaced: Any = outcomes
    replaced.ParallelResult = whole


def _restore_after_each_callable() -> None:
    from enact_pool._worker.process_state import ProcessState

    restore = ProcessState.restore

    def restore_all(self: Any, ran_ns: int, ended_ns: int) -> Any:
        self._dirty.is_set = True
        return restore(self, ran_ns, ended_ns)

    replaced: Any = ProcessState
    replaced.restore = restore_all


def _pickle_functions_by_value() -> None:
    import enact_pool._engine.calls as calls
    import enact_pool._engine.sources as sources
    import enact_pool._mirror.caller.pickling as pickling

    for module in (calls, sources, pickling):
        replaced: Any = module
        replaced.is_named = lambda function: False


def _pickle_each_input() -> None:
    import enact_pool._mirror.caller.pickling as pickling

    replaced: Any = pickling
    replaced.SHAREABLE = frozenset()


def _pickle_each_submission() -> None:
    from enact_pool._engine.calls import CallPickler

    pickle = CallPickler.pickle

    def pickle_anew(self: Any, *args: Any, **kwargs: Any) -> Any:
        self._known = (None, *self._known[1:])
        return pickle(self, *args, **kwargs)

    replaced: Any = CallPickler
    replaced.pickle = pickle_anew


def _enforce_limits_at_once() -> None:
    import enact_pool._lanes.limit_enforcer as limit_enforcer

    replaced: Any = limit_enforcer
    replaced.SHORT_RUN_SECONDS = 0.0


def _compare_our_pickles() -> None:
    import enact_pool._mirror.caller.records as records

    replaced: Any = records
    replaced.plain_fingerprint = lambda value, record: None


MECHANISMS = (
    Mechanism("batches that grow", "noops-10000", _send_one_by_one),
    Mechanism("quick runs use one lane", "noops-4", _forget_durations),
    Mechanism("revocations", "skewed", _revoke_nothing),
    Mechanism("permits in groups", "noops-200000", _take_permits_one_by_one),
    Mechanism("answer journal", "noops-200000", _write_each_answer),
    Mechanism("spinning", "noops-1", _never_spin),
    Mechanism("closures as captured values", "closures-10000", _send_whole_closures),
    Mechanism("large values in memory files", "array-input", _send_large_values_in_pipes),
    Mechanism("large values in memory files", "bytes-returned", _send_large_values_in_pipes),
    Mechanism("results made when read", "noops-200000", _make_whole_results),
    Mechanism("state restored when changed", "noops-200000", _restore_after_each_callable),
    Mechanism("plain pickle for functions", "noops-1", _pickle_functions_by_value),
    Mechanism("one pickle for many inputs", "inputs", _pickle_each_input),
    Mechanism("a function is pickled once", "submissions", _pickle_each_submission),
    Mechanism("no thread for short runs", "limited-noop", _enforce_limits_at_once),
    Mechanism("comparing plain pickles", "objects", _compare_our_pickles),
)


# What is run


def _inputs(pool: Pool, size: int) -> Callable[[], object]:
    return lambda: map_parallel(abs, range(100 * size), pool=pool)


def _submissions(_: Pool, size: int) -> Callable[[], object]:
    executor = PoolExecutor(2)

    def run() -> None:
        for future in [executor.submit(abs, number) for number in range(10 * size)]:
            future.result()

    return run


def _limited_noops(pool: Pool, size: int) -> Callable[[], object]:
    def run() -> None:
        for _ in range(size // 4):
            pool.run_parallel([abs], 1, timeout=60.0)

    return run


class _Point:
    def __init__(self, number: int) -> None:
        self.number = number


# As a global of the program that runs, it is compared before each run.
_points: list[_Point] = []


def _objects(pool: Pool, size: int) -> Callable[[], object]:
    _points[:] = [_Point(number) for number in range(20 * size)]

    def run() -> None:
        for _ in range(4):
            pool.run_parallel([lambda _: len(_points)], None)

    return run


# Each is given the pool, and a number that grows with the time it takes.
_OWN_ROWS: dict[str, Callable[[Pool, int], Callable[[], object]]] = {
    "inputs": _inputs,
    "submissions": _submissions,
    "limited-noop": _limited_noops,
    "objects": _objects,
}


def _runner(row: str, pool: Pool, quick: bool) -> Callable[[], object]:
    """Return what runs a row once."""
    if row in _OWN_ROWS:
        return _OWN_ROWS[row](pool, 10 if quick else 1000)
    work = next(work for work in workloads(quick) if work.name == row)
    load = work.build(work.tasks)

    def run() -> None:
        for _ in range(work.calls):
            _run_load(pool, load)

    return run


def _run_load(pool: Pool, load: Load) -> None:
    if load.one_argument:
        pool.run_parallel(load.functions, load.arguments[0])
    else:
        map_parallel(load.functions[0], load.arguments, pool=pool)


def _serve(index: int, disabled: bool, quick: bool) -> None:
    """Run the row of a mechanism once for each line of the input, and print how long it took."""
    mechanism = MECHANISMS[index]
    disable = mechanism.disable if disabled else _change_nothing
    disable()
    with Pool(2, initializer=disable) as pool:
        pool.run_parallel([timed.nap] * 8, 0.05)
        run = _runner(mechanism.row, pool, quick)
        run()
        for _ in sys.stdin:
            begun_at = time.perf_counter()
            run()
            print(json.dumps(time.perf_counter() - begun_at), flush=True)


def _change_nothing() -> None:
    return


class _Server:
    """A process that runs a row when it is asked to."""

    def __init__(self, index: int, disabled: bool, quick: bool) -> None:
        words = ["--serve", str(index), *["--disabled"] * disabled, *["--quick"] * quick]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.mechanisms", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate()


def _measured(index: int, repeats: int, quick: bool) -> tuple[float, float]:
    """Return the median seconds with the mechanism, and without it."""
    servers = [_Server(index, disabled, quick) for disabled in (False, True)]
    taken: list[list[float]] = [[], []]
    for repeat in range(repeats):
        for which in (0, 1) if repeat % 2 else (1, 0):
            taken[which].append(servers[which].seconds())
    for server in servers:
        server.close()
    return statistics.median(taken[0]), statistics.median(taken[1])


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mechanisms", description=__doc__)
    parser.add_argument("--repeats", type=int, default=9, help="of each row (default: 9)")
    parser.add_argument("--quick", action="store_true", help="small sizes, as a quick check")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--disabled", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        _serve(options.serve, options.disabled, options.quick)
        return 0
    lines = []
    for index, mechanism in enumerate(MECHANISMS):
        with_it, without = _measured(index, 1 if options.quick else options.repeats, options.quick)
        ratio = f"{without / with_it:.2f}"
        lines.append(
            [mechanism.name, mechanism.row, figures(with_it * 1e3), figures(without * 1e3), ratio]
        )
        print(f"{mechanism.name}, {mechanism.row}: {ratio}", file=sys.stderr, flush=True)
    columns = ["mechanism", "row", "with it, ms", "without, ms", "ratio"]
    print(Table("What mechanisms for speed gain", columns, lines).as_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
