"""Events: what happened, told in the order of the callables; and an emitter to follow them."""

from __future__ import annotations

import json
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, repeat
from operator import eq
from typing import Any, ClassVar, Protocol, overload

from attrs import define, field

from enact_pool.errors import ExecutionError, now_ms
from enact_pool.ids import ExecutionId, StepId
from enact_pool.results import Err, Ok

__all__ = [
    "Emitter",
    "EventBatch",
    "EventEmitter",
    "Events",
    "ExecutionCancelled",
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

    @staticmethod
    def execution_cancelled(execution_id: ExecutionId | int, reason: str) -> ExecutionCancelled:
        """An execution was cancelled: it was killed, or never started."""
        return ExecutionCancelled(execution_id, reason)

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


def _output_text(output: Any) -> str | None:
    if output is None or isinstance(output, str):
        return output
    if isinstance(output, Err):
        return f"Error: {output.error}"
    return str(output.value if isinstance(output, Ok) else output)


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
    # May be no text yet, but what a result has: an error, or a value that shows
    # itself (see `texts`), in an `Ok` or not.
    _output: Any = field(alias="output", eq=_output_text)
    duration_ms: float
    timestamp: int = field(factory=now_ms)

    @property
    def step_id(self) -> StepId:
        """The step that ended."""
        self._step_id = StepId.spelled(self._step_id)
        return self._step_id

    @property
    def output(self) -> str | None:
        """The returned value as text, or `"Error: "` and the exception's text."""
        text = self._output = _output_text(self._output)
        return text

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
    timestamp: int = field(factory=now_ms)

    def to_dict(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "execution_id": self.execution_id,
            "error": self.error.to_dict(),
            "timestamp": self.timestamp,
        }


@define(match_args=False, repr=False)
class ExecutionCancelled(StreamEvent):
    """An execution was cancelled: it was killed, or never started; `reason` says for what."""

    type = "data-execution-cancelled"

    __match_args__ = ("execution_id", "reason", "timestamp")

    reason: str
    timestamp: int = field(factory=now_ms)

    def to_dict(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "execution_id": self.execution_id,
            "reason": self.reason,
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


class EventBatch:
    """Events of one time, to be made when they are asked for.

    Each is a `StepEnd` of these ids, outputs and durations, but for those that
    are there already, by their indexes.
    """

    def __init__(
        self,
        execution_ids: Sequence[ExecutionId | int],
        step_ids: range,
        outputs: Sequence[Any],
        durations: Sequence[float],
        others: Mapping[int, StreamEvent],
        timestamp: int,
    ) -> None:
        self._columns = execution_ids, step_ids, outputs, durations
        self._others = others
        self._timestamp = timestamp
        # How many of them were given to those who iterate over an emitter.
        self.given = 0

    def spelled(self) -> list[StreamEvent]:
        """The events."""
        ids, step_ids, outputs, durations = self._columns
        texts = ["None" if output is None else output for output in outputs]
        events: list[StreamEvent] = list(
            map(StepEnd, ids, step_ids, texts, durations, repeat(self._timestamp))
        )
        for index, event in self._others.items():
            events[index] = event
        return events

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, index: int) -> StreamEvent:
        ids, step_ids, outputs, durations = self._columns
        if index in self._others:
            return self._others[index]
        text = "None" if outputs[index] is None else outputs[index]
        return StepEnd(ids[index], step_ids[index], text, durations[index], self._timestamp)


class Events(Sequence[StreamEvent]):
    """Events in the order they came; most are made when they are looked at, and anew each time.

    Nothing is spent on those that nobody looks at. `list(events)` makes them all.
    """

    def __init__(self, parts: list[StreamEvent | EventBatch]) -> None:
        self._parts = parts
        lengths = [len(part) if isinstance(part, EventBatch) else 1 for part in parts]
        # The index of each part's first event, and how many there are in all.
        self._starts = list(accumulate(lengths, initial=0))

    def __len__(self) -> int:
        return self._starts[-1]

    def __iter__(self) -> Iterator[StreamEvent]:
        for part in self._parts:
            if isinstance(part, EventBatch):
                yield from part.spelled()
            else:
                yield part

    @overload
    def __getitem__(self, index: int) -> StreamEvent: ...

    @overload
    def __getitem__(self, index: slice) -> list[StreamEvent]: ...

    def __getitem__(self, index: int | slice) -> StreamEvent | list[StreamEvent]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        if not -len(self) <= index < len(self):
            raise IndexError(f"there are {len(self)} events, and none at {index}")
        at = index % len(self)
        number = bisect_right(self._starts, at) - 1
        part = self._parts[number]
        return part[at - self._starts[number]] if isinstance(part, EventBatch) else part

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Events, list)):
            return NotImplemented
        return len(self) == len(other) and all(map(eq, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))


class EventEmitter:
    """A queue of events: `emit` from any thread, `drain` or iterate in any other.

    Each event is given once, to whoever asks first.
    """

    def __init__(self) -> None:
        self._queue: deque[StreamEvent | EventBatch] = deque()
        self._closed = False
        # Re-entrant: a signal handler may emit while its thread is in `emit`.
        self._changed = threading.Condition(threading.RLock())

    def emit(self, event: StreamEvent) -> None:
        """Add an event; raises `RuntimeError` if the emitter is closed."""
        self._add(event)

    def emit_batch(self, events: EventBatch) -> None:
        """Add several events at once; raises `RuntimeError` if the emitter is closed."""
        self._add(events)

    def _add(self, item: StreamEvent | EventBatch) -> None:
        with self._changed:
            if self._closed:
                raise RuntimeError("the emitter is closed")
            self._queue.append(item)
            self._changed.notify_all()

    def drain(self) -> Events:
        """The events that have come since the last drain; does not wait."""
        with self._changed:
            parts = list(self._queue)
            self._queue.clear()
        # Out of the queue they are ours alone. The first may have been given in part.
        if parts and isinstance(parts[0], EventBatch):
            parts[:1] = parts[0].spelled()[parts[0].given :]
        return Events(parts)

    def __iter__(self) -> Iterator[StreamEvent]:
        """The events as they come; ends when the emitter is closed and empty."""
        while (event := self._next()) is not None:
            yield event

    def _next(self) -> StreamEvent | None:
        with self._changed:
            while True:
                while not self._queue:
                    if self._closed:
                        return None
                    self._changed.wait()
                # One by one: the next may be another thread's. And it stays in the
                # queue till the last moment: a signal handler may raise in here.
                item = self._queue[0]
                if not isinstance(item, EventBatch):
                    return self._queue.popleft()  # type: ignore[return-value]
                if item.given < len(item):
                    event = item[item.given]
                    item.given += 1
                    return event
                self._queue.popleft()

    def close(self) -> None:
        """No more events will come: iteration ends after those that have."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
