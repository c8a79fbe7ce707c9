"""Live events: they are emitted as they happen. They include the spans of tasks.

Only runs whose emitter is live import this module.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field

from enact_pool._core.observer import CallWrapperPickle, LaneInfo, RunInfo
from enact_pool._core.timing import SMALL_SHARE, WEIGHING_SECONDS
from enact_pool._events.emitter import Emitter
from enact_pool._events.events import StepEnd, StreamEvent
from enact_pool._events.live_events import (
    CallWrapper,
    ExecutionEnd,
    ExecutionStart,
    StepStart,
    WorkerEnd,
    WorkerMemory,
    WorkerStart,
)
from enact_pool._events.span import Span
from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.caller.pickling import pickle_function
from enact_pool._model.ids import ExecutionId, fresh_ids
from enact_pool._model.results import Err, Outcome, ParallelResult, Tally, outcome_of
from enact_pool._observe.delivery import Delivery
from enact_pool._system.process_tree import resident_bytes

__all__ = ["LiveEvents"]


@define
class _Step:
    """Where and when a task began, by the clock that all processes share."""

    id: int
    lane: int
    worker_pid: int
    started_ns: int
    finished_ns: int | None = None


@define
class _Settled:
    """What the event of an outcome needs besides the result."""

    name: str
    queued_ns: int
    step: _Step | None
    outcome: Outcome


@define
class LiveEvents:
    """Emits the live events of one run."""

    _emitter: Emitter
    _delivery: Delivery
    run_id: ExecutionId = field(factory=ExecutionId.new, init=False)
    _run: RunInfo = field(init=False)
    # Tasks without a result, and tasks with one that was not released.
    _queued_ns: dict[int, int] = field(factory=dict, init=False)
    _steps: dict[int, _Step] = field(factory=dict, init=False)
    _settled: dict[int, _Settled] = field(factory=dict, init=False)
    # 0 and None until tasks are queued.
    _began_ns: int = field(default=0, init=False)
    _start: ExecutionStart | None = field(default=None, init=False)
    _wrappers: list[CallWrapperPickle] = field(factory=list, init=False)
    # Nanoseconds from the clock that all processes share to the time since the epoch.
    _epoch_ns: int = field(init=False)
    _next_weighing: float = field(init=False)
    # The outcomes whose events were emitted.
    _emitted: Tally = field(factory=Tally, init=False)

    def __attrs_post_init__(self) -> None:
        self._epoch_ns = time.time_ns() - time.monotonic_ns()
        self._next_weighing = time.monotonic() + WEIGHING_SECONDS

    def _emit(self, event: StreamEvent) -> None:
        self._delivery.add(self._emitter.emit, event)

    # Hooks

    def run_started(self, run: RunInfo) -> None:
        self._run = run

    def tasks_queued(self, tasks: range, total: int | None) -> None:
        if not tasks:
            return
        now = time.monotonic_ns()
        if not self._began_ns:
            self._began_ns = now
            self._start = ExecutionStart(
                self.run_id, total, self._run.max_lanes, take_wrapper=self._add_wrapper
            )
            self._emit(self._start)
        self._queued_ns.update(dict.fromkeys(tasks, now))

    def call_wrappers(self) -> Sequence[CallWrapperPickle]:
        """Return the wrappers that were added while `ExecutionStart` was emitted."""
        if self._start is not None:
            self._start._take_wrapper = None
        return self._wrappers

    def _add_wrapper(self, wrapper: CallWrapper) -> None:
        needs = Needs()
        self._wrappers.append((pickle_function(wrapper, needs), needs))

    def task_began(self, lane: LaneInfo, task: int, since_ns: int) -> None:
        if task not in self._steps:
            (id,) = fresh_ids.take(1)
            step = self._steps[task] = _Step(id, lane.number, lane.pid, since_ns)
            span = self._span(task, self._run.name_of(task), self._queued_ns[task], step)
            self._emit(StepStart(self._run.id_of(task), id, span=span))

    def tasks_ran(
        self, lane: LaneInfo, tasks: Sequence[int], began_ns: list[int], ran_ns: list[int]
    ) -> None:
        for task, began, ran in zip(tasks, began_ns, ran_ns, strict=False):
            self.task_began(lane, task, began)
            step = self._steps[task]
            step.started_ns, step.finished_ns = began, began + ran

    def task_died(self, task: int, at_ns: int) -> None:
        if task in self._steps:
            self._steps[task].finished_ns = at_ns

    def tasks_settled(
        self,
        tasks: Sequence[int],
        names: Sequence[str],
        results: Sequence[ParallelResult[Any]],
        texts: Mapping[int, str],
    ) -> None:
        now = time.monotonic_ns()
        for task, name, result in zip(tasks, names, results, strict=True):
            step = self._steps.pop(task, None)
            if step is not None and step.finished_ns is None:
                step.finished_ns = now
            queued_ns = self._queued_ns.pop(task)
            self._settled[task] = _Settled(name, queued_ns, step, outcome_of(result))

    def task_withdrawn(self, task: int) -> None:
        del self._queued_ns[task]

    def worker_ready(self, lane: LaneInfo) -> None:
        self._emit(WorkerStart(self.run_id, lane.number, lane.pid))

    def worker_exited(self, lane: int, pid: int, reason: str) -> None:
        self._emit(WorkerEnd(self.run_id, lane, pid, reason))

    def workers_looked_at(self, lanes: Iterable[LaneInfo]) -> None:
        """Measure the memory of these workers, if it is time to."""
        now = time.monotonic()
        if now < self._next_weighing:
            return
        started = time.thread_time()
        for lane in lanes:
            size = resident_bytes(lane.pid)
            self._emit(WorkerMemory(self.run_id, lane.number, lane.pid, size))
        pause = (time.thread_time() - started) / SMALL_SHARE
        self._next_weighing = now + max(WEIGHING_SECONDS, pause)

    def run_ended(self) -> None:
        if self._began_ns:
            ran_ms = (time.monotonic_ns() - self._began_ns) / 1e6
            counts = self._emitted
            self._emit(
                ExecutionEnd(
                    self.run_id,
                    counts.ok,
                    counts.failed,
                    counts.crashed,
                    counts.cancelled,
                    ran_ms,
                )
            )

    # For the events of outcomes

    def with_span(self, task: int, event: StreamEvent) -> StreamEvent:
        """Add the span to the event of a task's outcome, just before it is emitted; return it."""
        settled = self._settled.pop(task)
        step, traceback = settled.step, ""
        if isinstance(event, StepEnd):
            if step is not None:
                event._step_id = step.id
            if isinstance(event._output, Err):
                traceback = event._output.traceback
        counts, outcome = self._emitted, settled.outcome
        setattr(counts, outcome, getattr(counts, outcome) + 1)
        event.span = self._span(task, settled.name, settled.queued_ns, step, outcome, traceback)
        return event

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
