"""Events: what happened, told in the order of the callables; and an emitter to follow them."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Protocol

from attrs import define, field

from enact_pool.errors import ExecutionError, now_ms
from enact_pool.ids import ExecutionId, StepId
from enact_pool.results import Err, Ok

__all__ = [
    "Emitter",
    "EventEmitter",
    "ExecutionFailed",
    "StepEnd",
    "StreamEvent",
    "check_emitter",
]


@define(match_args=False, repr=False)
class StreamEvent:
    """Something that happened to one execution; its kinds are the subclasses.

    `type` names the kind, `timestamp` is in milliseconds since the epoch.
    Events are made by the ten thousand and most are never read, so ids and
    outputs are spelled out when asked for.
    """

    type: ClassVar[str]

    _execution_id: ExecutionId | int = field(alias="execution_id", eq=ExecutionId.spelled)
    timestamp: int = field(factory=now_ms, kw_only=True)

    @property
    def execution_id(self) -> ExecutionId:
        """The execution that this is about: the `execution_id` of its result."""
        self._execution_id = ExecutionId.spelled(self._execution_id)
        return self._execution_id

    @staticmethod
    def step_end(
        execution_id: ExecutionId | int,
        step_id: StepId | int,
        output: str | None,
        duration_ms: float,
    ) -> StepEnd:
        """A callable returned or raised."""
        return StepEnd(execution_id, step_id, output, duration_ms)

    @staticmethod
    def execution_failed(execution_id: ExecutionId | int, error: ExecutionError) -> ExecutionFailed:
        """An execution failed around its callable: its worker died, say."""
        return ExecutionFailed(execution_id, error)

    def to_dict(self) -> dict[str, Any]:
        """The type and the fields by name, as JSON-able values."""
        raise NotImplementedError

    def to_json(self) -> str:
        """The event as a JSON object, on one line."""
        return json.dumps(self.to_dict())

    def __repr__(self) -> str:
        names = self.__match_args__  # type: ignore[attr-defined]
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__name__}({fields})"


def _output_text(output: str | Ok[Any] | Err | None) -> str | None:
    if isinstance(output, Ok):
        return str(output.value)
    return f"Error: {output.error}" if isinstance(output, Err) else output


@define(match_args=False, repr=False)
class StepEnd(StreamEvent):
    """A callable returned or raised.

    `output` is the returned value as text (a `str` as it is, anything else as
    a repr of bounded size), or `"Error: "` and the exception's text.
    `duration_ms` is the time from its start to its end in the worker.
    """

    type = "data-step-end"

    __match_args__ = ("execution_id", "step_id", "output", "duration_ms", "timestamp")

    _step_id: StepId | int = field(alias="step_id", eq=StepId.spelled)
    # Not a text yet: an error, or a value that shows itself (see `texts`).
    _output: str | Ok[Any] | Err | None = field(alias="output", eq=_output_text)
    duration_ms: float

    @property
    def step_id(self) -> StepId:
        """The step that ended."""
        self._step_id = StepId.spelled(self._step_id)
        return self._step_id

    @property
    def output(self) -> str | None:
        """The returned value as text, or `"Error: "` and the exception's text."""
        self._output = _output_text(self._output)
        return self._output

    def to_dict(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "execution_id": self.execution_id,
            "step_id": self.step_id,
            "output": self.output,
            "duration_ms": self.duration_ms,
            "timestamp": self.timestamp,
        }


@define(match_args=False, repr=False)
class ExecutionFailed(StreamEvent):
    """An execution failed around its callable; `error` says how."""

    type = "data-execution-failed"

    __match_args__ = ("execution_id", "error", "timestamp")

    error: ExecutionError

    def to_dict(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "execution_id": self.execution_id,
            "error": self.error.to_dict(),
            "timestamp": self.timestamp,
        }


class Emitter(Protocol):
    """Anything that takes events."""

    def emit(self, event: StreamEvent, /) -> object:
        """Take the next event; called in the thread that called `run_parallel`.

        It may call `run_parallel` itself; the outer run waits meanwhile.
        """
        ...


def check_emitter(emitter: object) -> None:
    """Raise `TypeError` for an emitter that cannot emit."""
    if emitter is not None and not callable(getattr(emitter, "emit", None)):
        raise TypeError(f"emitter must have emit(event), {type(emitter).__name__!r} object has not")


class EventEmitter:
    """A queue of events: `emit` from any thread, `drain` or iterate in any other.

    Each event is given once, to whoever asks first.
    """

    _CLOSED = object()

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._closed = False
        # So that no event comes after the end. Re-entrant: a signal handler may
        # emit while its thread is in `emit`.
        self._lock = threading.RLock()

    def emit(self, event: StreamEvent) -> None:
        """Add an event; raises `RuntimeError` if the emitter is closed."""
        self.emit_all((event,))

    def emit_all(self, events: Iterable[StreamEvent]) -> None:
        """Add several events at once; raises `RuntimeError` if the emitter is closed."""
        put = self._queue.put
        with self._lock:
            if self._closed:
                raise RuntimeError("the emitter is closed")
            for event in events:
                put(event)

    def drain(self) -> list[StreamEvent]:
        """The events that have come since the last drain; does not wait."""
        events: list[StreamEvent] = []
        while True:
            try:
                event = self._queue.get_nowait()
            except queue.Empty:
                return events
            if event is self._CLOSED:
                self._queue.put(event)
                return events
            events.append(event)

    def __iter__(self) -> Iterator[StreamEvent]:
        """The events as they come; ends when the emitter is closed and empty."""
        while (event := self._queue.get()) is not self._CLOSED:
            yield event
        # For the next one who iterates, now or later.
        self._queue.put(self._CLOSED)

    def close(self) -> None:
        """No more events will come: iteration ends after those that have."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(self._CLOSED)
