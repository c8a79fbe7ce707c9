"""What a live emitter is told of a run as it happens, and where and when its callables ran.

The run tells what it learns; events are kept here until it has time to emit them.
Nothing of this is there in runs whose emitter is not live.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import get_args

from attrs import define, field

from enact_pool._events.events import (
    ExecutionCancelled,
    ExecutionFailed,
    Outcome,
    Span,
    StepEnd,
    StreamEvent,
)
from enact_pool._events.live_events import (
    CallWrapperPickle,
    ExecutionEnd,
    ExecutionStart,
    StepStart,
    WorkerEnd,
    WorkerMemory,
    WorkerStart,
)
from enact_pool._lanes.lane import Lane
from enact_pool._model.ids import ExecutionId, fresh_ids
from enact_pool._model.results import Err
from enact_pool._system.process_tree import resident_bytes

__all__ = ["LiveEvents"]

_WEIGHING_SECONDS = 0.1
# The most that looking at memory may take, as a share of the time.
_SHARE = 0.01


@define
class _Step:
    """A callable that has begun: where, and when by the clock that all processes share."""

    id: int
    lane: int
    worker_pid: int
    started_ns: int
    finished_ns: int | None = None


@define
class LiveEvents:
    """The live events of one run, of at most `max_workers` workers.

    `name_of` gives the name of a callable, by its index, until it is settled, and
    `id_of` the number of its execution id.
    """

    _max_workers: int
    _name_of: Callable[[int], str]
    _id_of: Callable[[int], int]
    run_id: ExecutionId = field(factory=ExecutionId.new, init=False)
    _events: list[StreamEvent] = field(factory=list, init=False)
    # Of callables that have no outcome yet, by their indexes.
    _queued_ns: dict[int, int] = field(factory=dict, init=False)
    _steps: dict[int, _Step] = field(factory=dict, init=False)
    # Of those that have one and were not told of, by the ids of their results: index,
    # name, and when it was queued.
    _settled: dict[ExecutionId | int, tuple[int, str, int, _Step | None]] = field(
        factory=dict, init=False
    )
    # 0 and None: nothing was to be done yet.
    _began_ns: int = field(default=0, init=False)
    _start: ExecutionStart | None = field(default=None, init=False)
    # From the clock that all processes share to the time since the epoch.
    _epoch_ns: int = field(init=False)
    _next_weighing: float = field(init=False)
    # How many were told of, by their outcomes.
    _told: Counter[Outcome] = field(factory=Counter, init=False)

    def __attrs_post_init__(self) -> None:
        self._epoch_ns = time.time_ns() - time.monotonic_ns()
        self._next_weighing = time.monotonic() + _WEIGHING_SECONDS

    # What the run tells

    def queued(self, tasks: range, total: int | None) -> None:
        """These callables are to be run, of so many in all, if that is known."""
        if not tasks:
            return
        now = time.monotonic_ns()
        if not self._began_ns:
            self._began_ns = now
            self._start = ExecutionStart(self.run_id, total, self._max_workers, call_wrappers=[])
            self._events.append(self._start)
        self._queued_ns.update(dict.fromkeys(tasks, now))

    def began(self, lane: Lane, task: int, started_ns: int) -> None:
        """This callable is running there, since then; if that is news."""
        if task not in self._steps:
            (id,) = fresh_ids.take(1)
            step = self._steps[task] = _Step(id, lane.number, lane.pid, started_ns)
            span = self._span(task, self._name_of(task), self._queued_ns[task], step)
            self._events.append(StepStart(self._id_of(task), id, span=span))

    def ran(
        self, lane: Lane, tasks: Sequence[int], started_ns: list[int], ran_ns: list[int]
    ) -> None:
        """These callables have run there, each since then and for so long."""
        for task, started, took in zip(tasks, started_ns, ran_ns, strict=False):
            self.began(lane, task, started)
            self._steps[task].started_ns = started
            self._steps[task].finished_ns = started + took

    def died(self, task: int, finished_ns: int) -> None:
        """The worker of this callable has died, or was seen to be dead, then."""
        if task in self._steps:
            self._steps[task].finished_ns = finished_ns

    def settled(self, tasks: Sequence[int], ids: Iterable[int], names: Iterable[str]) -> None:
        """These callables have outcomes, with these ids."""
        now = time.monotonic_ns()
        for task, id, name in zip(tasks, ids, names, strict=True):
            step = self._steps.pop(task, None)
            if step is not None and step.finished_ns is None:
                step.finished_ns = now
            self._settled[id] = task, name, self._queued_ns.pop(task), step

    def withdrawn(self, task: int) -> None:
        """Nobody is to be told of this callable any more."""
        del self._queued_ns[task]

    def worker_started(self, lane: Lane) -> None:
        """Its process is ready."""
        self._events.append(WorkerStart(self.run_id, lane.number, lane.pid))

    def worker_ended(self, lane: int, pid: int, reason: str) -> None:
        """The process that was in this place has ended."""
        self._events.append(WorkerEnd(self.run_id, lane, pid, reason))

    def weigh(self, lanes: Iterable[Lane]) -> None:
        """Look how much memory these have, if it is time."""
        now = time.monotonic()
        if now < self._next_weighing:
            return
        begun = time.thread_time()
        for lane in lanes:
            size = resident_bytes(lane.pid)
            self._events.append(WorkerMemory(self.run_id, lane.number, lane.pid, size))
        pause = (time.thread_time() - begun) / _SHARE
        self._next_weighing = now + max(_WEIGHING_SECONDS, pause)

    # What is told

    @property
    def has_events(self) -> bool:
        """Whether there is something to be emitted."""
        return bool(self._events)

    def take(self) -> list[StreamEvent]:
        """What is to be emitted now."""
        events, self._events = self._events, []
        return events

    def take_call_wrappers(self) -> list[CallWrapperPickle]:
        """What those who were told that the run begins want its calls wrapped in."""
        return [] if self._start is None else self._start.take_call_wrappers()

    def in_place(self, id: ExecutionId | int, event: StreamEvent) -> StreamEvent:
        """The event of the outcome with this id, with where and when its callable ran."""
        task, name, queued_ns, step = self._settled.pop(id)
        outcome: Outcome = "ok"
        traceback = ""
        if isinstance(event, ExecutionFailed):
            outcome = "crashed"
        elif isinstance(event, ExecutionCancelled):
            outcome = "cancelled"
        elif isinstance(event, StepEnd):
            if step is not None:
                event._step_id = step.id
            if isinstance(event._output, Err):
                outcome, traceback = "failed", event._output.traceback
        self._told[outcome] += 1
        event.span = self._span(task, name, queued_ns, step, outcome, traceback)
        return event

    def ended(self) -> list[StreamEvent]:
        """The run is over; gives what is left to be emitted."""
        events = self.take()
        if self._began_ns:
            ran_ms = (time.monotonic_ns() - self._began_ns) / 1e6
            ok, failed, crashed, cancelled = map(self._told.__getitem__, get_args(Outcome))
            events.append(ExecutionEnd(self.run_id, ok, failed, crashed, cancelled, ran_ms))
        return events

    def _span(
        self,
        task: int,
        name: str,
        queued_ns: int,
        step: _Step | None,
        outcome: Outcome | None = None,
        traceback: str = "",
    ) -> Span:
        lane, pid, started, finished = None, None, None, None
        if step is not None:
            lane, pid, started = step.lane, step.worker_pid, self._at(step.started_ns)
            finished = None if step.finished_ns is None else self._at(step.finished_ns)
        queued = self._at(queued_ns)
        return Span(
            self.run_id, task, name, lane, pid, queued, started, finished, outcome, traceback
        )

    def _at(self, monotonic_ns: int) -> float:
        return (monotonic_ns + self._epoch_ns) / 1e6
