"""Run CPU-heavy callables in parallel; a crash costs one result.

The names below are the public ones. They are imported when first asked for:
a worker process imports this package too, and needs only a small part of it. It
does without `typing` as well, which takes longer to import than all that it needs.
"""

from importlib import import_module

TYPE_CHECKING = False  # type checkers take any variable of this name for true
if TYPE_CHECKING:
    from enact_pool._api.executor import PoolExecutor
    from enact_pool._api.functions import imap_parallel, iter_parallel, map_parallel, run_parallel
    from enact_pool._api.options import RunOptions
    from enact_pool._api.pool import Pool, default_pool
    from enact_pool._engine.futures import WorkerCrashError
    from enact_pool._events.emitter import Emitter, EventEmitter, Events
    from enact_pool._events.event_log import EventLog, read_events
    from enact_pool._events.events import (
        ExecutionCancelled,
        ExecutionFailed,
        Span,
        StepEnd,
        StreamEvent,
    )
    from enact_pool._events.live_events import (
        CallWrapper,
        ExecutionEnd,
        ExecutionStart,
        StepStart,
        WorkerEnd,
        WorkerMemory,
        WorkerStart,
    )
    from enact_pool._model.errors import ExecutionError, ExecutionErrorCategory
    from enact_pool._model.ids import ExecutionId, StepId
    from enact_pool._model.protocols import NamedCallable, ParallelCallable, ProgressBar
    from enact_pool._model.results import Err, Ok, ParallelResult, RemoteError
    from enact_pool._model.summary import FailureGroup, Summary, summarize

_HOMES = {
    "NamedCallable": "_model.protocols",
    "ParallelCallable": "_model.protocols",
    "ProgressBar": "_model.protocols",
    "ExecutionError": "_model.errors",
    "ExecutionErrorCategory": "_model.errors",
    "Emitter": "_events.emitter",
    "EventEmitter": "_events.emitter",
    "Events": "_events.emitter",
    "CallWrapper": "_events.live_events",
    "EventLog": "_events.event_log",
    "read_events": "_events.event_log",
    "ExecutionCancelled": "_events.events",
    "ExecutionEnd": "_events.live_events",
    "ExecutionFailed": "_events.events",
    "ExecutionStart": "_events.live_events",
    "Span": "_events.events",
    "StepEnd": "_events.events",
    "StepStart": "_events.live_events",
    "StreamEvent": "_events.events",
    "WorkerEnd": "_events.live_events",
    "WorkerMemory": "_events.live_events",
    "WorkerStart": "_events.live_events",
    "ExecutionId": "_model.ids",
    "StepId": "_model.ids",
    "imap_parallel": "_api.functions",
    "iter_parallel": "_api.functions",
    "map_parallel": "_api.functions",
    "run_parallel": "_api.functions",
    "Pool": "_api.pool",
    "PoolExecutor": "_api.executor",
    "WorkerCrashError": "_engine.futures",
    "default_pool": "_api.pool",
    "RunOptions": "_api.options",
    "Err": "_model.results",
    "Ok": "_model.results",
    "ParallelResult": "_model.results",
    "RemoteError": "_model.results",
    "FailureGroup": "_model.summary",
    "Summary": "_model.summary",
    "summarize": "_model.summary",
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
