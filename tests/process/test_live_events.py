"""The events of live emitters: emitted as they happen, with spans."""

from __future__ import annotations

import ctypes
import os
import re
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import sample_callables as samples
import sample_pickles as pickles

from enact_pool import (
    EventEmitter,
    ExecutionCancelled,
    ExecutionEnd,
    ExecutionFailed,
    ExecutionStart,
    Ok,
    Pool,
    StepEnd,
    StepStart,
    StreamEvent,
    WorkerEnd,
    WorkerMemory,
    WorkerStart,
    iter_parallel,
    run_parallel,
)


class Reacts:
    """A live emitter that calls functions at certain events, in the thread of the run."""

    mode = "live"

    def __init__(self, reaction: Callable[[StreamEvent], object] = bool) -> None:
        self.events: list[StreamEvent] = []
        self._reaction = reaction

    def emit(self, event: StreamEvent) -> None:
        self.events.append(event)
        self._reaction(event)

    def of(self, *kinds: type[StreamEvent]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kinds)]


def test_a_start_is_emitted_while_the_callable_and_earlier_ones_run(
    tmp_path: Path,
) -> None:
    """Both callables wait for the emitter's reaction to the start of the second one."""
    gate = tmp_path / "gate"

    def open_gate(event: StreamEvent) -> None:
        if isinstance(event, StepStart) and event.span and event.span.index == 1:
            gate.touch()

    emitter = Reacts(open_gate)
    wait = samples.busy_until(str(gate))
    with Pool(2) as pool:
        results = pool.run_parallel([wait, wait], None, emitter)
    assert all(result.output.is_ok for result in results)
    assert {event.span.index for event in emitter.of(StepStart)} == {0, 1}


