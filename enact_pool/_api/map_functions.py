"""`map_parallel` and `imap_parallel`: one callable, called with many inputs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from enact_pool._api.default_pool import start
from enact_pool._api.options import Options, Progress, RunOptions
from enact_pool._api.pool import Pool
from enact_pool._engine.input_source import InputSource
from enact_pool._engine.run import gathered, one_by_one
from enact_pool._events.emitter import Emitter
from enact_pool._model.protocols import ParallelCallable
from enact_pool._model.results import ParallelResult
from enact_pool._python.public_names import public

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["imap_parallel", "map_parallel"]

Input = TypeVar("Input")
Output = TypeVar("Output")


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
@public
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
    """Run one callable on many inputs.

    The function is pickled once, and sent once to each worker: its calls in one worker share the
    variables that it has captured. If a global names the function, the worker keeps these variables
    for later runs; otherwise they are new in each run. Globals stay in the worker in both cases.

    Args:
        function: A callable, or an object with `run(input)`.
        inputs: One input for each call; pickled separately, so that no two inputs share an object.
        emitter, pool, max_workers: As for `run_parallel`.
        timeout, max_memory, max_tasks_per_worker, fail_fast, progress, capture_output,
            forward_logs: See `RunOptions`.

    Returns:
        One result for each input, in the order of the inputs.

    Raises:
        Exception: What `run_parallel` raises; `TypeError` if `function` cannot be called.
    """
    source = InputSource(function, inputs)
    source.pull_all()
    limits = timeout, max_memory, max_tasks_per_worker, fail_fast
    options = Options.of(*limits, progress, capture_output, forward_logs)
    return gathered(start(source, emitter, pool, max_workers, options))


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
@public
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
    """Run one callable on many inputs, and yield each result as soon as its turn comes.

    Args:
        function, inputs: As for `map_parallel`; `inputs` may be endless.
        emitter, ordered, pool, max_workers: As for `iter_parallel`.
        timeout, max_memory, max_tasks_per_worker, fail_fast, progress, capture_output,
            forward_logs: See `RunOptions`.

    Yields:
        One result for each input.

    Raises:
        Exception: What `iter_parallel` raises; `TypeError` if `function` cannot be called.
    """
    limits = timeout, max_memory, max_tasks_per_worker, fail_fast
    options = Options.of(*limits, progress, capture_output, forward_logs)
    source = InputSource(function, inputs)
    return one_by_one(start(source, emitter, pool, max_workers, options, ordered))
