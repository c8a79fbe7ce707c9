"""The contenders: how each library, in its best documented way, runs a workload.

A contender's `run` is timed; turning its return value into values is not.
"""

from __future__ import annotations

import multiprocessing
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import Any, ClassVar

from benchmarks.timed_callables import sum_of_shared
from benchmarks.workloads import Load, Workload

__all__ = ["CONTENDERS", "UNANSWERED", "Contender", "Failure"]

# In place of an answer that did not arrive before the time-out.
UNANSWERED = object()


class Failure(Exception):
    """An error that the library returns as a value; the message is its kind."""


class Contender(ABC):
    """A library, with a pool of its own that is open between `open` and `close`.

    `packages` are those whose versions matter, and without which it cannot be
    measured. `way` says how the library is used.
    """

    name: ClassVar[str]
    way: ClassVar[str]
    packages: ClassVar[tuple[str, ...]] = ()
    pickles_closures: ClassVar[bool] = False

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def refusal(self, work: Workload) -> str:
        """Return why the library cannot run a workload; empty if it can."""
        if work.closures and not self.pickles_closures:
            return "uses plain pickle, which cannot pickle closures"
        return ""

    def open(self) -> None:
        """Open the pool."""
        return

    @abstractmethod
    def run(self, load: Load) -> Any:
        """Run the load, and wait until it is finished."""

    def values(self, done: Any) -> list[Any]:
        """Turn what `run` returned into a value for each task: an exception if the task failed."""
        return list(done)

    def close(self) -> None:
        """Close the pool, and wait until its processes have exited."""
        return


class Serial(Contender):
    name = "serial"
    way = "a loop, in the caller's process"

    def __init__(self, workers: int) -> None:
        # The caller itself is the only process to warm up.
        super().__init__(1)

    def refusal(self, work: Workload) -> str:
        if work.deaths:
            return "would die with the task"
        if work.asleep_s:
            return f"would sleep for {work.tasks * work.asleep_s:.3g} s, one task after the other"
        return ""

    def run(self, load: Load) -> Any:
        return [function(argument) for function, argument in load.calls()]


class MultiprocessingPool(Contender):
    name = "mp.Pool"
    way = "map, in chunks of its default size; apply_async where tasks die"

    def open(self) -> None:
        self._pool = multiprocessing.Pool(self.workers)

    def run(self, load: Load) -> Any:
        if load.timeout_s is None:
            return self._pool.map(load.functions[0], load.arguments)
        # A map with a task that died never returns.
        deadline = time.monotonic() + load.timeout_s
        waiting = [
            self._pool.apply_async(function, (argument,)) for function, argument in load.calls()
        ]
        values: list[Any] = []
        for result in waiting:
            try:
                values.append(result.get(timeout=max(0.0, deadline - time.monotonic())))
            except multiprocessing.TimeoutError:
                values.append(UNANSWERED)
        return values

    def close(self) -> None:
        self._pool.terminate()
        self._pool.join()


class _Submitting(Contender):
    """A `concurrent.futures.Executor`, or what looks like one."""

    _executor: Any

    def run(self, load: Load) -> Any:
        submit = self._executor.submit
        return _gathered([submit(function, argument) for function, argument in load.calls()])

    def close(self) -> None:
        self._executor.shutdown(wait=True)


class StandardExecutor(_Submitting):
    name = "stdlib"
    way = "concurrent.futures.ProcessPoolExecutor.submit for each task"

    def open(self) -> None:
        from concurrent.futures import ProcessPoolExecutor

        self._executor = ProcessPoolExecutor(self.workers)


class Loky(_Submitting):
    name = "loky"
    way = "get_reusable_executor().submit for each task"
    packages = ("loky", "cloudpickle")
    pickles_closures = True

    def open(self) -> None:
        from loky import get_reusable_executor

        # Its workers would otherwise exit after 10 idle seconds, while other contenders run.
        self._executor = get_reusable_executor(max_workers=self.workers, timeout=3600)


