"""`run_parallel` and its kin: the main job, on a pool that is named or on the default one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from enact_pool._api.options import Options, Progress, RunOptions
from enact_pool._api.pool import Pool, checked_workers, default_pool
from enact_pool._engine.sources import CallableSource, InputSource, TaskSource
from enact_pool._engine.streams import Results, gathered, one_by_one
from enact_pool._events.emitter import Emitter, check_emitter
from enact_pool._lanes.lane_pool import PoolClosed
from enact_pool._model.protocols import ParallelCallable
from enact_pool._model.results import ParallelResult
from enact_pool._python.interrupts import interrupt_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["imap_parallel", "iter_parallel", "map_parallel", "run_parallel"]

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
    """Run the callables in worker processes, each on its own copy of the input.

    Blocks until each has an outcome; gives them in the order of the
    callables. Whatever a callable does to its worker costs only its own
    outcome, and each callable is started at most once.

    `callables` are objects with `run(input)` and a `name`, or plain callables,
    lambdas and closures too; coroutines that they return are awaited in the
    worker, all in one event loop: a client that a module keeps can be used by the
    next one, and a task that one leaves goes on while others run.
    Callables that travel to a worker together share what they have
    captured in common; the input they never share, unless it is immutable.

    `emitter` is given one event per callable, in the same order, each as soon
    as its outcome and those before it are known, in this thread. If it raises,
    the run goes on; its first exception is raised at the end, with the results
    in its attribute `results`.

    `pool` defaults to one of this process, which is kept for the next call; if it
    was closed, the next call makes another one.
    `max_workers` is how many of the pool's workers to use at most; it defaults
    to all of them; for the default pool, which grows if more are asked for, to
    as many as there are CPUs that this process may use.

    `timeout` is for how many seconds a callable may run, from its start in the
    worker; to be unpickled, which may import modules, it has 30 seconds more.
    `max_memory` is how many bytes of its own its worker may have, with the processes
    that callables have started. Not counted are pages of mapped files, shared memory, and
    a large input as long as only the kernel's one copy of it is read; where the system
    does not tell (macOS, of processes it protects), all that is resident counts. One
    that takes more is killed, with its worker and all that it has started,
    whatever it is doing: it comes to an `Err` under its own name and id, with an
    `error` of category `timeout` or `quota_exceeded`, and nobody else notices.
    Time limits are kept to within 0.1 seconds; memory is looked at every 0.05
    seconds, or more rarely if that takes more than a hundredth of the time, and
    after each callable: a worker that has more then than it may is replaced.
    `max_tasks_per_worker` replaces a worker after so many callables. All three
    default to what the pool says, and that to no limit.

    `fail_fast` ends the run at the first outcome that is not `Ok`, in the order
    they become known: what runs is killed, what has not started never will, and
    each comes to `Err("cancelled")` with an `ExecutionCancelled` event, as it does
    when `Pool.cancel` is called.

    `capture_output` puts what each callable prints on its result, as `stdout` and
    `stderr`: by Python, by C code, and by processes that it has started; up to its
    end, if its worker dies or is killed, but for a line that was not complete. Of
    what is longer than 1 MiB, the first and the last half MiB are kept. What is
    printed while a batch is unpickled is its first callable's, and what threads
    and processes print that a callable has left running is that of whoever runs then,
    or next.

    `forward_logs` tells what callables log and warn of here, in this thread, while
    they run. A record that the logger of the same name lets pass here goes to its
    handlers, with `callable_name`, `callable_index` and `execution_id` added (None for
    what comes between callables, or from what one of them has left running; of one
    whose worker dies, the id is not its result's). A warning goes through the filters
    here, once for each place in a worker, and says which callable it is of. A warning that
    the filters make an error is raised in the callable. What is longer than 48 KiB is cut.
    Handlers are treated as emitters are: what a handler raises is raised at the end. A
    callable that logs faster than its records are received here waits for that, and
    `timeout` counts the wait.

    `progress` shows a bar on stderr (tqdm's, for which `enact_pool[progress]` is to
    be installed): how many outcomes are known, in whatever order they come, how many
    of them failed, crashed or were cancelled, the rate and the time that is left.
    `True` shows it in terminals and notebooks only, and not in workers, `"force"`
    wherever stderr may lead. A `ProgressBar` of your own is told of outcomes, and is
    yours to close; if it raises, the run goes on without it, and that is raised at
    the end, as for an emitter.

    Raises `TypeError` if something is no callable, no emitter or no `progress`,
    `TypeError` or `ValueError` for a `max_workers` that is no number of workers or
    a limit that makes no sense, `ImportError` without tqdm, and `RuntimeError` if
    `pool` is closed; nothing has been started then. What a callable does is never
    raised: it is an outcome.
    """
    limits = timeout, max_memory, max_tasks_per_worker, fail_fast
    options = Options.of(*limits, progress, capture_output, forward_logs)
    work = CallableSource(callables, input, at_once=True)
    return gathered(_start(work, emitter, pool, max_workers, options))


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
    """Like `run_parallel`, but gives each result as soon as its turn comes.

    The callables may be any iterable, an endless one too: it is asked for no
    more than keeps the workers busy. Unless `ordered`, results come as their
    callables finish, and events in that order too.

    Everything happens in this thread while it waits for the next result;
    between two, the workers go on with what they have been sent. When the
    generator is closed, which leaving a `for` loop early does, what has not
    started never will, and what runs is killed if it takes longer than 0.1
    seconds more; the pool stays usable.

    Raises what `run_parallel` raises: for the emitter, `max_workers` and the
    pool at once; what the iterable raises, or that it gave something that is
    no callable, after the results of those before.
    """
    limits = timeout, max_memory, max_tasks_per_worker, fail_fast
    options = Options.of(*limits, progress, capture_output, forward_logs)
    work = CallableSource(callables, input)
    return one_by_one(_start(work, emitter, pool, max_workers, options, ordered))


@overload
def map_parallel(
    function: Callable[[Input], Coroutine[Any, Any, Output]],
    inputs: Iterable[Input],
    emitter: Emitter | None = None,
    *,
    pool: Pool | None = None,
    max_workers: int | None = None,
    **options: Unpack[RunOptions],
) -> list[ParallelResult[Output]]: ...
@overload
def map_parallel(
    function: ParallelCallable[Input, Output] | Callable[[Input], Output],
    inputs: Iterable[Input],
    emitter: Emitter | None = None,
    *,
    pool: Pool | None = None,
    max_workers: int | None = None,
    **options: Unpack[RunOptions],
) -> list[ParallelResult[Output]]: ...
def map_parallel(
    function: Any,
    inputs: Iterable[Any],
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
    """Run one function (or object with `run`) on many inputs; one result for each, in order.

    The function is pickled once, and sent once to each worker: its calls in one worker share
    what the function has captured. A function that a global names keeps that for later runs in
    the worker; any other function begins anew in each run. Globals stay in the worker in both
    cases. Each input is pickled by itself, so no two inputs share anything. All else is as in
    `run_parallel`.

    Raises what `run_parallel` raises; `TypeError` if the function is no callable.
    """
    work = InputSource(function, inputs)
    work.pull_all()
    limits = timeout, max_memory, max_tasks_per_worker, fail_fast
    options = Options.of(*limits, progress, capture_output, forward_logs)
    return gathered(_start(work, emitter, pool, max_workers, options))


@overload
def imap_parallel(
    function: Callable[[Input], Coroutine[Any, Any, Output]],
    inputs: Iterable[Input],
    emitter: Emitter | None = None,
    *,
    ordered: bool = True,
    pool: Pool | None = None,
    max_workers: int | None = None,
    **options: Unpack[RunOptions],
) -> Generator[ParallelResult[Output], None, None]: ...
@overload
def imap_parallel(
    function: ParallelCallable[Input, Output] | Callable[[Input], Output],
    inputs: Iterable[Input],
    emitter: Emitter | None = None,
    *,
    ordered: bool = True,
    pool: Pool | None = None,
    max_workers: int | None = None,
    **options: Unpack[RunOptions],
) -> Generator[ParallelResult[Output], None, None]: ...
def imap_parallel(
    function: Any,
    inputs: Iterable[Any],
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
    """Like `map_parallel`, but lazy, as `iter_parallel` is."""
    limits = timeout, max_memory, max_tasks_per_worker, fail_fast
    options = Options.of(*limits, progress, capture_output, forward_logs)
    work = InputSource(function, inputs)
    return one_by_one(_start(work, emitter, pool, max_workers, options, ordered))


def _start(
    work: TaskSource,
    emitter: Emitter | None,
    pool: Pool | None,
    max_workers: int | None,
    options: Options,
    ordered: bool = True,
) -> Results:
    limit = None if max_workers is None else checked_workers(max_workers)
    if pool is None:
        check_emitter(emitter)
        return _in_default_pool(work, emitter, options, limit, ordered)
    if not isinstance(pool, Pool):
        raise TypeError(f"pool must be a Pool, not {type(pool).__name__}")
    return pool._run(work, emitter, options, limit, ordered=ordered)


def _in_default_pool(
    work: TaskSource, emitter: Emitter | None, options: Options, limit: int | None, ordered: bool
) -> Results:
    while True:
        pool = default_pool()
        if limit is not None:
            pool._grow(limit)
        try:
            return (yield from pool._run(work, emitter, options, limit, ordered=ordered))
        except PoolClosed as error:
            # Another thread has closed it since it was looked up. Only the beginning of a
            # run raises this (or a signal handler, from a run of its own): nothing has been
            # done, and the next default pool can do it.
            if pool._lane_pool.terminated or interrupt_of(error) is not None:
                raise