def test_events_contain_where_and_when_each_callable_ran() -> None:
    callables: list[Any] = [lambda _: os.getpid(), samples.exit_7, lambda _: 1 // 0]
    emitter = Reacts()
    with Pool(1) as pool:
        results = pool.run_parallel([*callables, callables[0]], None, emitter)
    start, *_, end = emitter.events
    assert isinstance(start, ExecutionStart)
    assert (start.callables, start.max_workers) == (4, 1)
    assert isinstance(end, ExecutionEnd)
    assert end.execution_id == start.execution_id
    assert (end.ok, end.failed, end.crashed, end.cancelled) == (2, 1, 1, 0)
    # The first worker dies with the second callable; another worker replaces it in the lane.
    first, second = (event.worker_pid for event in emitter.of(WorkerStart))
    assert [event.worker_pid for event in emitter.of(WorkerEnd)] == [first]
    assert emitter.of(WorkerEnd)[0].reason == "exited with code 7"
    ends = emitter.of(StepEnd, ExecutionFailed)
    spans = [event.span for event in ends]
    assert [span.index for span in spans] == [0, 1, 2, 3]
    assert [span.worker_pid for span in spans] == [first, first, second, second]
    assert [results[0].output, results[3].output] == [Ok(first), Ok(second)]
    assert [span.outcome for span in spans] == ["ok", "crashed", "failed", "ok"]
    assert "ZeroDivisionError" in spans[2].traceback
    assert {span.lane for span in spans} == {0}
    assert {span.run_id for span in spans} == {start.execution_id}
    assert [span.name for span in spans] == ["<lambda>", "exit_7", "<lambda>", "<lambda>"]
    at = [time for span in spans for time in (span.started_at, span.finished_at)]
    assert at == sorted(at), "one after the other, in one lane"
    assert at[1] - at[0] == pytest.approx(results[0].duration_ms, abs=0.01)
    assert start.timestamp <= at[0] + 1
    assert at[-1] <= end.timestamp + 1
    # A start may be emitted before the outcome of the previous callable, which its worker has
    # not sent yet.
    starts = sorted(emitter.of(StepStart), key=lambda event: event.span.index)
    assert [event.span.index for event in starts] == [0, 1, 2, 3]
    assert [event.execution_id for event in starts if event.span.index != 1] == [
        event.execution_id for event in ends if event.span.index != 1
    ]
    assert [event.step_id for event in starts if event.span.index != 1] == [
        event.step_id for event in emitter.of(StepEnd)
    ]
    for begun, ended in zip(starts, ends, strict=True):
        assert emitter.events.index(begun) < emitter.events.index(ended)


def test_each_of_thousands_of_quick_callables_has_a_start_and_an_end() -> None:
    emitter = EventEmitter(mode="live")
    run_parallel([len] * 3000, "abc", emitter)
    events = list(emitter.drain())
    starts = [event.span.index for event in events if isinstance(event, StepStart) and event.span]
    ends = [event.span for event in events if isinstance(event, StepEnd) and event.span]
    assert sorted(starts) == [span.index for span in ends] == list(range(3000))
    of_lanes: dict[int | None, list[float]] = {}
    for span in sorted(ends, key=lambda span: span.started_at or 0.0):
        assert span.started_at is not None
        assert span.finished_at is not None
        assert span.queued_at <= span.started_at <= span.finished_at
        of_lanes.setdefault(span.lane, []).extend([span.started_at, span.finished_at])
    assert all(times == sorted(times) for times in of_lanes.values()), "no two at once in a lane"


def test_memory_is_emitted_while_a_callable_uses_it(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def open_gate(event: StreamEvent) -> None:
        if isinstance(event, WorkerMemory) and event.resident_bytes > 100_000_000:
            gate.touch()

    emitter = Reacts(open_gate)
    with Pool(1) as pool:
        (result,) = pool.run_parallel([partial(_hoard, str(gate))], None, emitter)
    assert result.output == Ok(100_000_000)


def _hoard(gate: str, _: object) -> int:
    hoard = b"x" * 100_000_000
    samples.busy_until(gate)(None)
    return len(hoard)


def test_workers_that_are_replaced_after_their_last_task_have_an_end_event() -> None:
    emitter = Reacts()
    with Pool(1) as pool:
        pool.run_parallel([len] * 3, "", emitter, max_tasks_per_worker=1)
    ended = [event.worker_pid for event in emitter.of(WorkerEnd)]
    assert ended == [event.worker_pid for event in emitter.of(WorkerStart)][: len(ended)]
    assert len(ended) >= 2
    assert {event.lane for event in emitter.of(WorkerStart, WorkerEnd)} == {0}


def test_a_callable_that_never_started_has_a_span_without_a_lane() -> None:
    emitter = Reacts()
    run_parallel([pickles.Unpicklable(), len], "", emitter)
    refused, ran = (event.span for event in emitter.of(StepEnd))
    assert (refused.lane, refused.worker_pid, refused.started_at) == (None, None, None)
    assert (refused.name, refused.outcome, ran.outcome) == ("Unpicklable", "failed", "ok")
    assert [event.span.index for event in emitter.of(StepStart)] == [1]


def test_a_run_that_is_cancelled_or_abandoned_has_an_end_event(tmp_path: Path) -> None:
    emitter = Reacts()
    with Pool(1) as pool:
        pool.run_parallel([ctypes.string_at, len, len], 0, emitter, fail_fast=True)
    (end,) = emitter.of(ExecutionEnd)
    assert (end.ok, end.crashed, end.cancelled) == (0, 1, 2)
    assert [event.span.outcome for event in emitter.of(ExecutionCancelled)] == ["cancelled"] * 2

    emitter = Reacts()
    for _ in iter_parallel(iter([len] * 50), "", emitter, ordered=False):
        break
    (start,), (end,) = emitter.of(ExecutionStart), emitter.of(ExecutionEnd)
    assert start.callables is None
    assert end.ok == len(emitter.of(StepEnd)) >= 1
    assert emitter.events[-1] is end


def test_a_death_that_was_noticed_late_is_reported_without_milliseconds(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def see_it_late(event: StreamEvent) -> None:
        if isinstance(event, StepEnd):
            gate.touch()
            began = time.monotonic()
            worker = psutil.Process(int(event.output or 0))
            while worker.status() != psutil.STATUS_ZOMBIE or time.monotonic() - began < 0.03:
                time.sleep(0.001)

    emitter = Reacts(see_it_late)
    callables = [lambda _: os.getpid(), partial(_exit_at, str(gate))]
    with Pool(1) as pool:
        _, crash = pool.run_parallel(callables, None, emitter)
    assert crash.error is not None
    assert re.search(r"while running callable 1 \(_exit_at\), at most \d", crash.error.message)


def _exit_at(gate: str, _: object) -> None:
    samples.busy_until(gate)(None)
    os._exit(1)


def test_an_emitter_that_raises_at_live_events_costs_no_result() -> None:
    def refuse(event: StreamEvent) -> None:
        if isinstance(event, StepStart):
            raise RuntimeError("not interested")

    emitter = Reacts(refuse)
    with pytest.raises(RuntimeError, match="not interested") as caught:
        run_parallel([len] * 5, "abc", emitter)
    results = vars(caught.value)["results"]
    assert [result.output for result in results] == [Ok(3)] * 5
    assert len(emitter.of(StepEnd)) == 5


def test_emitters_that_are_not_live_receive_only_outcomes() -> None:
    emitter = EventEmitter()
    run_parallel([len, samples.exit_7], "", emitter)
    events = list(emitter.drain())
    assert [type(event) for event in events] == [StepEnd, ExecutionFailed]
    assert [event.span for event in events] == [None, None]
    assert "span" not in events[0].to_dict()


def test_a_run_without_callables_emits_nothing() -> None:
    emitter = Reacts()
    assert run_parallel([], "", emitter) == []
    assert emitter.events == []
