"""Run CPU-heavy callables in parallel; a crash costs one result.

The names below are the public ones. They are imported when first asked for:
a worker process imports this package too, and needs only a small part of it. It
does without `typing` as well, which takes longer to import than all that it needs.
"""

from importlib import import_module

TYPE_CHECKING = False  # type checkers take any variable of this name for true
if TYPE_CHECKING:
    from enact_pool.errors import ExecutionError, ExecutionErrorCategory
    from enact_pool.events import (
        Emitter,
        EventEmitter,
        Events,
        ExecutionCancelled,
        ExecutionFailed,
        StepEnd,
        StreamEvent,
    )
    from enact_pool.ids import ExecutionId, StepId
    from enact_pool.limits import RunOptions
    from enact_pool.parallel import imap_parallel, iter_parallel, map_parallel, run_parallel
    from enact_pool.pool import Pool, default_pool
    from enact_pool.protocols import NamedCallable, ParallelCallable
    from enact_pool.results import Err, Ok, ParallelResult, RemoteError

_HOMES = {
    "NamedCallable": "protocols",
    "ParallelCallable": "protocols",
    "ExecutionError": "errors",
    "ExecutionErrorCategory": "errors",
    "Emitter": "events",
    "EventEmitter": "events",
    "Events": "events",
    "ExecutionCancelled": "events",
    "ExecutionFailed": "events",
    "StepEnd": "events",
    "StreamEvent": "events",
    "ExecutionId": "ids",
    "StepId": "ids",
    "imap_parallel": "parallel",
    "iter_parallel": "parallel",
    "map_parallel": "parallel",
    "run_parallel": "parallel",
    "Pool": "pool",
    "default_pool": "pool",
    "RunOptions": "limits",
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
    "ExecutionError",
    "ExecutionErrorCategory",
    "ExecutionFailed",
    "ExecutionId",
    "NamedCallable",
    "Ok",
    "ParallelCallable",
    "ParallelResult",
    "Pool",
    "RemoteError",
    "RunOptions",
    "StepEnd",
    "StepId",
    "StreamEvent",
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
