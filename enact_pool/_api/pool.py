"""`Pool`: a number of workers to run callables in; and the pool that is there by default.

    run_parallel / Pool            the caller's thread from here ...
          |
         Run     asks  Schedule    what to send, who is blamed, what may be told
          |      takes lanes from  LanePool
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
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from multiprocessing.util import Finalize
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from enact_pool._api.observers import extras_of, hooks_of
from enact_pool._api.options import Options, Progress, RunOptions
from enact_pool._core.observer import NO_HOOKS
from enact_pool._engine.run import run
from enact_pool._engine.setup import NO_EXTRAS
from enact_pool._engine.sources import CallableSource, TaskSource
from enact_pool._engine.streams import Results, gathered
from enact_pool._events.emitter import Emitter, check_emitter
from enact_pool._lanes.lane_pool import LanePool, PoolClosed
from enact_pool._lanes.spawn import MAX_DEPTH, Initializer, WorkerSpec, cpu_count
from enact_pool._model.limits import Limits
from enact_pool._model.protocols import ParallelCallable
from enact_pool._model.results import ParallelResult
from enact_pool._python.process_local import ProcessLocal
from enact_pool._wire.worker_config import nesting

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Pool", "checked_workers", "default_pool"]

Input = TypeVar("Input")
Output = TypeVar("Output")


class Pool(ProcessLocal):
    """Up to `max_workers` worker processes, started when needed and kept for the next run.

    `max_workers` defaults to the CPUs that this process may use: affinity and
    cgroup limits count. A worker ends after `idle_timeout` seconds without
    work (None: never), and waits for its first callable for a second at least.
    Each worker calls `initializer(*initargs)` before its first callable; an
    initializer that raises is a failed start. What it sets, in globals of a script too,
    stays until the worker ends or the caller changes the same thing.

    Workers follow the working directory, the environment variables, `sys.path` and other
    process state of this process, as they are when a run begins. The variables in `env` are
    added, and never replaced by the caller's. Variables that limit the threads of NumPy and
    its kin (`OMP_NUM_THREADS`, `OPENBLAS_NUM_THREADS`, `MKL_NUM_THREADS` and
    others) are set to the worker's share of the CPUs, unless this process or `env`
    sets them.

    `timeout`, `max_memory` and `max_tasks_per_worker` hold for all runs here that
    do not say otherwise: see `run_parallel`.

    A context manager, which closes it. Any number of threads may use a pool at
    once; they share its workers. A process that was forked off may use it too,
    and gets workers of its own.

    Raises `TypeError` or `ValueError` for arguments that make no sense,
    whatever pickling the initializer raises, and `RuntimeError` in a worker of
    a worker of a worker, ten deep.
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
        self._limits = Limits(timeout, max_memory, max_tasks_per_worker)
        available = nesting.cpus or _usable_cpus()
        limit = available if max_workers is None else checked_workers(max_workers)
        if idle_timeout is not None:
            if isinstance(idle_timeout, bool) or not isinstance(idle_timeout, (int, float)):
                raise TypeError(f"idle_timeout must be seconds or None, not {idle_timeout!r}")
            if not 0 < idle_timeout < float("inf"):
                raise ValueError(f"idle_timeout must be above 0 seconds, not {idle_timeout}")
        for name, value in (env or {}).items():
            if not isinstance(name, str) or not isinstance(value, str):
                raise TypeError(f"env must have strings only, not {name!r}: {value!r}")
            if not name or "=" in name or "\0" in name + value:
                raise ValueError(f"env cannot have {name!r}: {value!r}")
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer must be callable, not {type(initializer).__name__}")
        if 0 < MAX_DEPTH <= nesting.depth:
            raise RuntimeError(
                f"pools are nested {MAX_DEPTH} deep: a callable seems to call itself through "
                "run_parallel without an end (LOKY_MAX_DEPTH raises the limit)"
            )
        spec = WorkerSpec(
            initializer=Initializer(initializer, tuple(initargs)),
            depth=nesting.depth + 1,
            idle_timeout=idle_timeout,
            env=dict(env or {}),
        )
        self._lane_pool = LanePool(spec, limit, available)
        # Of a run that does not say how many it wants.
        self._usual_limit = limit
        self._arrange_end()

    def _arrange_end(self) -> None:
        # When the pool is garbage, or the interpreter exits: in worker
        # processes too, where atexit comes after waiting for children. It does
        # nothing in a forked child, which needs its own.
        self._pid = os.getpid()
        self._finalizer = Finalize(self, self._lane_pool.terminate, exitpriority=100)

    @property
    def max_workers(self) -> int:
        """How many worker processes there may be at once."""
        return self._lane_pool.limit

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
        """Run the callables here: see `enact_pool.run_parallel`.

        Raises `RuntimeError` if the pool is closed.
        """
        limits = timeout, max_memory, max_tasks_per_worker, fail_fast
        options = Options.of(*limits, progress, capture_output, forward_logs)
        work = CallableSource(callables, input)
        work.pull_all()
        return gathered(self._run(work, emitter, options))

    def _run(
        self,
        source: TaskSource,
        emitter: Emitter | None,
        options: Options,
        limit: int | None = None,
        *,
        ordered: bool = True,
    ) -> Results:
        """Raises `TypeError` for what is no emitter, and `RuntimeError` if the pool is closed."""
        check_emitter(emitter)
        lane_pool = self._lane_pool
        if lane_pool.closed:
            raise PoolClosed
        if os.getpid() != self._pid:
            self._arrange_end()
        limit = min(self._usual_limit if limit is None else limit, lane_pool.limit)
        limits = options.limits.over(self._limits)
        hooks = hooks_of(source, emitter, options)
        extras = NO_EXTRAS
        if hooks is not NO_HOOKS or limits.max_memory is not None:
            extras = extras_of(hooks, limits, options)
        return run(lane_pool, source, limit, limits, extras, hooks, ordered=ordered, owner=self)

    def cancel(self) -> None:
        """End all runs that are in progress here; for any thread, and for signal handlers.

        What runs is killed, and what has not started never will; each of these
        callables comes to `Err("cancelled")`, with an `ExecutionCancelled` event in
        its place in the order. What has finished keeps its outcome. It does not
        wait: the threads of the runs get their results a moment later. The pool
        can be used as before.
        """
        self._lane_pool.cancel("Pool.cancel was called")

    def _grow(self, limit: int) -> None:
        self._lane_pool.grow(limit)

    def close(self) -> None:
        """Let no run begin any more, and end the idle workers, with all that they have started.

        Runs that other threads have in progress go on, and end their workers
        when they are done. A worker is given half a second to run its exit
        handlers, then killed.
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
        state = " closed" if self._lane_pool.closed else ""
        return f"<Pool max_workers={self.max_workers}{state}>"


def _usable_cpus() -> int:
    """How many CPUs this process may use: affinity and cgroup limits count."""
    try:
        return int(cpu_count())
    except OSError:
        # No descriptor is to be had to look up the cgroup's limits with.
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def checked_workers(max_workers: object) -> int:
    """`max_workers`, if it is a number of workers; raises `TypeError` or `ValueError`."""
    if isinstance(max_workers, bool) or not isinstance(max_workers, int):
        raise TypeError(f"max_workers must be an integer, not {max_workers!r}")
    if max_workers < 1:
        raise ValueError(f"max_workers must be greater than 0, not {max_workers}")
    return max_workers


class _Default:
    """The pool that runs use if they name none. The first use after it was closed makes another."""

    def __init__(self) -> None:
        self._pool: Pool | None = None
        self._renew_lock()
        os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        # Another thread may have held it at the fork. The pool itself can be
        # kept: it has let go of its lanes.
        # Re-entrant: a signal handler may run callables while its thread is in here.
        self._lock = threading.RLock()

    def default_pool(self) -> Pool:
        """Return the open pool that runs use if they name none: to cancel them, say.

        The first use makes it, and so does the first use after it was closed. (While the
        interpreter exits no other is made.)
        """
        with self._lock:
            pool = self._pool
            if pool is None or (pool._lane_pool.closed and not pool._lane_pool.terminated):
                self._pool = pool = Pool()
            return pool


default_pool = _Default().default_pool
