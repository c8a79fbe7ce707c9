"""An emitter to follow what happens with, and what else may take its place."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, chain, count, repeat
from operator import eq
from typing import Any, Literal, Protocol, overload

from enact_pool._events.events import StepEnd, StreamEvent
from enact_pool._model.ids import ExecutionId
from enact_pool._python.process_local import ProcessLocal
from enact_pool._python.public_names import public

__all__ = [
    "Emitter",
    "EmitterMode",
    "EventBatch",
    "EventEmitter",
    "Events",
    "check_emitter",
    "is_live",
]

# Which events an emitter is given: those in which callables end, in the order of the
# callables; or also, as it happens, what begins and what the workers do.
EmitterMode = Literal["outcomes", "live"]


# `inspect.CO_COROUTINE`: that module takes long to import.
_CO_COROUTINE = 0x80


@public
class Emitter(Protocol):
    """Anything that takes events.

    One with an attribute `mode` of `"live"` is given those of `EventEmitter(mode="live")`.
    """

    def emit(self, event: StreamEvent, /) -> object:
        """Take the next event; called in the thread that called `run_parallel`.

        It may call `run_parallel` itself; the outer run waits meanwhile.
        """
        ...


def check_emitter(emitter: object) -> None:
    """Raise `TypeError` for an emitter that cannot emit."""
    emit = getattr(emitter, "emit", None)
    code = getattr(getattr(emit, "__func__", emit), "__code__", None)
    if code is not None and code.co_flags & _CO_COROUTINE:
        raise TypeError("emit(event) must not be a coroutine function: nobody would await it")
    if emitter is not None and not callable(emit):
        raise TypeError(f"emitter must have emit(event), {type(emitter).__name__!r} object has not")
    _checked_mode(getattr(emitter, "mode", "outcomes"))


def is_live(emitter: object) -> bool:
    """Whether an emitter wants to be told what happens as it happens."""
    return getattr(emitter, "mode", "outcomes") == "live"


def _checked_mode(mode: object) -> EmitterMode:
    if mode not in ("outcomes", "live"):
        raise ValueError(f"an emitter's mode must be 'outcomes' or 'live', not {mode!r}")
    return mode


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

    def __iter__(self) -> Iterator[StreamEvent]:
        """The events, each made when its turn comes."""
        ids, step_ids, outputs, durations = self._columns
        texts = ["None" if output is None else output for output in outputs]
        # As large as these numbers are, a range takes longer to count.
        steps = count(step_ids.start)
        made = map(StepEnd, ids, steps, texts, durations, repeat(self._timestamp))
        if not self._others:
            return made
        events: list[StreamEvent] = list(made)
        for index, event in self._others.items():
            events[index] = event
        return iter(events)

    def __len__(self) -> int:
        return len(self._columns[0])

    def __getitem__(self, index: int) -> StreamEvent:
        ids, step_ids, outputs, durations = self._columns
        if index in self._others:
            return self._others[index]
        text = "None" if outputs[index] is None else outputs[index]
        return StepEnd(ids[index], step_ids[index], text, durations[index], self._timestamp)


@public
class Events(Sequence[StreamEvent]):
    """Events in the order they came; most are made when they are looked at, and anew each time.

    Nothing is spent on those that nobody looks at. `list(events)` makes them all.
    """

    def __init__(self, parts: list[StreamEvent | EventBatch]) -> None:
        self._parts = parts

    @cached_property
    def _starts(self) -> list[int]:
        """The index of each part's first event, and how many there are in all."""
        lengths = [len(part) if isinstance(part, EventBatch) else 1 for part in self._parts]
        return list(accumulate(lengths, initial=0))

    def __len__(self) -> int:
        return self._starts[-1]

    def __iter__(self) -> Iterator[StreamEvent]:
        return chain.from_iterable(
            part if isinstance(part, EventBatch) else (part,) for part in self._parts
        )

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


@public
class EventEmitter(ProcessLocal):
    """A queue of events: `emit` from any thread, `drain` or iterate in any other.

    Each event is given once, to whoever asks first.

    By `mode`, it is given one event for each callable, in their order
    (`"outcomes"`); or `"live"` also, as it happens and not held back for the order,
    an `ExecutionStart` and an `ExecutionEnd` for each run, a `StepStart` for each
    callable that begins in a worker, and what becomes of the workers: `WorkerStart`,
    `WorkerEnd`, `WorkerMemory`. All events of callables have a `span` then, which
    says where and when they ran. Raises `ValueError` for another mode.
    """

    def __init__(self, mode: EmitterMode = "outcomes") -> None:
        self.mode: EmitterMode = _checked_mode(mode)
        self._queue: deque[StreamEvent | EventBatch] = deque()
        self._closed = False
        # Re-entrant: a signal handler may emit while its thread is in `emit`.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        # How many threads wait for an event.
        self._waiting = 0

    def emit(self, event: StreamEvent) -> None:
        """Add an event; raises `RuntimeError` if the emitter is closed."""
        self._add(event)

    def emit_batch(self, events: EventBatch) -> None:
        """Add several events at once; raises `RuntimeError` if the emitter is closed."""
        self._add(events)

    def _add(self, item: StreamEvent | EventBatch) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError("the emitter is closed")
            self._queue.append(item)
            if self._waiting:
                self._changed.notify_all()

    def drain(self) -> Events:
        """The events that have come since the last drain; does not wait."""
        with self._lock:
            parts = list(self._queue)
            self._queue.clear()
        # Out of the queue they are ours alone. The first may have been given in part.
        if parts and isinstance(parts[0], EventBatch) and parts[0].given:
            parts[:1] = list(parts[0])[parts[0].given :]
        return Events(parts)

    def __iter__(self) -> Iterator[StreamEvent]:
        """The events as they come; ends when the emitter is closed and empty."""
        while (event := self._next()) is not None:
            yield event

    def _next(self) -> StreamEvent | None:
        with self._lock:
            while True:
                while not self._queue:
                    if self._closed:
                        return None
                    self._waiting += 1
                    try:
                        self._changed.wait()
                    finally:
                        self._waiting -= 1
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
        with self._lock:
            self._closed = True
            self._changed.notify_all()
