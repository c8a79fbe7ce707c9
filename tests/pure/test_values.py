"""Ids, errors, results and events as values."""

from __future__ import annotations

import json
import pickle
import re
import sys
import threading
import time
from random import Random
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enact_pool import (
    Err,
    EventEmitter,
    ExecutionError,
    ExecutionErrorCategory,
    ExecutionFailed,
    ExecutionId,
    NamedCallable,
    Ok,
    ParallelCallable,
    ParallelResult,
    RemoteError,
    StepEnd,
    StepId,
    StreamEvent,
)
from enact_pool._core.observer import NO_HOOKS
from enact_pool._core.release_order import ReleaseOrder
from enact_pool._engine.input_source import InputSource
from enact_pool._engine.outcomes import Outcomes
from enact_pool._events.emitter import EventBatch
from enact_pool._model.ids import IdSequence, fresh_ids
from enact_pool._python.callables import entry_point, name_of

# Callables


class Both:
    """Has both `__call__` and `run`."""

    name = "its own"

    def __call__(self, input: object) -> str:
        return "called"


class RunsOneInput(Both):
    def run(self, input: object, *, deep: bool = False) -> str:
        return "ran"


class RunsAnything(Both):
    def run(self, *args: object, **kwargs: object) -> str:
        return "ran"


class RunsNoInput(Both):
    def run(self) -> str:
        return "ran"


class RunsTwoInputs(Both):
    def run(self, first: object, second: object) -> str:
        return "ran"


class RunsByKeyword(Both):
    def run(self, input: object, *, deep: bool) -> str:
        return "ran"


class RunsNoInputOnly:
    def run(self) -> str:
        return "ran"


@pytest.mark.parametrize("kind", [RunsOneInput, RunsAnything])
def test_run_is_preferred_to_call_if_it_accepts_the_input(kind: type[Both]) -> None:
    candidate = kind()
    run = entry_point(candidate)
    assert run is not None
    assert run("input") == "ran"
    assert name_of(candidate) == "its own"


@pytest.mark.parametrize("kind", [RunsNoInput, RunsTwoInputs, RunsByKeyword])
def test_an_object_whose_run_does_not_accept_the_input_is_called(kind: type[Both]) -> None:
    """Its name is that of its type, as for other objects that are called."""
    candidate = kind()
    assert entry_point(candidate) is candidate
    assert name_of(candidate) == kind.__name__


def test_a_run_whose_signature_is_unknown_is_used() -> None:
    candidate: Any = Both()
    candidate.run = min
    assert entry_point(candidate) is min


def test_an_object_that_cannot_be_called_is_run_whatever_its_run_accepts() -> None:
    """The error of the call then contains the reason."""
    candidate: Any = RunsNoInputOnly()
    assert entry_point(candidate) == candidate.run


# Ids


@pytest.mark.parametrize(("kind", "prefix"), [(ExecutionId, "exec_"), (StepId, "step_")])
def test_an_id_is_a_prefix_and_a_ksuid(kind: Any, prefix: str) -> None:
    fresh = kind.new()
    assert re.fullmatch(prefix + "[0-9A-Za-z]{27}", fresh)
    assert isinstance(fresh, str)
    assert kind(str(fresh)) == fresh
    assert pickle.loads(pickle.dumps(fresh)) == fresh
    assert type(pickle.loads(pickle.dumps(fresh))) is kind
    assert repr(fresh) == f"{kind.__name__}('{fresh}')"
    assert len({kind.new() for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "exec_",
        "exec_short",
        "step_" + "0" * 27,
        "0" * 27,
        "exec_" + "z" * 27,
        "exec_" + "é" * 27,
    ],
)
def test_a_text_that_is_not_an_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid ExecutionId"):
        ExecutionId(text)


def test_ids_sort_by_the_time_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    sequence, now = IdSequence(), time.time()
    numbers = list(sequence.take(100))
    spelled = [ExecutionId.spell(number) for number in [*numbers, *sequence.take(100)]]
    assert spelled == sorted(spelled)
    assert len(set(spelled)) == 200
    monkeypatch.setattr(time, "time", lambda: now + 5)
    assert sequence.take(1)[0] not in range(numbers[0], numbers[0] + 10**9), "a block of its own"


@given(st.lists(st.integers(0, 4), max_size=6), st.randoms(use_true_random=False))
def test_tasks_have_distinct_ids_that_sort_in_their_order(counts: list[int], draw: Random) -> None:
    order: ReleaseOrder[Any] = ReleaseOrder()
    outcomes, tasks = Outcomes(order, InputSource(len, ()), NO_HOOKS), range(0)
    between: list[int] = []
    for count in counts:
        tasks = range(tasks.stop, tasks.stop + count)
        outcomes.expect(tasks)
        between.append(fresh_ids.take(1)[0])
    asked = list(range(tasks.stop))
    draw.shuffle(asked)
    made: dict[int, int] = {}
    while asked:
        count = draw.randint(1, 5)
        some, asked = asked[:count], asked[count:]
        made |= zip(some, outcomes._take_ids(some), strict=True)
    in_order, start = [], 0
    for count, number in zip(counts, between, strict=True):
        in_order += [*(made[task] for task in range(start, start + count)), number]
        start += count
    assert in_order == sorted(set(in_order))


