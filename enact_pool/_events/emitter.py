"""Emitters: what receives the events of a run."""

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

# Which events an emitter receives: those of outcomes, in the order of the callables; or also, as
# they happen, those of starts and of workers.
EmitterMode = Literal["outcomes", "live"]


# `inspect.CO_COROUTINE`; importing `inspect` takes long.
_CO_COROUTINE = 0x80


@public
class Emitter(Protocol):
    """An object that receives events.

    If its attribute `mode` is `"live"`, it receives the events of `EventEmitter(mode="live")`.
    """

    def emit(self, event: StreamEvent, /) -> object:
        """Receive the next event, in the thread that called `run_parallel`.

        `emit` may call `run_parallel`; the outer run waits meanwhile.
        """
        ...


def check_emitter(emitter: object) -> None:
    """Raise `TypeError` for an emitter without a usable `emit`, `ValueError` for a wrong mode."""
    if emitter is None:
        return
    emit = getattr(emitter, "emit", None)
    code = getattr(getattr(emit, "__func__", emit), "__code__", None)
    if code is not None and code.co_flags & _CO_COROUTINE:
        raise TypeError("emit(event) must not be a coroutine function: it would never be awaited")
    if not callable(emit):
        raise TypeError(
            f"emitter must have a method emit(event); {type(emitter).__name__!r} has none"
        )
    _checked_mode(getattr(emitter, "mode", "outcomes"))


def is_live(emitter: object) -> bool:
    """Return whether an emitter receives events as they happen."""
    return getattr(emitter, "mode", "outcomes") == "live"


def _checked_mode(mode: object) -> EmitterMode:
    if mode not in ("outcomes", "live"):
        raise ValueError(f"an emitter's mode must be 'outcomes' or 'live', not {mode!r}")
    return mode


class EventBatch:
    """Events with one timestamp, each made when it is read.

    Each event is a `StepEnd` made of these ids, outputs and durations, except for the events in
    `others`, by their indexes.
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
        # How many of these events an iteration over an emitter has yielded.
        self.yielded = 0

    def __iter__(self) -> Iterator[StreamEvent]:
        """Make the events, each when its turn comes."""
        ids, step_ids, outputs, durations = self._columns
        texts = ["None" if output is None else output for output in outputs]
        # `count`, not the range: for numbers as large as these, a range is slower to iterate.
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
    """Events in the order in which they were emitted.

    Most events are made when they are read, again for each read, so that events that are not read
    cost nothing. `list(events)` makes all of them.
    """

    def __init__(self, parts: list[StreamEvent | EventBatch]) -> None:
        self._parts = parts

    @cached_property
    def _starts(self) -> list[int]:
        """The index of each part's first event, and the number of all events."""
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
            raise IndexError(f"there are only {len(self)} events: {index} is out of range")
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
    """A queue of events: `emit` in any thread, `drain` or iterate in any other.

    Each event is returned once, to the first reader.

    Args:
        mode: "outcomes": one event for each callable, in the order of the callables. "live": also,
            as they happen, an `ExecutionStart` and an `ExecutionEnd` for each run, a `StepStart`
            for each callable that begins in a worker, and the workers' `WorkerStart`, `WorkerEnd`
            and `WorkerMemory`; all events of callables then have a `span`. Default: "outcomes".

    Raises:
        ValueError: The mode is another one.
    """

    def __init__(self, mode: EmitterMode = "outcomes") -> None:
        self.mode: EmitterMode = _checked_mode(mode)
        self._queue: deque[StreamEvent | EventBatch] = deque()
        self._closed = False
        # Re-entrant: a signal handler may emit while its thread is in `emit`.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        # The number of threads that wait for an event.
        self._waiting = 0

    def emit(self, event: StreamEvent) -> None:
        """Add an event. Raises `RuntimeError` if the emitter is closed."""
        self._add(event)

    def emit_batch(self, events: EventBatch) -> None:
        """Add several events at once. Raises `RuntimeError` if the emitter is closed."""
        self._add(events)

    def _add(self, item: StreamEvent | EventBatch) -> None:
        with self._lock:
            if self._closed:
                raise RuntimeError("the emitter is closed")
            self._queue.append(item)
            if self._waiting:
                self._changed.notify_all()

    def drain(self) -> Events:
        """Return the events since the last drain, without waiting."""
        with self._lock:
            parts = list(self._queue)
            self._queue.clear()
        # No other thread sees these parts any more. An iteration may have yielded some events of
        # the first.
        if parts and isinstance(parts[0], EventBatch) and parts[0].yielded:
            parts[:1] = list(parts[0])[parts[0].yielded :]
        return Events(parts)

    def __iter__(self) -> Iterator[StreamEvent]:
        """Yield events as they arrive, until the emitter is closed and empty."""
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
                # One by one: another thread may take the next event. An event stays in the queue
                # until the last moment: a signal handler may raise in here.
                item = self._queue[0]
                if not isinstance(item, EventBatch):
                    return self._queue.popleft()  # type: ignore[return-value]
                if item.yielded < len(item):
                    event = item[item.yielded]
                    item.yielded += 1
                    return event
                self._queue.popleft()

    def close(self) -> None:
        """Refuse further events; iteration ends after those that are queued."""
        with self._lock:
            self._closed = True
            self._changed.notify_all()
