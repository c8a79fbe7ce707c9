"""Events that are told to live emitters only: what begins, and what becomes of the workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from attrs import define, field

from enact_pool._events.events import StreamEvent
from enact_pool._model.errors import now_ms
from enact_pool._model.ids import StepId
from enact_pool._python.public_names import public

__all__ = [
    "CallWrapper",
    "ExecutionEnd",
    "ExecutionStart",
    "StepStart",
    "WorkerEnd",
    "WorkerMemory",
    "WorkerStart",
]

T = TypeVar("T")


@public
class CallWrapper(Protocol):
    """What calls callables in workers, and may do something before and after: can be pickled."""

    def __call__(self, index: int, call: Callable[[], T], /) -> T:
        """Return what `call()` returns."""
        ...


@public
@define(match_args=False, repr=False)
class ExecutionStart(StreamEvent):
    """A run begins; `execution_id` is its own.

    `callables` is how many there are, None if that is not known, and
    `max_workers` how many workers it may have at once.
    """

    type = "data-execution-start"

    __match_args__ = ("execution_id", "callables", "max_workers", "timestamp")

    callables: int | None
    max_workers: int
    timestamp: int = field(factory=now_ms)
    # Takes a wrapper; None when the workers have their setup.
    _take_wrapper: Callable[[CallWrapper], object] | None = field(
        default=None, eq=False, kw_only=True, alias="take_wrapper"
    )

    def wrap_calls(self, wrapper: CallWrapper) -> None:
        """Have each callable of the run called by `wrapper(index, call)`, in its worker.

        `index` is its place in the run, as in its span. The wrapper has to call `call`,
        once, and to return what that returns; what it raises is the callable's. It is
        pickled now, and sent to each worker once. Of several the first is outermost.

        For emitters, before they return from `emit`: raises `RuntimeError` later, and
        whatever pickling the wrapper raises.
        """
        if self._take_wrapper is None:
            raise RuntimeError("calls can be wrapped only while the event is emitted")
        self._take_wrapper(wrapper)


@public
@define(match_args=False, repr=False)
class ExecutionEnd(StreamEvent):
    """A run is over: all its callables have been told of, or it was given up.

    `ok`, `failed`, `crashed` and `cancelled` count the outcomes: `failed` those that
    are an `Err` of the callable's own, `crashed` those whose worker died, or was
    killed for a limit. `duration_ms` is the time since the run began.
    """

    type = "data-execution-end"

    __match_args__ = (
        "execution_id",
        "ok",
        "failed",
        "crashed",
        "cancelled",
        "duration_ms",
        "timestamp",
    )

    ok: int
    failed: int
    crashed: int
    cancelled: int
    duration_ms: float
    timestamp: int = field(factory=now_ms)


@public
@define(match_args=False, repr=False)
class StepStart(StreamEvent):
    """A callable has begun in a worker: `span` says where and when.

    Told as it happens, not in the order of the callables, and before the event of
    its end, which has the same ids (an `ExecutionFailed` of a worker that died has
    a fresh execution id: go by `span.run_id` and `span.index` there).
    """

    type = "data-step-start"

    __match_args__ = ("execution_id", "step_id", "timestamp")

    _step_id: StepId | int = field(alias="step_id", eq=StepId.spelled)
    timestamp: int = field(factory=now_ms)

    @property
    def step_id(self) -> StepId:
        """The step that begins."""
        self._step_id = StepId.spelled(self._step_id)
        return self._step_id


@public
@define(match_args=False, repr=False)
class WorkerStart(StreamEvent):
    """A worker process that was started for a run is ready; `execution_id` is the run's."""

    type = "data-worker-start"

    __match_args__ = ("execution_id", "lane", "worker_pid", "timestamp")

    lane: int
    worker_pid: int
    timestamp: int = field(factory=now_ms)


@public
@define(match_args=False, repr=False)
class WorkerEnd(StreamEvent):
    """A worker process has ended during a run, whose id is `execution_id`.

    `reason` goes on from "worker": "was killed by SIGSEGV", say. What it was
    running, if anything, is told by an event of its own.
    """

    type = "data-worker-end"

    __match_args__ = ("execution_id", "lane", "worker_pid", "reason", "timestamp")

    lane: int
    worker_pid: int
    reason: str
    timestamp: int = field(factory=now_ms)


@public
@define(match_args=False, repr=False)
class WorkerMemory(StreamEvent):
    """How many bytes a worker has resident, with what its callables have started.

    Looked at every 0.1 seconds, or as rarely as it takes to spend a hundredth of the time on it.
    """

    type = "data-worker-memory"

    __match_args__ = ("execution_id", "lane", "worker_pid", "resident_bytes", "timestamp")

    lane: int
    worker_pid: int
    resident_bytes: int
    timestamp: int = field(factory=now_ms)