def test_ids_that_are_taken_concurrently_differ() -> None:
    """A signal handler or another thread takes ids between any two lines."""
    sequence = IdSequence()
    taken: list[int] = []

    def interrupt(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code is IdSequence.take.__code__ and event == "line":
            taken.extend(sequence.take(3))
        return interrupt

    before = sys.gettrace()
    sys.settrace(interrupt)
    try:
        for _ in range(20):
            taken.extend(sequence.take(3))
    finally:
        sys.settrace(before)
    assert len(taken) > 100
    assert len(set(taken)) == len(taken)


# Errors


def test_only_some_categories_are_fatal() -> None:
    fatal = {str(c) for c in ExecutionErrorCategory if ExecutionError(c, "").is_fatal}
    assert fatal == {"policy_violation", "quota_exceeded", "kernel_internal", "validation_error"}
    assert len(ExecutionErrorCategory) == 8


def test_an_error_has_a_time_and_a_text() -> None:
    before = time.time_ns() // 1_000_000
    error = ExecutionError.kernel_internal("it died", code="SIGSEGV", details={"index": 3})
    assert before <= error.occurred_at <= time.time_ns() // 1_000_000
    assert str(error) == "kernel_internal: it died"
    assert json.loads(json.dumps(error.to_dict())) == {
        "category": "kernel_internal",
        "message": "it died",
        "code": "SIGSEGV",
        "attempt": 1,
        "details": {"index": 3},
        "occurred_at": error.occurred_at,
    }
    assert ExecutionError(**error.to_dict()) == error
    assert hash(error) == hash(ExecutionError(**error.to_dict()))
    with pytest.raises(ValueError, match="nonsense"):
        ExecutionError("nonsense", "")


# Results


def test_outcomes_match() -> None:
    def text_of(outcome: Ok[int] | Err) -> str:
        match outcome:
            case Ok(value):
                return f"ok {value}"
            case Err(text):
                return f"err {text}"

    assert [text_of(Ok(3)), text_of(Err("boom"))] == ["ok 3", "err boom"]
    assert (Ok(3).is_ok, Err("").is_ok) == (True, False)
    assert Ok([1]).unwrap() == [1]


def test_comparisons_of_err_ignore_type_and_traceback() -> None:
    assert Err("boom", "ValueError", "Traceback ...") == Err("boom")
    assert hash(Err("boom", "ValueError")) == hash(Err("boom"))
    assert Err("boom") != Err("bang")
    assert Ok("boom") != Err("boom")  # type: ignore[comparison-overlap]
    assert repr(Err("boom", "ValueError", "long")) == "Err('boom', type='ValueError')"


def test_unwrapping_an_err_raises_the_traceback_of_the_worker() -> None:
    err = Err("boom", "ValueError", "Traceback (most recent call last): here\n")
    with pytest.raises(RemoteError) as caught:
        err.unwrap()
    assert caught.value.err is err
    assert str(caught.value) == "ValueError: boom\n\nTraceback (most recent call last): here"
    assert str(RemoteError(Err("boom"))) == "boom"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_result_converts_its_id_when_it_is_read() -> None:
    number = IdSequence().take(1)[0]
    unread, read = (ParallelResult("a", number, Ok(1)) for _ in range(2))
    assert read.execution_id is read.execution_id
    assert isinstance(read.execution_id, ExecutionId)
    assert unread == read
    assert pickle.loads(pickle.dumps(unread)) == read
    assert ParallelResult("a", ExecutionId.new(), Ok(1)) != read


# Events


def test_a_step_end_has_a_json_form() -> None:
    execution_id, step_id = ExecutionId.new(), StepId.new()
    event = StreamEvent.step_end(execution_id, step_id, 'two\nlines "and" \ud800', 1.5)
    assert isinstance(event, StepEnd)
    assert "\n" not in event.to_json()
    assert json.loads(event.to_json()) == {
        "type": "data-step-end",
        "execution_id": execution_id,
        "step_id": step_id,
        "output": 'two\nlines "and" \ud800',
        "duration_ms": 1.5,
        "timestamp": event.timestamp,
    }
    assert event == StepEnd(execution_id, step_id, event.output, 1.5, timestamp=event.timestamp)


def test_an_execution_failed_has_a_json_form() -> None:
    error = ExecutionError.kernel_internal("it died", details={"stack": "a\nb"})
    event = StreamEvent.execution_failed(ExecutionId.new(), error)
    assert isinstance(event, ExecutionFailed)
    read = json.loads(event.to_json())
    assert read["type"] == event.type == "data-execution-failed"
    assert read["error"] == error.to_dict()
    assert not hasattr(event, "step_id")


def some_event() -> StepEnd:
    return StepEnd(ExecutionId.new(), StepId.new(), "", 0.0)


@given(st.lists(st.integers(0, 5)))
def test_draining_returns_each_event_once_and_in_order(bursts: list[int]) -> None:
    emitter = EventEmitter()
    given_out: list[StreamEvent] = []
    drained: list[StreamEvent] = []
    for burst in bursts:
        for _ in range(burst):
            given_out.append(some_event())
            emitter.emit(given_out[-1])
        drained.extend(emitter.drain())
    assert drained == given_out
    assert emitter.drain() == []


@given(st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=6))
def test_drained_events_are_a_sequence(parts: list[int | None]) -> None:
    emitter = EventEmitter()
    expected: list[StreamEvent] = []
    error = ExecutionError.kernel_internal("it died")
    for part in parts:
        if part is None:
            expected.append(some_event())
            emitter.emit(expected[-1])
            continue
        ids = [ExecutionId.new() for _ in range(part)]
        outputs = [None, 7, "x", Ok(3), Err("boom")][:part]
        others: dict[int, StreamEvent] = {}
        if part > 1:
            others[part - 1] = ExecutionFailed(ids[part - 1], error, 9)
        batch = EventBatch(list(ids), range(100, 100 + part), outputs, [0.5] * part, others, 9)
        texts = ["None", "7", "x", "3", "Error: boom"]
        for index, (id, text) in enumerate(zip(ids, texts)):  # noqa: B905
            step_id = StepId.spell(100 + index)
            expected.append(others.get(index) or StepEnd(id, step_id, text, 0.5, 9))
        emitter.emit_batch(batch)
    events = emitter.drain()
    assert list(events) == expected
    assert events == expected
    assert events != [*expected, some_event()]
    assert len(events) == len(expected)
    assert [events[index] for index in range(len(events))] == expected
    assert events[1:] == expected[1:]
    assert events[::-2] == expected[::-2]
    assert [events[-index] for index in range(1, len(events) + 1)] == expected[::-1]
    assert repr(events) == repr(expected)
    for index in (len(events), -len(events) - 1):
        with pytest.raises(IndexError):
            events[index]


