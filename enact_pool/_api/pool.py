"""`Pool`: a number of workers that run callables.

    run_parallel / Pool            the caller's thread from here ...
          |
         Run     asks  Schedule    what to send, what to blame, which results to release
          |      leases lanes from  LanePool
          |
         Lane    ... to here
      ====|==== commands ==>  ======== pipes, its own for each worker ==========
      |  == permits ==>
      <== answers ==== |
                     worker        unpickles a batch; takes a permit for each
                                   callable, runs it, and answers at once

There is no thread between the caller and the workers. The caller's own thread
writes batches, waits for answers on all pipes at once, and emits events.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterable, Mapping
from multiprocessing.util import Finalize
from operator import index
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from enact_pool._api.observers import extras_of, hooks_of
from enact_pool._api.options import NO_OPTIONS, Options, Progress, RunOptions
from enact_pool._core.observer import NO_HOOKS
from enact_pool._engine.run import Results, gathered, run
from enact_pool._engine.setup import NO_EXTRAS
from enact_pool._engine.sources import CallableSource
from enact_pool._engine.task_source import TaskSource
from enact_pool._events.emitter import Emitter, check_emitter
from enact_pool._lanes.lane_pool import LanePool, PoolClosed
from enact_pool._lanes.output_relay import replaced_streams
from enact_pool._lanes.spawn import MAX_DEPTH, Initializer, WorkerSpec, cpu_count
from enact_pool._model.limits import NO_LIMITS, Limits, checked_seconds
from enact_pool._model.protocols import ParallelCallable
from enact_pool._model.results import ParallelResult
from enact_pool._python.process_local import ProcessLocal
from enact_pool._python.public_names import public
from enact_pool._wire.worker_config import nesting

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Pool", "checked_workers"]

Input = TypeVar("Input")
Output = TypeVar("Output")


@public
class Pool(ProcessLocal):
    """Up to `max_workers` worker processes, started when they are needed and kept for later runs.

    A pool is a context manager, which closes it. Any number of threads may use a pool at once; they
    share its workers. A forked child may use it too, and gets workers of its own.

    Workers follow the working directory, the environment variables, `sys.path` and other process
    state of this process, as they are when a run begins: see docs/what-a-callable-sees.md.

    Args:
        max_workers: Processes; default: the CPUs that this process may use, by its affinity and
            cgroup limits.
        idle_timeout: Seconds without work after which a worker exits; None: never. A worker waits
            at least one second for its first callable.
        initializer: Called in each worker before its first callable; a worker whose initializer
            raises has failed to start. What it sets, globals of a script included, stays until the
            worker exits or the caller changes the same thing.
        initargs: The arguments of `initializer`.
        env: Environment variables to add in the workers; the caller's never replace them. The
            variables that limit the threads of NumPy and similar libraries (`OMP_NUM_THREADS`,
            `OPENBLAS_NUM_THREADS`, `MKL_NUM_THREADS` and others) are set to the worker's share of
            the CPUs, unless this process or `env` sets them.
        timeout, max_memory, max_tasks_per_worker: The defaults of all runs in this pool: see
            `RunOptions`.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: A number is out of range, or `env` cannot be an environment.
        RuntimeError: The pool is created in a worker of a worker of a worker, ten deep.
        Exception: What pickling the initializer raises.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        idle_timeout: float | None = 300.0,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
        max_memory: int | None = None,
        max_tasks_per_worker: int | None = None,
    ) -> None:
        self._limits = NO_LIMITS
        if not (timeout is max_memory is max_tasks_per_worker is None):
            self._limits = Limits(timeout, max_memory, max_tasks_per_worker)
        available = nesting.cpus or _usable_cpus()
        limit = available if max_workers is None else checked_workers(max_workers)
        idle_timeout = checked_seconds("idle_timeout", idle_timeout)
        for name, value in (env or {}).items():
            if not isinstance(name, str) or not isinstance(value, str):
                raise TypeError(f"env must map strings to strings, not {name!r}: {value!r}")
            if not name or "=" in name or "\0" in name + value:
                raise ValueError(f"env cannot contain {name!r}: {value!r}")
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer must be callable, not {type(initializer).__name__}")
        if 0 < MAX_DEPTH <= nesting.depth:
            raise RuntimeError(
                f"pools are nested {MAX_DEPTH} deep: a callable seems to call itself through "
                "run_parallel endlessly (LOKY_MAX_DEPTH raises the limit)"
            )
        spec = WorkerSpec(
            initializer=Initializer(initializer, tuple(initargs)),
            depth=nesting.depth + 1,
            idle_timeout=idle_timeout,
            env=dict(env or {}),
        )
        self._lane_pool = LanePool(spec, limit, available)
        # The most lanes of a run without `max_workers`.
        self._default_limit = limit
        self._register_finalizer()

    def _register_finalizer(self) -> None:
        # Terminates the workers when the pool is garbage, or the interpreter exits: in worker
        # processes too, where atexit handlers run only after waiting for children. It does nothing
        # in a forked child, which needs a finalizer of its own.
        self._pid = os.getpid()
        self._finalizer = Finalize(self, self._lane_pool.terminate, exitpriority=100)

    @property
    def max_workers(self) -> int:
        """The most worker processes that exist at once."""
        return self._lane_pool.book.limit

    @overload
    def run_parallel(
        self,
        callables: Iterable[Callable[[Input], Coroutine[Any, Any, Output]]],
        input: Input,
        emitter: Emitter | None = None,
        **options: Unpack[RunOptions],
    ) -> list[ParallelResult[Output]]: ...
    @overload
    def run_parallel(
        self,
        callables: Iterable[ParallelCallable[Input, Output] | Callable[[Input], Output]],
        input: Input,
        emitter: Emitter | None = None,
        **options: Unpack[RunOptions],
    ) -> list[ParallelResult[Output]]: ...
    @overload
    def run_parallel(  # callables of many kinds, which have no type in common
        self,
        callables: Iterable[Any],
        input: Any,
        emitter: Emitter | None = None,
        **options: Unpack[RunOptions],
    ) -> list[ParallelResult[Any]]: ...
    def run_parallel(
        self,
        callables: Iterable[Any],
        input: Any,
        emitter: Emitter | None = None,
        *,
        timeout: float | None = None,
        max_memory: int | None = None,
        max_tasks_per_worker: int | None = None,
        fail_fast: bool = False,
        progress: Progress = False,
        capture_output: bool = False,
        forward_logs: bool = False,
    ) -> list[ParallelResult[Any]]:
        """Run the callables in this pool: see `enact_pool.run_parallel`.

        Args:
            callables, input, emitter: As for `enact_pool.run_parallel`.
            timeout, max_memory, max_tasks_per_worker, fail_fast, progress, capture_output,
                forward_logs: See `RunOptions`.

        Raises:
            RuntimeError: The pool is closed.
            Exception: What `enact_pool.run_parallel` raises.
        """
        limits = timeout, max_memory, max_tasks_per_worker, fail_fast
        options = Options.of(*limits, progress, capture_output, forward_logs)
        source = CallableSource(callables, input, at_once=True)
        return gathered(self._run(source, emitter, options))

    def _run(
        self,
        source: TaskSource,
        emitter: Emitter | None,
        options: Options,
        limit: int | None = None,
        *,
        ordered: bool = True,
    ) -> Results:
        """Start a run. Raises `TypeError` for a bad emitter, `PoolClosed` if the pool is closed."""
        if emitter is not None:
            check_emitter(emitter)
        lane_pool = self._lane_pool
        if lane_pool.book.closed:
            raise PoolClosed
        if os.getpid() != self._pid:
            self._register_finalizer()
        limit = min(self._default_limit if limit is None else limit, lane_pool.book.limit)
        limits = options.limits
        if self._limits is not NO_LIMITS:
            limits = limits.over(self._limits)
        # The objects that replace stdout and stderr now. Each call of an executor has its own.
        replaced = None if source.has_own_streams else replaced_streams()
        hooks, extras = NO_HOOKS, NO_EXTRAS
        if (
            emitter is not None
            or replaced is not None
            or options is not NO_OPTIONS
            or source.has_own_streams
        ):
            hooks = hooks_of(source, emitter, options, replaced)
            extras = extras_of(hooks, limits, options)
        elif limits.max_memory is not None:
            extras = extras_of(hooks, limits, options)
        return run(lane_pool, source, limit, limits, extras, hooks, ordered=ordered, owner=self)

    def cancel(self) -> None:
        """End all runs that are in progress in this pool.

        Running callables are killed, queued ones are never started: their outcome is
        `Err("cancelled")`, with an `ExecutionCancelled` event in its place in the order. Finished
        callables keep their outcomes. `cancel` does not wait: the threads of the runs return their
        results a moment later. Any thread and any signal handler may call it. The pool stays
        usable.
        """
        self._lane_pool.cancel("Pool.cancel was called")

    def _grow(self, limit: int) -> None:
        self._lane_pool.grow(limit)

    def close(self) -> None:
        """Refuse new runs, and end the idle workers with every process that they started.

        Runs that are in progress in other threads continue, and end their workers afterwards. A
        worker has half a second to run its exit handlers; then it is killed.
        """
        self._lane_pool.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        position: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = " closed" if self._lane_pool.book.closed else ""
        return f"<Pool max_workers={self.max_workers}{state}>"


def _usable_cpus() -> int:
    """Return how many CPUs this process may use, by its affinity and cgroup limits."""
    try:
        return int(cpu_count())
    except OSError:
        # No descriptor is free to read the limits of the cgroup.
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def checked_workers(max_workers: Any) -> int:
    """Return `max_workers`. Raises `TypeError` or `ValueError` if it is not a number of workers."""
    if isinstance(max_workers, bool) or not hasattr(type(max_workers), "__index__"):
        raise TypeError(f"max_workers must be an integer, not {max_workers!r}")
    workers = index(max_workers)
    if workers < 1:
        raise ValueError(f"max_workers must be greater than 0, not {workers}")
    return workers
