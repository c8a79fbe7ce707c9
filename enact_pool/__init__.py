"""Run CPU-heavy callables in parallel; a crash costs one result.

The names below are the public ones. They are imported when first asked for:
a worker process imports this package too, and needs only a small part of it. It
does without `typing` as well, which takes longer to import than all that it needs.
"""

from importlib import import_module

TYPE_CHECKING = False  # type checkers take any variable of this name for true
if TYPE_CHECKING:
    from enact_pool.emitter import Emitter, EventEmitter, Events
    from enact_pool.errors import ExecutionError, ExecutionErrorCategory
    from enact_pool.events import (
        ExecutionCancelled,
        ExecutionEnd,
        ExecutionFailed,
        ExecutionStart,
        Span,
        StepEnd,
        StepStart,
        StreamEvent,
        WorkerEnd,
        WorkerMemory,
        WorkerStart,
    )
    from enact_pool.executor import PoolExecutor
    from enact_pool.futures import WorkerCrashError
    from enact_pool.ids import ExecutionId, StepId
    from enact_pool.options import RunOptions
    from enact_pool.parallel import imap_parallel, iter_parallel, map_parallel, run_parallel
    from enact_pool.pool import Pool, default_pool
    from enact_pool.protocols import NamedCallable, ParallelCallable
    from enact_pool.results import Err, Ok, ParallelResult, RemoteError

_HOMES = {
    "NamedCallable": "protocols",
    "ParallelCallable": "protocols",
    "ExecutionError": "errors",
    "ExecutionErrorCategory": "errors",
    "Emitter": "emitter",
    "EventEmitter": "emitter",
    "Events": "emitter",
    "ExecutionCancelled": "events",
    "ExecutionEnd": "events",
    "ExecutionFailed": "events",
    "ExecutionStart": "events",
    "Span": "events",
    "StepEnd": "events",
    "StepStart": "events",
    "StreamEvent": "events",
    "WorkerEnd": "events",
    "WorkerMemory": "events",
    "WorkerStart": "events",
    "ExecutionId": "ids",
    "StepId": "ids",
    "imap_parallel": "parallel",
    "iter_parallel": "parallel",
    "map_parallel": "parallel",
    "run_parallel": "parallel",
    "Pool": "pool",
    "PoolExecutor": "executor",
    "WorkerCrashError": "futures",
    "default_pool": "pool",
    "RunOptions": "options",
    "Err": "results",
    "Ok": "results",
    "ParallelResult": "results",
    "RemoteError": "results",
}

__all__ = [
    "Emitter",
    "Err",
    "EventEmitter",
    "Events",
    "ExecutionCancelled",
    "ExecutionEnd",
    "ExecutionError",
    "ExecutionErrorCategory",
    "ExecutionFailed",
    "ExecutionId",
    "ExecutionStart",
    "NamedCallable",
    "Ok",
    "ParallelCallable",
    "ParallelResult",
    "Pool",
    "PoolExecutor",
    "RemoteError",
    "RunOptions",
    "Span",
    "StepEnd",
    "StepId",
    "StepStart",
    "StreamEvent",
    "WorkerCrashError",
    "WorkerEnd",
    "WorkerMemory",
    "WorkerStart",
    "default_pool",
    "imap_parallel",
    "iter_parallel",
    "map_parallel",
    "run_parallel",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
