"""Event logs written by runs, and by processes that are killed while they write."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sample_callables as samples

from enact_pool import (
    EventEmitter,
    EventLog,
    ExecutionCancelled,
    ExecutionFailed,
    Ok,
    Pool,
    StepEnd,
    read_events,
)

# Prints each event after it was passed on. Most lines are longer than a page, so that
# the writer is often killed in the middle of a line.
WRITER = """
import os, sys
from enact_pool import EventLog, ExecutionId, StepEnd, StepId

class Parent:
    def emit(self, event):
        os.write(1, (event.execution_id + "\\n").encode())

with EventLog(sys.argv[1], Parent()) as log:
    number = 0
    while True:
        number += 1
        log.emit(StepEnd(ExecutionId.new(), StepId.new(), "x" * (number * 7919 % 12_000), 0.5))
"""


def read_while_written(path: Path, ids: set[str]) -> None:
    """Read the log until it contains these events; all lines must be complete."""
    events = read_events(path)
    while ids:
        ids.discard(next(events).execution_id)
    events.close()


def test_events_of_two_writers_are_in_the_log_after_both_were_killed(tmp_path: Path) -> None:
    """It is read while they write; only complete lines are returned."""
    path = tmp_path / "log"
    written: set[str] = set()
    for _ in range(2):
        command = [sys.executable, "-c", WRITER, str(path)]
        writers = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
        said = ["", ""]
        try:
            for number, writer in enumerate(writers):
                assert writer.stdout is not None
                said[number] = os.read(writer.stdout.fileno(), 1 << 12).decode()
                read_while_written(path, set(said[number].split("\n")[:-1]))
        finally:
            for number, writer in enumerate(writers):
                writer.kill()
                output, _ = writer.communicate()
                written |= set((said[number] + output.decode()).split("\n")[:-1])
    assert written <= {event.execution_id for event in read_events(path)}


def test_events_are_logged_in_the_order_of_their_emission(tmp_path: Path) -> None:
    live, ends = EventEmitter("live"), EventEmitter()
    callables = [samples.square, samples.segfault, samples.square]
    with Pool(2) as pool, EventLog(tmp_path / "live", live) as log:
        pool.run_parallel(callables, 3, log)
    logged = list(read_events(tmp_path / "live"))
    assert logged == live.drain()
    kinds = [event.type for event in logged]
    assert kinds.count("data-step-start") == 3
    assert (kinds[0], kinds[-1]) == ("data-execution-start", "data-execution-end")

    with Pool(2) as pool, EventLog(tmp_path / "live", ends) as log:
        pool.run_parallel(callables, 3, log)
    written = list(ends.drain())
    assert [type(event) for event in written] == [StepEnd, ExecutionFailed, StepEnd]
    contract = (StepEnd, ExecutionFailed, ExecutionCancelled)
    appended = list(read_events(tmp_path / "live"))[len(logged) :]
    assert [event for event in appended if isinstance(event, contract)] == written


def test_a_log_that_fails_costs_no_result(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "log", mode="outcomes")
    log.close()
    with Pool(1) as pool, pytest.raises(RuntimeError, match="log is closed") as caught:
        pool.run_parallel([samples.square] * 3, 3, log)
    results = caught.value.results  # type: ignore[attr-defined]
    assert [result.output for result in results] == [Ok(9)] * 3
