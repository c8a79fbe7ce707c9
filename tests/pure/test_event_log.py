"""Event logs: what is written, passed on, and read."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import enact_pool._events.event_log
from enact_pool import (
    EventEmitter,
    EventLog,
    ExecutionCancelled,
    ExecutionError,
    ExecutionFailed,
    ExecutionId,
    ExecutionStart,
    StepEnd,
    StepId,
    StepStart,
    StreamEvent,
    WorkerMemory,
    read_events,
)


def step_end(output: str = "") -> StepEnd:
    return StepEnd(ExecutionId.new(), StepId.new(), output, 0.5)


def some_events() -> list[StreamEvent]:
    id = ExecutionId.new()
    return [
        ExecutionStart(id, None, 2),
        StepStart(id, StepId.new()),
        step_end("x"),
        WorkerMemory(id, 0, 1, 2),
        ExecutionCancelled(id, "for a test"),
        ExecutionFailed(id, ExecutionError.kernel_internal("it died")),
    ]


@pytest.mark.parametrize("fsync", [False, True])
def test_an_event_is_in_the_log_before_it_is_passed_on(
    fsync: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, events, synced = tmp_path / "log.jsonl", some_events(), 0
    seen: list[StreamEvent] = []
    sync = enact_pool._events.event_log._sync

    def note_sync(file: int) -> None:
        nonlocal synced
        sync(file)
        synced = path.read_bytes().count(b"\n")

    class Reader:
        mode = "live"

        def emit(self, event: StreamEvent) -> None:
            seen.append(event)
            assert list(read_events(path)) == seen
            assert not fsync or synced == len(seen)

    monkeypatch.setattr(enact_pool._events.event_log, "_sync", note_sync)
    with EventLog(path, Reader(), fsync=fsync) as log:
        assert log.mode == "live"
        for event in events:
            log.emit(event)
    assert seen == events
    assert bool(synced) == fsync


def test_an_emitter_that_is_not_live_receives_only_outcomes(tmp_path: Path) -> None:
    emitter, events = EventEmitter(), some_events()
    with EventLog(tmp_path / "log", emitter) as log:
        for event in events:
            log.emit(event)
    ends = (StepEnd, ExecutionFailed, ExecutionCancelled)
    assert emitter.drain() == [event for event in events if isinstance(event, ends)]
    assert list(read_events(tmp_path / "log")) == events
    emitter.emit(step_end())  # the log does not close it


def test_logs_and_threads_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    events = [[step_end(f"{number}" * 300) for _ in range(200)] for number in range(4)]
    with EventLog(path) as one, EventLog(path) as other:

        def write(number: int) -> None:
            for event in events[number]:
                (one, other)[number % 2].emit(event)

        threads = [Thread(target=write, args=[number]) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found: list[Any] = list(read_events(path))
    assert [
        [event for event in found if event.output[0] == f"{number}"] for number in range(4)
    ] == events


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, 200), max_size=4), data=st.data())
def test_a_log_that_was_truncated_anywhere_is_read_and_continued(
    sizes: list[int], data: st.DataObject, tmp_path: Path
) -> None:
    """Complete events are kept, even if their newline is missing."""
    path = tmp_path / "log"
    path.write_bytes(b"")
    events = [step_end("x" * size) for size in sizes]
    with EventLog(path) as before:
        for event in events:
            before.emit(event)
        whole = path.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        path.write_bytes(whole[:cut])
        lines = whole.splitlines(keepends=True)
        complete = [
            event
            for number, event in enumerate(events)
            if cut >= len(b"".join(lines[: number + 1])) - 1
        ]
        assert list(read_events(path)) == complete
        # The mode in which it is opened, and how it was opened before.
        added = [step_end("added"), step_end("later")]
        with EventLog(path) as after:
            after.emit(added[0])
        before.emit(added[1])
    assert list(read_events(path)) == [*complete, *added]


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Simulate a full disk: files cannot grow beyond `size`."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_an_event_that_does_not_fit_on_the_disk_is_not_passed_on(tmp_path: Path) -> None:
    path, emitter, events = tmp_path / "log", EventEmitter(), [step_end("x" * 300) for _ in "ab"]
    with EventLog(path, emitter) as log:
        log.emit(events[0])
        with files_of_at_most(500), pytest.raises(OSError, match="too large") as caught:
            log.emit(step_end("x" * 300))
        assert caught.value.filename == str(path)
        assert path.stat().st_size == 500, "a part of it was written"
        assert list(read_events(path)) == events[:1]
        log.emit(events[1])
    assert list(read_events(path)) == events
    assert emitter.drain() == events


def test_lines_can_be_longer_than_one_read(tmp_path: Path) -> None:
    events = [step_end("x" * size) for size in (3, 70_000, 5, 300_000, 65_536, 0)]
    with EventLog(tmp_path / "log") as log:
        for event in events:
            log.emit(event)
        with (tmp_path / "log").open("ab") as file:
            file.write(step_end("y" * 200_000).to_json().encode()[:-1])
        assert list(read_events(tmp_path / "log")) == events
        log.emit(events[0])
    assert list(read_events(tmp_path / "log")) == [*events, events[0]]


def test_events_are_read_one_by_one_and_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log"
    events = [step_end(), step_end()]
    path.write_text("".join(event.to_json() + "\n" for event in events) + "{}\n")
    reader = read_events(path)
    assert list(islice(reader, 2)) == events
    with pytest.raises(ValueError, match="log, line 3: an event must have a type"):
        next(reader)


@pytest.mark.parametrize("rest", [b"", b'{"type": "data-st'])
def test_zeros_at_the_end_of_a_log_are_cut_off(rest: bytes, tmp_path: Path) -> None:
    """Some file systems leave them after a power failure."""
    path = tmp_path / "log"
    with EventLog(path) as log:
        log.emit(step_end())
    lines = path.read_bytes()
    path.write_bytes(lines + rest + b"\0" * 20)
    EventLog(path).close()
    assert path.read_bytes() == lines
    zeros = tmp_path / "zeros"
    zeros.write_bytes(b"\0" * 20)
    with pytest.raises(ValueError, match="zeros is not a log of events"):
        EventLog(zeros)
    assert zeros.read_bytes() == b"\0" * 20


@pytest.mark.parametrize("text", ["no newline", "{", '{"type": "data-step-end"}', "\xff"])
def test_a_file_that_is_not_a_log_is_refused_and_not_changed(text: str, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    before = f"first line\n{text}".encode("latin-1")
    path.write_bytes(before)
    if text in '{"type": "data-step-end"}':
        # It looks like the beginning of an event.
        EventLog(path).close()
        assert path.read_bytes() == b"first line\n"
    else:
        with pytest.raises(ValueError, match=r"notes\.txt is not a log of events: it ends with b'"):
            EventLog(path)
        assert path.read_bytes() == before


def test_a_path_that_cannot_be_a_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mode must be 'outcomes' or 'live', not 'all'"):
        EventLog(tmp_path / "log", mode="all")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="emitter must have a method emit"):
        EventLog(tmp_path / "log", "no emitter")  # type: ignore[arg-type]
    assert not (tmp_path / "log").exists()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        EventLog(tmp_path / "nowhere" / "log")
    with pytest.raises(ValueError, match="/dev/null is not a regular file"):
        EventLog("/dev/null")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        list(read_events(tmp_path / "nowhere"))


def test_a_closed_log_refuses_events(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log", mode="outcomes")
    assert repr(log) == f"<EventLog '{tmp_path / 'log'}' mode='outcomes'>"
    log.close()
    log.close()
    with pytest.raises(RuntimeError, match="the event log is closed"):
        log.emit(step_end())
    assert repr(log) == f"<EventLog '{tmp_path / 'log'}' mode='outcomes' closed>"
