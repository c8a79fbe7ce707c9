"""`run_parallel`: the main job, on a pool that is named or on the default one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar, overload

from enact_pool.callables import ParallelCallable
from enact_pool.events import Emitter
from enact_pool.pool import Pool, checked_workers, default_pool
from enact_pool.results import ParallelResult

__all__ = ["run_parallel"]

Input = TypeVar("Input")
Output = TypeVar("Output")


@overload
def run_parallel(
    callables: Iterable[Callable[[Input], Coroutine[Any, Any, Output]]],
    input: Input,
    emitter: Emitter | None = None,
    *,
    pool: Pool | None = None,
    max_workers: int | None = None,
) -> list[ParallelResult[Output]]: ...
@overload
def run_parallel(
    callables: Iterable[ParallelCallable[Input, Output] | Callable[[Input], Output]],
    input: Input,
    emitter: Emitter | None = None,
    *,
    pool: Pool | None = None,
    max_workers: int | None = None,
) -> list[ParallelResult[Output]]: ...
@overload
def run_parallel(  # callables of many kinds, which have no type in common
    callables: Iterable[Any],
    input: Any,
    emitter: Emitter | None = None,
    *,
    pool: Pool | None = None,
    max_workers: int | None = None,
) -> list[ParallelResult[Any]]: ...
def run_parallel(
    callables: Iterable[Any],
    input: Any,
    emitter: Emitter | None = None,
    *,
    pool: Pool | None = None,
    max_workers: int | None = None,
) -> list[ParallelResult[Any]]:
    """Run the callables in worker processes, each on its own copy of the input.

    Blocks until each has an outcome; gives them in the order of the
    callables. Whatever a callable does to its worker costs only its own
    outcome, and each callable is started at most once.

    `callables` are objects with `run(input)` and a `name`, or plain callables,
    lambdas and closures too; coroutines that they return are awaited in the
    worker. Callables that travel to a worker together share what they have
    captured in common; the input they never share, unless it is immutable.

    `emitter` is given one event per callable, in the same order, each as soon
    as its outcome and those before it are known, in this thread. If it raises,
    the run goes on; its first exception is raised at the end, with the results
    in its attribute `results`.

    `pool` defaults to one of this process, which is kept for the next call.
    `max_workers` is how many of the pool's workers to use at most; it defaults
    to all of them, which for the default pool is as many as there are CPUs
    that this process may use. The default pool grows if more are asked for.

    Raises `TypeError` if something is no callable or no emitter, `TypeError`
    or `ValueError` for a `max_workers` that is no number of workers, and
    `RuntimeError` if the pool is closed; nothing has been started then. What
    a callable does is never raised: it is an outcome.
    """
    limit = None if max_workers is None else checked_workers(max_workers)
    if pool is None:
        pool = default_pool()
        if limit is not None:
            pool._grow(limit)
    elif not isinstance(pool, Pool):
        raise TypeError(f"pool must be a Pool, not {type(pool).__name__}")
    return pool._run(callables, input, emitter, limit)