def test_iteration_waits_until_the_emitter_is_closed() -> None:
    emitter = EventEmitter()
    seen: list[StreamEvent] = []
    readers = [threading.Thread(target=lambda: seen.extend(emitter)) for _ in range(3)]
    for reader in readers:
        reader.start()
    events = [some_event() for _ in range(100)]
    for event in events:
        emitter.emit(event)
    assert all(reader.is_alive() for reader in readers)
    emitter.close()
    for reader in readers:
        reader.join()
    assert sorted(seen, key=id) == sorted(events, key=id), "each goes to one reader"
    assert list(emitter) == [], "it stays closed"


def test_a_signal_costs_an_iteration_at_most_one_event() -> None:
    """The signal raises between any two lines of the function that returns the next event."""

    class InterruptError(Exception):
        pass

    def seen_when_interrupted(at: int) -> list[int]:
        emitter, seen, lines = EventEmitter(), [], 0
        for first in (0, 100):
            ids: list[ExecutionId | int] = [*range(first, first + 3)]
            emitter.emit_batch(EventBatch(ids, range(3), [None] * 3, [0.5] * 3, {}, 9))
        emitter.close()

        def interrupt(frame: FrameType, event: str, _: object) -> Any:
            nonlocal lines
            if frame.f_code is EventEmitter._next.__code__ and event == "line":
                lines += 1
                if lines == at:
                    raise InterruptError
            return interrupt

        before = sys.gettrace()
        for _ in range(2):
            sys.settrace(interrupt)
            try:
                for event in emitter:
                    seen.append(event._execution_id)
            except InterruptError:
                continue
            finally:
                sys.settrace(before)
        return [int(number) for number in seen] if lines >= at else []

    everything = [0, 1, 2, 100, 101, 102]
    at = 1
    while seen := seen_when_interrupted(at):
        missing = set(everything) - set(seen)
        assert len(missing) <= 1
        assert seen == [number for number in everything if number not in missing]
        at += 1
    assert at > 30


def test_events_that_an_iteration_yielded_are_not_drained_again() -> None:
    emitter = EventEmitter()
    emitter.emit_batch(EventBatch([1, 2, 3], range(3), [None] * 3, [0.5] * 3, {}, 9))
    emitter.emit(last := some_event())
    first = next(iter(emitter))
    drained = emitter.drain()
    assert len(drained) == 3
    assert drained[2] is last
    assert len({first.execution_id, *(event.execution_id for event in drained)}) == 4


def test_a_closed_emitter_returns_its_events_and_refuses_new_ones() -> None:
    emitter, event = EventEmitter(), some_event()
    emitter.emit(event)
    emitter.close()
    emitter.close()
    with pytest.raises(RuntimeError, match="closed"):
        emitter.emit(event)
    assert emitter.drain() == [event]
    assert emitter.drain() == []
    assert list(emitter) == []


# Callables


def test_the_protocols_can_be_checked_at_runtime() -> None:
    class Runs:
        def run(self, input: int) -> int:
            return input

    class RunsUnderAName(Runs):
        name = "runner"

    assert isinstance(Runs(), ParallelCallable)
    assert not isinstance(Runs(), NamedCallable)
    assert isinstance(RunsUnderAName(), NamedCallable)
    assert not isinstance(len, ParallelCallable)
