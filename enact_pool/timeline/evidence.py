"""From events to a history: events in any order, of several runs, of an incomplete log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from attrs import define, evolve, field

from enact_pool._events.emitter import EventEmitter, is_live
from enact_pool._events.events import ExecutionCancelled, ExecutionFailed, StepEnd, StreamEvent
from enact_pool._events.live_events import (
    ExecutionEnd,
    ExecutionStart,
    StepStart,
    WorkerEnd,
    WorkerMemory,
    WorkerStart,
)
from enact_pool._events.span import Span
from enact_pool._model.ids import ExecutionId
from enact_pool.timeline.history import Ending, History, Memory, Run, Slice, WorkerMark
from enact_pool.timeline.rows import Row, Stay, pools_of

__all__ = ["history_of"]

_NOT_LIVE = (
    "these events have no spans: only the events of a live emitter, such as an "
    'EventEmitter(mode="live"), can be drawn'
)

# Converts milliseconds since the epoch to the times of a history.
_Since = Callable[[float], float]

# An event of a callable: its start or its outcome.
_CallableEvent = StepStart | StepEnd | ExecutionFailed | ExecutionCancelled


def history_of(events: Iterable[StreamEvent] | EventEmitter) -> History:
    """Return the history of events; an emitter is drained.

    Raises `ValueError` if the events are not those of a live emitter.
    """
    if isinstance(events, EventEmitter):
        if not is_live(events):
            raise ValueError(_NOT_LIVE)
        events = events.drain()
    evidence = _Evidence()
    for event in events:
        evidence.add(event)
    return evidence.history()


@define
class _Evidence:
    """Events, sorted by the object that they describe."""

    _callable_events: dict[tuple[ExecutionId, int], _CallableEvent] = field(factory=dict)
    _starts: dict[ExecutionId, float] = field(factory=dict)
    _ends: dict[ExecutionId, float] = field(factory=dict)
    _worker_starts: list[WorkerStart] = field(factory=list)
    _worker_ends: list[WorkerEnd] = field(factory=list)
    _memory: list[WorkerMemory] = field(factory=list)
    # The first and the last time in the events of each run.
    _times: dict[ExecutionId, tuple[float, float]] = field(factory=dict)
    _stays: set[Stay] = field(factory=set)

    def add(self, event: StreamEvent) -> None:
        if not isinstance(event, StreamEvent):
            raise TypeError(f"events must be stream events, not {type(event).__name__}")
        if isinstance(event, (StepStart, StepEnd, ExecutionFailed, ExecutionCancelled)):
            self._add_callable_event(event)
        elif isinstance(event, ExecutionStart):
            self._starts[event.execution_id] = event.timestamp
            self._extend(event.execution_id, event.timestamp)
        elif isinstance(event, ExecutionEnd):
            self._ends[event.execution_id] = event.timestamp
            self._extend(event.execution_id, event.timestamp)
        elif isinstance(event, (WorkerStart, WorkerEnd, WorkerMemory)):
            self._extend(event.execution_id, event.timestamp)
            self._stays.add(Stay(event.execution_id, event.lane, event.worker_pid))
            if isinstance(event, WorkerStart):
                self._worker_starts.append(event)
            elif isinstance(event, WorkerEnd):
                self._worker_ends.append(event)
            else:
                self._memory.append(event)

    def _add_callable_event(self, event: _CallableEvent) -> None:
        span = event.span
        if span is None:
            raise ValueError(_NOT_LIVE)
        key = span.run_id, span.index
        if key not in self._callable_events or not isinstance(event, StepStart):
            self._callable_events[key] = event
        if span.lane is not None and span.worker_pid is not None:
            self._stays.add(Stay(span.run_id, span.lane, span.worker_pid))
        for time in (span.queued_at, span.started_at, span.finished_at, event.timestamp):
            if time is not None:
                self._extend(span.run_id, time)

    def _extend(self, run_id: ExecutionId, time: float) -> None:
        first, last = self._times.get(run_id, (time, time))
        self._times[run_id] = min(first, time), max(last, time)

    def history(self) -> History:
        pools = pools_of(self._times, self._stays)
        began = min((first for first, _ in self._times.values()), default=0.0)
        end = max((last for _, last in self._times.values()), default=0.0)

        def since(time: float) -> float:
            return (time - began) / 1000

        def row(event: WorkerStart | WorkerEnd | WorkerMemory) -> Row:
            return Row(pools[event.execution_id], event.lane)

        runs = [
            Run(
                run_id,
                pools[run_id],
                since(self._starts.get(run_id, first)),
                since(self._ends.get(run_id, last)),
                run_id in self._ends,
            )
            for run_id, (first, last) in self._times.items()
        ]
        deaths = [
            WorkerMark(row(event), since(event.timestamp), event.worker_pid, event.reason)
            for event in self._worker_ends
        ]
        starts = [
            WorkerMark(row(event), since(event.timestamp), event.worker_pid)
            for event in self._worker_starts
        ]
        memory = [
            Memory(row(event), since(event.timestamp), event.resident_bytes)
            for event in self._memory
        ]
        memory += [Memory(death.row, death.time, 0) for death in deaths]
        slices = [
            _slice(event, event.span, pools[event.span.run_id], since, self._times)
            for event in self._callable_events.values()
            if event.span is not None
            and event.span.lane is not None
            and event.span.started_at is not None
        ]
        slices = _one_at_a_time(slices, deaths)
        rows = {each.row for each in slices} | {each.row for each in memory}
        rows |= {mark.row for mark in starts} | {mark.row for mark in deaths}
        return History(
            began_ms=began,
            end=since(end),
            runs=sorted(runs, key=lambda run: run.start),
            rows=sorted(rows),
            slices=slices,
            deaths=sorted(deaths, key=lambda mark: mark.time),
            respawns=_respawns(starts, deaths),
            memory=sorted(memory, key=lambda each: each.time),
            queue=[
                (pool, since(time), length) for pool, time, length in _queue(self._waits(pools))
            ],
            endings=Counter(_ending(event) for event in self._callable_events.values()),
        )

    def _waits(self, pools: dict[ExecutionId, int]) -> Iterable[tuple[int, float, float]]:
        """Yield for each callable its pool, and the beginning and the end of its wait."""
        for (run_id, _), event in self._callable_events.items():
            if event.span is not None:
                started = event.span.started_at
                left = event.timestamp if started is None else started
                yield pools[run_id], event.span.queued_at, max(left, event.span.queued_at)


def _ending(event: _CallableEvent) -> Ending:
    outcome = None if event.span is None else event.span.outcome
    return "unfinished" if outcome is None else outcome


def _slice(
    event: _CallableEvent,
    span: Span,
    pool: int,
    since: _Since,
    times: dict[ExecutionId, tuple[float, float]],
) -> Slice:
    start = since(span.started_at or 0.0)
    _, last = times[span.run_id]
    end = since(last if span.finished_at is None else span.finished_at)
    error, traceback = "", span.traceback
    if isinstance(event, ExecutionFailed):
        error = event.error.message
        traceback = traceback or str(event.error.details.get("stack") or "")
    elif isinstance(event, ExecutionCancelled):
        error = event.reason
    elif isinstance(event, StepEnd) and span.outcome == "failed":
        error = event.output or ""
    return Slice(
        Row(pool, span.lane or 0),
        start,
        max(start, end),
        _ending(event),
        span,
        event.execution_id,
        error,
        traceback,
    )


def _one_at_a_time(slices: list[Slice], deaths: list[WorkerMark]) -> list[Slice]:
    """Return the slices by row and start, each cut off where the next slice of its row starts.

    A lane runs one callable at a time. But the parent may notice the death of a callable late, and
    an unfinished callable ended with its worker, if the worker has ended.
    """
    died = {(death.row, death.worker_pid): death.time for death in deaths}
    placed = sorted(slices, key=_place)
    for number, one in enumerate(placed):
        end = one.end
        if one.ending == "unfinished" and one.span.worker_pid is not None:
            end = min(end, died.get((one.row, one.span.worker_pid), end))
        if number + 1 < len(placed) and placed[number + 1].row == one.row:
            end = min(end, placed[number + 1].start)
        if end != one.end:
            placed[number] = evolve(one, end=max(one.start, end))
    return placed


def _place(each: Slice) -> tuple[int, int, float, float]:
    return each.row.pool, each.row.lane, each.start, each.end


def _respawns(starts: list[WorkerMark], deaths: list[WorkerMark]) -> list[WorkerMark]:
    """Return the workers that started in a row in which another worker had ended."""
    # Times are whole milliseconds: at equal times, a death precedes the start of a replacement.
    changes = [(mark.time, False, mark) for mark in deaths]
    changes += [(mark.time, True, mark) for mark in starts]
    respawns = []
    emptied: set[Row] = set()
    for _, is_start, mark in sorted(changes, key=lambda change: change[:2]):
        if not is_start:
            emptied.add(mark.row)
        elif mark.row in emptied:
            respawns.append(mark)
    return respawns


def _queue(waits: Iterable[tuple[int, float, float]]) -> list[tuple[int, float, int]]:
    changes: Counter[tuple[float, int]] = Counter()
    for pool, queued, left in waits:
        changes[queued, pool] += 1
        changes[left, pool] -= 1
    lengths: Counter[int] = Counter()
    queue = []
    for (time, pool), change in sorted(changes.items()):
        lengths[pool] += change
        if change:
            queue.append((pool, time, lengths[pool]))
    return queue
