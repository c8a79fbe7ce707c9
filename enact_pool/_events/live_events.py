"""Events that only live emitters receive: starts of runs and callables, and those of workers."""

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
    """A function that calls callables in workers, and may act before and after; can be pickled."""

    def __call__(self, index: int, call: Callable[[], T], /) -> T:
        """Return what `call()` returns."""
        ...


@public
@define(match_args=False, repr=False)
class ExecutionStart(StreamEvent):
    """A run begins.

    Attributes:
        execution_id: The id of the run.
        callables: How many callables the run has; None if that is not known.
        max_workers: How many workers it may use at once.
    """

    type = "data-execution-start"

    __match_args__ = ("execution_id", "callables", "max_workers", "timestamp")

    callables: int | None
    max_workers: int
    timestamp: int = field(factory=now_ms)
    # Adds a wrapper; None after the setup was sent to the workers.
    _take_wrapper: Callable[[CallWrapper], object] | None = field(
        default=None, eq=False, kw_only=True, alias="take_wrapper"
    )

    def wrap_calls(self, wrapper: CallWrapper) -> None:
        """Have each callable of the run called by `wrapper(index, call)`, in its worker.

        The wrapper must call `call` once, and return what it returns; an exception of the wrapper
        counts as the callable's. The first of several wrappers is the outermost. Emitters call
        this method before they return from `emit`.

        Args:
            wrapper: Pickled now, and sent once to each worker. Its `index` is the place of the
                callable in the run, as in its span.

        Raises:
            RuntimeError: `emit` has returned already.
            Exception: What pickling the wrapper raises.
        """
        if self._take_wrapper is None:
            raise RuntimeError("calls can be wrapped only while the event is emitted")
        self._take_wrapper(wrapper)


@public
@define(match_args=False, repr=False)
class ExecutionEnd(StreamEvent):
    """A run is over: the events of all its outcomes were emitted, or the run was abandoned.

    Attributes:
        ok: How many callables returned.
        failed: How many callables raised.
        crashed: How many callables' workers died, or were killed for a limit violation.
        cancelled: How many callables were cancelled.
        duration_ms: Milliseconds since the run began.
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
    """A callable has begun in a worker; `span` contains where and when.

    It is emitted as it happens, not in the order of the callables, and before the event of the
    callable's end. Both have the same ids, except that an `ExecutionFailed` of a dead worker has a
    new execution id: compare `span.run_id` and `span.index` there.
    """

    type = "data-step-start"

    __match_args__ = ("execution_id", "step_id", "timestamp")

    _step_id: StepId | int = field(alias="step_id", eq=StepId.spelled)
    timestamp: int = field(factory=now_ms)

    @property
    def step_id(self) -> StepId:
        """The id of the step that begins."""
        self._step_id = StepId.spelled(self._step_id)
        return self._step_id


@public
@define(match_args=False, repr=False)
class WorkerStart(StreamEvent):
    """A worker that was started for a run is ready; `execution_id` is the id of the run."""

    type = "data-worker-start"

    __match_args__ = ("execution_id", "lane", "worker_pid", "timestamp")

    lane: int
    worker_pid: int
    timestamp: int = field(factory=now_ms)


@public
@define(match_args=False, repr=False)
class WorkerEnd(StreamEvent):
    """A worker exited during a run, whose id is `execution_id`.

    `reason` continues the sentence "the worker ...": for example "was killed by SIGSEGV". If the
    worker was running a callable, that callable has an event of its own.
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
    """The resident bytes of a worker, including the processes that its callables started.

    Measured every 0.1 seconds, or more rarely if measuring takes more than a hundredth of the time.
    """

    type = "data-worker-memory"

    __match_args__ = ("execution_id", "lane", "worker_pid", "resident_bytes", "timestamp")

    lane: int
    worker_pid: int
    resident_bytes: int
    timestamp: int = field(factory=now_ms)