class Joblib(Contender):
    name = "joblib"
    way = "Parallel of the loky backend, as a context manager"
    packages = ("joblib",)
    pickles_closures = True

    def open(self) -> None:
        from joblib import Parallel, delayed

        self._delayed = delayed
        self._parallel = Parallel(n_jobs=self.workers, backend="loky")
        self._parallel.__enter__()

    def run(self, load: Load) -> Any:
        delayed = self._delayed
        return self._parallel(delayed(function)(argument) for function, argument in load.calls())

    def close(self) -> None:
        from joblib.externals.loky import get_reusable_executor

        self._parallel.__exit__(None, None, None)
        # joblib keeps its workers for the next `Parallel`.
        get_reusable_executor().shutdown(wait=True)


class Mpire(Contender):
    name = "mpire"
    way = "WorkerPool(keep_alive=True).map; an array as shared_objects, with its own pool"
    packages = ("mpire",)

    def open(self) -> None:
        from mpire.pool import WorkerPool

        self._pool = WorkerPool(n_jobs=self.workers, keep_alive=True)

    def run(self, load: Load) -> Any:
        if load.one_argument and hasattr(load.arguments[0], "nbytes"):
            return self._run_on_shared(load)
        # Return several arrays, not one array of all elements.
        return self._pool.map(load.functions[0], load.arguments, concatenate_numpy_output=False)

    def _run_on_shared(self, load: Load) -> Any:
        # Workers receive shared objects only when they start.
        from mpire.pool import WorkerPool

        with WorkerPool(n_jobs=self.workers, shared_objects=load.arguments[0]) as pool:
            return pool.map(sum_of_shared, range(len(load.functions)))

    def close(self) -> None:
        self._pool.stop_and_join()
        self._pool.terminate()


class Pebble(Contender):
    name = "pebble"
    way = "ProcessPool.map, in chunks of mp.Pool's size; schedule for each task where tasks die"
    packages = ("pebble",)

    def open(self) -> None:
        from pebble import ProcessPool

        self._pool: Any = ProcessPool(max_workers=self.workers)

    def run(self, load: Load) -> Any:
        schedule = self._pool.schedule
        if load.timeout_s is None:
            # mp.Pool's rule; pebble's own default, chunks of one, is no quicker than schedule.
            size = -(-len(load.functions) // (4 * self.workers))
            mapped = self._pool.map(load.functions[0], load.arguments, chunksize=size)
            return list(mapped.result())
        # A death costs the chunk.
        return _gathered([schedule(function, (argument,)) for function, argument in load.calls()])

    def close(self) -> None:
        self._pool.close()
        self._pool.join()


class EnactPool(Contender):
    name = "enact_pool"
    way = (
        "Pool.run_parallel, or map_parallel where each task has its own argument, "
        "with an EventEmitter that is drained after each run, and a look at each event"
    )
    packages = ("enact_pool", "attrs", "cyksuid")
    pickles_closures = True

    def open(self) -> None:
        from enact_pool import EventEmitter, Pool, map_parallel

        self._map_parallel = map_parallel
        self._pool = Pool(self.workers)
        self._emitter = EventEmitter()

    def run(self, load: Load) -> Any:
        pool, emitter = self._pool, self._emitter
        results: list[Any]
        if load.one_argument:
            results = pool.run_parallel(load.functions, load.arguments[0], emitter)
        else:
            results = self._map_parallel(load.functions[0], load.arguments, emitter, pool=pool)
        events = emitter.drain()
        deque(events, maxlen=0)  # events are created when they are read
        return results, events

    def values(self, done: Any) -> list[Any]:
        results, events = done
        ids = [event.execution_id for event in events]
        if ids != [result.execution_id for result in results]:
            raise AssertionError(f"{len(results)} results, but {len(ids)} events or other ids")
        return [
            result.output.value if result.output.is_ok else Failure(_kind(result))
            for result in results
        ]

    def close(self) -> None:
        self._pool.close()


def _kind(result: Any) -> str:
    """Return the kind of a failure."""
    return str(result.error.category if result.error else result.output.type)


def _gathered(futures: list[Any]) -> list[Any]:
    values: list[Any] = []
    for future in futures:
        try:
            values.append(future.result())
        except Exception as error:
            values.append(error)
    return values


CONTENDERS: dict[str, type[Contender]] = {
    contender.name: contender
    for contender in (
        Serial,
        MultiprocessingPool,
        StandardExecutor,
        Loky,
        Joblib,
        Mpire,
        Pebble,
        EnactPool,
    )
}
