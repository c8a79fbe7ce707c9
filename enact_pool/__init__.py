"""Run CPU-heavy callables in parallel; a crash costs one result.

The table below lists the public names. A name is imported when it is first used: a worker imports
this package too, and needs only a small part of it. (The package does not import `typing`, which
takes longer than everything that a worker needs.)
"""

from importlib import import_module

TYPE_CHECKING = False  # type checkers treat any variable of this name as true
if TYPE_CHECKING:
    # Type checkers read imports only. A test compares them with the table.
    from enact_pool._api.default_pool import default_pool as default_pool
    from enact_pool._api.executor import PoolExecutor as PoolExecutor
    from enact_pool._api.map_functions import imap_parallel as imap_parallel
    from enact_pool._api.map_functions import map_parallel as map_parallel
    from enact_pool._api.options import RunOptions as RunOptions
    from enact_pool._api.pool import Pool as Pool
    from enact_pool._api.run_functions import iter_parallel as iter_parallel
    from enact_pool._api.run_functions import run_parallel as run_parallel
    from enact_pool._engine.futures import WorkerCrashError as WorkerCrashError
    from enact_pool._events.emitter import Emitter as Emitter
    from enact_pool._events.emitter import EventEmitter as EventEmitter
    from enact_pool._events.emitter import Events as Events
    from enact_pool._events.event_log import EventLog as EventLog
    from enact_pool._events.event_log import read_events as read_events
    from enact_pool._events.events import ExecutionCancelled as ExecutionCancelled
    from enact_pool._events.events import ExecutionFailed as ExecutionFailed
    from enact_pool._events.events import StepEnd as StepEnd
    from enact_pool._events.events import StreamEvent as StreamEvent
    from enact_pool._events.live_events import CallWrapper as CallWrapper
    from enact_pool._events.live_events import ExecutionEnd as ExecutionEnd
    from enact_pool._events.live_events import ExecutionStart as ExecutionStart
    from enact_pool._events.live_events import StepStart as StepStart
    from enact_pool._events.live_events import WorkerEnd as WorkerEnd
    from enact_pool._events.live_events import WorkerMemory as WorkerMemory
    from enact_pool._events.live_events import WorkerStart as WorkerStart
    from enact_pool._events.span import Span as Span
    from enact_pool._model.errors import ExecutionError as ExecutionError
    from enact_pool._model.errors import ExecutionErrorCategory as ExecutionErrorCategory
    from enact_pool._model.ids import ExecutionId as ExecutionId
    from enact_pool._model.ids import StepId as StepId
    from enact_pool._model.protocols import NamedCallable as NamedCallable
    from enact_pool._model.protocols import ParallelCallable as ParallelCallable
    from enact_pool._model.protocols import ProgressBar as ProgressBar
    from enact_pool._model.results import Err as Err
    from enact_pool._model.results import Ok as Ok
    from enact_pool._model.results import ParallelResult as ParallelResult
    from enact_pool._model.results import RemoteError as RemoteError
    from enact_pool._model.summary import FailureGroup as FailureGroup
    from enact_pool._model.summary import Summary as Summary
    from enact_pool._model.summary import summarize as summarize

# The public names, by the module that defines them.
_TABLE = {
    "_api.default_pool": ["default_pool"],
    "_api.executor": ["PoolExecutor"],
    "_api.map_functions": ["imap_parallel", "map_parallel"],
    "_api.options": ["RunOptions"],
    "_api.pool": ["Pool"],
    "_api.run_functions": ["iter_parallel", "run_parallel"],
    "_engine.futures": ["WorkerCrashError"],
    "_events.emitter": ["Emitter", "EventEmitter", "Events"],
    "_events.event_log": ["EventLog", "read_events"],
    "_events.events": ["ExecutionCancelled", "ExecutionFailed", "StepEnd", "StreamEvent"],
    "_events.live_events": [
        "CallWrapper",
        "ExecutionEnd",
        "ExecutionStart",
        "StepStart",
        "WorkerEnd",
        "WorkerMemory",
        "WorkerStart",
    ],
    "_events.span": ["Span"],
    "_model.errors": ["ExecutionError", "ExecutionErrorCategory"],
    "_model.ids": ["ExecutionId", "StepId"],
    "_model.protocols": ["NamedCallable", "ParallelCallable", "ProgressBar"],
    "_model.results": ["Err", "Ok", "ParallelResult", "RemoteError"],
    "_model.summary": ["FailureGroup", "Summary", "summarize"],
}
_MODULES = {name: module for module, names in _TABLE.items() for name in names}

__all__ = [*_MODULES]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
