"""Answers that a worker has stored in its journal, and not yet written."""

from __future__ import annotations

import ctypes
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
import sample_callables as samples

from enact_pool import Ok, Pool, iter_parallel
from tests.timings import set_timing


@pytest.mark.parametrize("count", [1, 3, 40])
def test_answers_are_emitted_while_the_worker_runs_the_next_callable(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next callable waits for a gate that opens when the answers have arrived."""
    # No other descriptor wakes the run meanwhile.
    set_timing(monkeypatch, "ROUND_SECONDS", 1e6)
    gate = tmp_path / "gate"
    callables = [samples.square] * count + [samples.busy_until(str(gate))]
    with Pool(1) as pool:
        # The first run measures that they are quick: the second sends them together.
        assert len(pool.run_parallel([samples.square] * 100, 3)) == 100
        results = iter_parallel(callables, 3, pool=pool)
        assert [next(results).output for _ in range(count)] == [Ok(9)] * count
        gate.touch()
        assert [result.output for result in results] == [Ok("done")]


def test_answers_in_the_journal_survive_a_crash() -> None:
    callables: list[Any] = [samples.square] * 1000
    blamed_results = range(7, 1000, 100)
    for blamed in blamed_results:
        callables[blamed] = samples.segfault
    with Pool(1) as pool:
        results = pool.run_parallel(callables, 3)
    for index, result in enumerate(results):
        assert (result.output == Ok(9)) == (index not in blamed_results)
        if result.error is not None:
            assert result.error.details["index"] == index


def overwrite_shared_memory(_: object) -> None:
    """Fill the memory that this worker shares with its parent with invalid bytes."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw-s .*memfd:enact_pool", line)
        if found:
            start, end = (int(part, 16) for part in found.groups())
            ctypes.memset(start, 0xA5, end - start)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc")
def test_a_callable_that_overwrites_the_journal_costs_only_answers_of_its_worker() -> None:
    """Nothing hangs, no answer is assigned to another callable, and no value is wrong."""
    callables: list[Any] = [samples.square] * 200
    for blamed in range(50, 200, 50):
        callables[blamed] = overwrite_shared_memory
    with Pool(2) as pool:
        results = pool.run_parallel(callables, 3)
        assert pool.run_parallel([samples.square], 4)[0].output == Ok(16)
    wrong = [
        result
        for index, result in enumerate(results)
        if index % 50 and result.output != Ok(9) and result.error is None
    ]
    assert wrong == []


def small(_: object) -> int:
    return 1


def big(_: object) -> str:
    return "x" * 100_000


class Replace:
    """Replaces every descriptor above 2 by another file."""

    def __init__(self, path: str, seconds: float) -> None:
        self.path, self.seconds = path, seconds

    def run(self, _: object) -> int:
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        for number in range(3, 1100):
            if number != file:
                try:
                    os.fstat(number)
                except OSError:
                    continue
                os.dup2(file, number)
        time.sleep(self.seconds)
        return 1


@pytest.mark.parametrize("seconds", [0.0, 0.01])
@pytest.mark.parametrize("before", [1, 20, 29, 41])
def test_answers_do_not_depend_on_a_pipe_that_another_callable_replaced(
    before: int, seconds: float, tmp_path: Path
) -> None:
    """No answer is written to the file that replaces the pipe."""
    file = tmp_path / "file"
    callables: list[Any] = [small] * before + [Replace(str(file), seconds), big] + [small] * 5
    with Pool(1) as pool:
        pool.run_parallel([small] * 300, 0)
        results = pool.run_parallel(callables, 0)
    expected = [Ok(1)] * before + [Ok(1), Ok("x" * 100_000)] + [Ok(1)] * 5
    assert [result.output for result in results] == expected
    assert file.read_bytes() == b""
