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
    from enact_pool.event_log import EventLog, read_events
    from enact_pool.events import ExecutionCancelled, ExecutionFailed, Span, StepEnd, StreamEvent
    from enact_pool.executor import PoolExecutor
    from enact_pool.futures import WorkerCrashError
    from enact_pool.ids import ExecutionId, StepId
    from enact_pool.live_events import (
        CallWrapper,
        ExecutionEnd,
        ExecutionStart,
        StepStart,
        WorkerEnd,
        WorkerMemory,
        WorkerStart,
    )
    from enact_pool.options import RunOptions
    from enact_pool.parallel import imap_parallel, iter_parallel, map_parallel, run_parallel
    from enact_pool.pool import Pool, default_pool
    from enact_pool.protocols import NamedCallable, ParallelCallable, ProgressBar
    from enact_pool.results import Err, Ok, ParallelResult, RemoteError
    from enact_pool.summary import FailureGroup, Summary, summarize

_HOMES = {
    "NamedCallable": "protocols",
    "ParallelCallable": "protocols",
    "ProgressBar": "protocols",
    "ExecutionError": "errors",
    "ExecutionErrorCategory": "errors",
    "Emitter": "emitter",
    "EventEmitter": "emitter",
    "Events": "emitter",
    "CallWrapper": "live_events",
    "EventLog": "event_log",
    "read_events": "event_log",
    "ExecutionCancelled": "events",
    "ExecutionEnd": "live_events",
    "ExecutionFailed": "events",
    "ExecutionStart": "live_events",
    "Span": "events",
    "StepEnd": "events",
    "StepStart": "live_events",
    "StreamEvent": "events",
    "WorkerEnd": "live_events",
    "WorkerMemory": "live_events",
    "WorkerStart": "live_events",
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
    "FailureGroup": "summary",
    "Summary": "summary",
    "summarize": "summary",
}

__all__ = [
    "CallWrapper",
    "Emitter",
    "Err",
    "EventEmitter",
    "EventLog",
    "Events",
    "ExecutionCancelled",
    "ExecutionEnd",
    "ExecutionError",
    "ExecutionErrorCategory",
    "ExecutionFailed",
    "ExecutionId",
    "ExecutionStart",
    "FailureGroup",
    "NamedCallable",
    "Ok",
    "ParallelCallable",
    "ParallelResult",
    "Pool",
    "ProgressBar",
    "PoolExecutor",
    "RemoteError",
    "RunOptions",
    "Span",
    "StepEnd",
    "StepId",
    "StepStart",
    "StreamEvent",
    "Summary",
    "WorkerCrashError",
    "WorkerEnd",
    "WorkerMemory",
    "WorkerStart",
    "default_pool",
    "imap_parallel",
    "iter_parallel",
    "map_parallel",
    "read_events",
    "run_parallel",
    "summarize",
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
