"""`run_parallel` and `iter_parallel`: many callables, each called with the same input."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from enact_pool._api.default_pool import start
from enact_pool._api.options import Options, Progress, RunOptions
from enact_pool._api.pool import Pool
from enact_pool._engine.run import gathered, one_by_one
from enact_pool._engine.sources import CallableSource
from enact_pool._events.emitter import Emitter
from enact_pool._model.protocols import ParallelCallable
from enact_pool._model.results import ParallelResult
from enact_pool._python.public_names import public

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["iter_parallel", "run_parallel"]

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
    **options: Unpack[RunOptions],
) -> list[ParallelResult[Output]]: ...
@overload
def run_parallel(
    callables: Iterable[ParallelCallable[Input, Output] | Callable[[Input], Output]],
    input: Input,
    emitter: Emitter | None = None,
    *,
    pool: Pool | None = None,
    max_workers: int | None = None,
    **options: Unpack[RunOptions],
) -> list[ParallelResult[Output]]: ...
@overload
def run_parallel(  # callables of many kinds, which have no type in common
    callables: Iterable[Any],
    input: Any,
    emitter: Emitter | None = None,
    *,
    pool: Pool | None = None,
    max_workers: int | None = None,
    **options: Unpack[RunOptions],
) -> list[ParallelResult[Any]]: ...
@public
def run_parallel(
    callables: Iterable[Any],
    input: Any,
    emitter: Emitter | None = None,
    *,
    pool: Pool | None = None,
    max_workers: int | None = None,
    timeout: float | None = None,
    max_memory: int | None = None,
    max_tasks_per_worker: int | None = None,
    fail_fast: bool = False,
    progress: Progress = False,
    capture_output: bool = False,
    forward_logs: bool = False,
) -> list[ParallelResult[Any]]:
    """Run callables in worker processes, each on its own copy of the input.

    Block until each callable has an outcome. A callable that crashes, hangs or changes its worker
    costs only its own outcome. No callable is started twice.

    Args:
        callables: Objects with `run(input)` and a `name`, or plain callables, lambdas and
            closures included. Coroutines that they return are awaited in the worker.
        input: What each callable is called with. An immutable input may be shared.
        emitter: Receives one event per callable, in the order of the callables, in this thread.
        pool: The pool to run in; default: see `default_pool`.
        max_workers: How many workers of the pool to use at most; default: all of them. The default
            pool has as many as this process may use CPUs, and grows if more are requested.
        timeout, max_memory, max_tasks_per_worker, fail_fast, progress, capture_output,
            forward_logs: See `RunOptions`.

    Returns:
        One result for each callable, in the order of the callables.

    Raises:
        TypeError: An argument has the wrong type; nothing was started. This includes a callable
            that cannot be called and an emitter without `emit`.
        ValueError: A limit or `max_workers` is out of range; nothing was started.
        ImportError: `progress` needs tqdm, which is not installed; nothing was started.
        RuntimeError: `pool` is closed; nothing was started.
        Exception: What the emitter, a log handler or the progress bar raised first. The run goes
            on, and all results are in the attribute `results` of that exception. What a callable
            raises is an outcome, and is not raised.
    """
    limits = timeout, max_memory, max_tasks_per_worker, fail_fast
    options = Options.of(*limits, progress, capture_output, forward_logs)
    source = CallableSource(callables, input, at_once=True)
    return gathered(start(source, emitter, pool, max_workers, options))


@overload
def iter_parallel(
    callables: Iterable[Callable[[Input], Coroutine[Any, Any, Output]]],
    input: Input,
    emitter: Emitter | None = None,
    *,
    ordered: bool = True,
    pool: Pool | None = None,
    max_workers: int | None = None,
    **options: Unpack[RunOptions],
) -> Generator[ParallelResult[Output], None, None]: ...
@overload
def iter_parallel(
    callables: Iterable[ParallelCallable[Input, Output] | Callable[[Input], Output]],
    input: Input,
    emitter: Emitter | None = None,
    *,
    ordered: bool = True,
    pool: Pool | None = None,
    max_workers: int | None = None,
    **options: Unpack[RunOptions],
) -> Generator[ParallelResult[Output], None, None]: ...
@overload
def iter_parallel(  # callables of many kinds, which have no type in common
    callables: Iterable[Any],
    input: Any,
    emitter: Emitter | None = None,
    *,
    ordered: bool = True,
    pool: Pool | None = None,
    max_workers: int | None = None,
    **options: Unpack[RunOptions],
) -> Generator[ParallelResult[Any], None, None]: ...
@public
def iter_parallel(
    callables: Iterable[Any],
    input: Any,
    emitter: Emitter | None = None,
    *,
    ordered: bool = True,
    pool: Pool | None = None,
    max_workers: int | None = None,
    timeout: float | None = None,
    max_memory: int | None = None,
    max_tasks_per_worker: int | None = None,
    fail_fast: bool = False,
    progress: Progress = False,
    capture_output: bool = False,
    forward_logs: bool = False,
) -> Generator[ParallelResult[Any], None, None]:
    """Run callables like `run_parallel`, and yield each result as soon as its turn comes.

    The run works in this thread while it waits for the next result. Between two results, the
    workers continue with the callables that were sent to them. When the generator is closed (which
    leaving a `for` loop does), callables that have not started never start, and running callables
    are killed after 0.1 seconds; the pool stays usable.

    Args:
        callables: As for `run_parallel`; the iterable may be endless: the run reads from it only
            what keeps the workers busy.
        input: As for `run_parallel`.
        emitter: As for `run_parallel`.
        ordered: Whether results and events come in the order of the callables; otherwise they
            come in the order in which the callables finish.
        pool, max_workers: As for `run_parallel`.
        timeout, max_memory, max_tasks_per_worker, fail_fast, progress, capture_output,
            forward_logs: See `RunOptions`.

    Yields:
        One result for each callable.

    Raises:
        Exception: What `run_parallel` raises; for the emitter, `max_workers` and the pool at once.
            What the iterable raises, and `TypeError` for an object from it that is not a callable,
            are raised after the results of the callables before it.
    """
    limits = timeout, max_memory, max_tasks_per_worker, fail_fast
    options = Options.of(*limits, progress, capture_output, forward_logs)
    source = CallableSource(callables, input)
    return one_by_one(start(source, emitter, pool, max_workers, options, ordered))
