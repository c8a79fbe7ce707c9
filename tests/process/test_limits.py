"""Limits of time, memory and number: exceeding one costs only the callable's own result."""

from __future__ import annotations

import mmap
import os
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import sample_callables as samples
from checks import assert_each_started_once, assert_ends
from sample_callables import StartsProcess, logged, spin_for_ever

import enact_pool._lanes.limit_enforcer
from enact_pool import (
    Err,
    EventEmitter,
    ExecutionErrorCategory,
    ExecutionFailed,
    Ok,
    ParallelResult,
    Pool,
    StepEnd,
    imap_parallel,
    iter_parallel,
    map_parallel,
    run_parallel,
)
from tests.timings import set_timing

MEGABYTE = 1 << 20


def hold_the_gil_for_ever(_: object) -> None:
    sum(repeat(0))


def die_of_an_alarm(_: object) -> None:
    os.kill(os.getpid(), 14)
    time.sleep(60)


@pytest.mark.parametrize("action", [spin_for_ever, hold_the_gil_for_ever])
def test_a_callable_that_exceeds_its_time_limit_is_killed_and_named(
    action: Callable[[Any], Any], tmp_path: Path
) -> None:
    """Its event has its id, and the 24 others return; each is started once."""
    log, emitter = tmp_path / "starts", EventEmitter()
    callables = [logged(i, log, action if i == 7 else samples.square) for i in range(25)]
    with Pool(2) as pool:
        results = pool.run_parallel(callables, 12, emitter, timeout=0.3)
    assert_each_started_once(log, 25)
    blamed = results.pop(7)
    assert [result.output for result in results] == [Ok(144)] * 24

    assert blamed.agent_name == action.__name__
    error = blamed.error
    assert error is not None
    assert (error.category, error.code) == (ExecutionErrorCategory.TIMEOUT, "timeout")
    assert not error.is_fatal
    assert blamed.output == Err(error.message)
    assert f"callable 7 ({action.__name__}) exceeded its time limit of 0.3 s" in error.message
    assert error.details == {
        "index": 7,
        "name": action.__name__,
        "ran_ms": blamed.duration_ms,
        "timeout_s": 0.3,
    }
    assert blamed.duration_ms >= 300

    events = emitter.drain()
    assert [type(event) for event in events] == [
        ExecutionFailed if i == 7 else StepEnd for i in range(25)
    ]
    assert events[7].execution_id == blamed.execution_id
    assert events[7].error is error  # type: ignore[attr-defined]


def test_a_callable_that_ends_at_its_limit_returns_or_is_blamed(
    tmp_path: Path,
) -> None:
    """Quick callables return, whatever their neighbours do around the limit."""
    log = tmp_path / "starts"

    def lasts(seconds: float) -> Callable[[Any], Any]:
        def last(_: object) -> float:
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                pass
            return seconds

        return last

    durations = [0.0 if i % 3 else 0.045 + i % 20 / 2000 for i in range(90)]
    callables = [logged(i, log, lasts(seconds)) for i, seconds in enumerate(durations)]
    with Pool(2) as pool:
        results = pool.run_parallel(callables, None, timeout=0.05)
    started = sorted(map(int, log.read_text().split()))
    late = [i for i, result in enumerate(results) if not result.output.is_ok]
    assert started == sorted(set(started)), "none starts twice"
    # A callable without CPU time may exceed its limit before its first step.
    assert {*started, *late} == set(range(90))
    for index, (result, seconds) in enumerate(zip(results, durations, strict=True)):
        if index in late:
            assert result.error is not None
            assert result.error.category is ExecutionErrorCategory.TIMEOUT
            assert result.duration_ms >= 50
        else:
            assert result.output == Ok(seconds)


def test_time_limits_are_enforced_while_the_caller_runs_other_code() -> None:
    with Pool(1) as pool:
        results = iter_parallel([worker_pid, spin_for_ever], None, pool=pool, timeout=0.3)
        # During this sleep, nothing reads the worker's answers.
        worker = next(results).output.unwrap()
        assert worker is not None
        assert_ends(worker)
        (late,) = results
    assert late.error is not None
    assert late.error.category is ExecutionErrorCategory.TIMEOUT


def worker_pid(_: object) -> int:
    return os.getpid()


def test_a_worker_that_dies_by_itself_does_not_count_as_timed_out() -> None:
    with Pool(1) as pool:
        (result,) = pool.run_parallel([die_of_an_alarm], None, timeout=30)
    assert result.error is not None
    assert (result.error.category, result.error.code) == (
        ExecutionErrorCategory.KERNEL_INTERNAL,
        "SIGALRM",
    )


class HangsWhenLoaded:
    def __reduce__(self) -> tuple[Any, ...]:
        return spin_for_ever, (None,)

    def __call__(self, _: object) -> None:
        raise AssertionError("cannot get here")


def test_a_callable_that_hangs_while_unpickled_times_out_and_others_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unpickling has more time, as it may import modules."""
    set_timing(monkeypatch, "LOADING_SECONDS", 1.0)
    log = tmp_path / "starts"
    callables: list[Any] = [logged(i, log, samples.square) for i in range(4)]
    with Pool(1) as pool:
        results = pool.run_parallel(
            [*callables[:2], HangsWhenLoaded(), *callables[2:]], 3, timeout=0.3
        )
    late = results.pop(2)
    assert [result.output for result in results] == [Ok(9)] * 4
    assert_each_started_once(log, 4)
    assert late.agent_name == "HangsWhenLoaded"
    assert late.error is not None
    assert late.error.category is ExecutionErrorCategory.TIMEOUT
    assert "exceeded its time limit of 1.3 s while unpickling" in late.error.message


def test_a_run_may_have_other_limits_than_its_pool() -> None:
    with Pool(1, timeout=0.2) as pool:
        slow = [lambda _: time.sleep(0.4)]
        assert not pool.run_parallel(slow, None)[0].output.is_ok
        assert pool.run_parallel(slow, None, timeout=30)[0].output.is_ok
        (late,) = map_parallel(time.sleep, [30], pool=pool)
    assert late.error is not None
    assert late.error.category is ExecutionErrorCategory.TIMEOUT


class Hoard:
    """Allocates and touches memory; in a child process if `in_child`."""

    def __init__(self, in_child: bool) -> None:
        self.in_child = in_child

    def run(self, size: int) -> None:
        if self.in_child and os.fork():
            os.wait()
        hoarded = b"x" * size
        while hoarded:
            time.sleep(60)


@pytest.mark.parametrize("in_child", [False, True])
def test_exceeding_the_memory_limit_kills_a_callable_and_its_children(
    in_child: bool,
) -> None:
    emitter = EventEmitter()
    most = 150 * MEGABYTE
    callables: list[Any] = [samples.square] * 5
    callables[2] = Hoard(in_child)
    with Pool(2) as pool:
        results = pool.run_parallel(callables, 200 * MEGABYTE, emitter, max_memory=most)
    blamed = results.pop(2)
    assert [result.output for result in results] == [Ok((200 * MEGABYTE) ** 2)] * 4
    assert blamed.agent_name == "Hoard"
    error = blamed.error
    assert error is not None
    assert error.category is ExecutionErrorCategory.QUOTA_EXCEEDED
    assert error.is_fatal
    assert error.details["max_memory_bytes"] == most
    assert error.details["peak_bytes"] > most
    assert blamed.output == Err(error.message)
    failed = emitter.drain()[2]
    assert isinstance(failed, ExecutionFailed)
    assert failed.execution_id == blamed.execution_id


def keep_memory(size: int) -> int:
    kept.append(b"x" * size)
    return os.getpid()


kept: list[bytes] = []


def test_a_worker_above_its_memory_limit_is_replaced_before_the_next_callable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The callable that left the memory keeps its outcome."""
    # Memory is not measured while the callable runs.
    set_timing(monkeypatch, "LIMIT_LOOK_SECONDS", 1000.0)
    with Pool(1) as pool:
        results = map_parallel(
            keep_memory, [100 * MEGABYTE, 0, 0], pool=pool, max_memory=90 * MEGABYTE
        )
    first, *others = [result.output.unwrap() for result in results]
    assert first not in others
    assert len(set(others)) == 1


def read_only(array: Any) -> float:
    total = float(array.sum())
    time.sleep(0.2)
    return total


def write_all(array: Any) -> float:
    array += 1
    return read_only(array)


def test_a_shared_input_does_not_count_until_it_is_written_to() -> None:
    """A page that a callable writes to is copied, and counts from then on."""
    count = 20_000_000
    with Pool(2) as pool:
        results = pool.run_parallel(
            [read_only, write_all, read_only], np.ones(count), max_memory=110 * MEGABYTE
        )
    writer = results.pop(1)
    assert [result.output for result in results] == [Ok(float(count))] * 2
    assert writer.error is not None
    assert writer.error.code == "max_memory"
    assert " MB of memory, above its limit of 115.343 MB, while running" in writer.error.message
    assert writer.error.details["peak_bytes"] > 110 * MEGABYTE


def read_map(path: Path) -> int:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        count = sum(mapped[at] for at in range(0, len(mapped), mmap.PAGESIZE))
        time.sleep(0.2)
    return count


def test_pages_of_mapped_files_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.write(b"\1" * (150 * MEGABYTE))
    with Pool(1) as pool:
        (result,) = pool.run_parallel([read_map], path, max_memory=80 * MEGABYTE)
    assert result.output == Ok(150 * MEGABYTE // mmap.PAGESIZE)


def fork_idle_children(size: int) -> int:
    """Allocate memory, and fork three children that allocate none."""
    hoarded = b"x" * size
    for _ in range(3):
        if not os.fork():
            time.sleep(60)
    time.sleep(0.3)
    return len(hoarded)


def test_memory_that_forked_children_share_with_their_parent_counts_once() -> None:
    with Pool(1) as pool:
        (result,) = pool.run_parallel(
            [fork_idle_children], 60 * MEGABYTE, max_memory=120 * MEGABYTE
        )
    assert result.output == Ok(60 * MEGABYTE)
    with Pool(1) as pool:
        (result,) = pool.run_parallel([fork_idle_children], 60 * MEGABYTE, max_memory=50 * MEGABYTE)
    assert result.error is not None
    assert 50 * MEGABYTE < result.error.details["peak_bytes"] < 120 * MEGABYTE


def test_a_worker_is_replaced_after_its_maximum_of_callables() -> None:
    with Pool(2) as pool:
        pids = [
            result.output.unwrap()
            for result in pool.run_parallel([worker_pid] * 20, None, max_tasks_per_worker=3)
        ]
        ran = [pids.count(pid) for pid in set(pids)]
        assert sum(ran) == 20
        assert max(ran) <= 3
        assert len(ran) >= 7


def test_callables_of_earlier_runs_count_for_the_maximum() -> None:
    with Pool(1, max_tasks_per_worker=3) as pool:
        pids = [
            result.output.unwrap()
            for count in (2, 2, 3)
            for result in pool.run_parallel([worker_pid] * count, None)
        ]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]


def test_a_replaced_worker_runs_its_exit_handlers(tmp_path: Path) -> None:
    log = str(tmp_path / "log")

    def register(_: object) -> None:
        import atexit

        atexit.register(samples.append_pid, log)

    with Pool(1) as pool:
        pool.run_parallel([register, samples.square, samples.square], 1, max_tasks_per_worker=1)
        assert len(Path(log).read_text().split()) == 1


def test_a_limit_thread_runs_only_if_a_limit_needs_it() -> None:
    class Counts:
        def emit(self, _: object) -> None:
            counts.append(threading.active_count())

    counts: list[int] = []
    with Pool(1) as pool:
        before = threading.active_count()
        pool.run_parallel([nap], 0.05, Counts(), max_tasks_per_worker=10, fail_fast=True)
        pool.run_parallel([nap], 0.05, Counts(), timeout=60)
        assert threading.active_count() == before
    assert counts == [before, before + 1]


def nap(seconds: float) -> None:
    time.sleep(seconds)


FUNCTIONS: list[Callable[..., Any]] = [
    lambda **limits: run_parallel([len], "", **limits),
    lambda **limits: map_parallel(len, [""], **limits),
    lambda **limits: iter_parallel([len], "", **limits),
    lambda **limits: imap_parallel(len, [""], **limits),
    lambda **limits: Pool(1, **limits),
]


@pytest.mark.parametrize("limit", ["timeout", "max_memory", "max_tasks_per_worker"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), True, "1", [1], -(10**400)])
def test_invalid_limits_raise(limit: str, value: Any) -> None:
    for function in FUNCTIONS:
        with pytest.raises((TypeError, ValueError), match=f"{limit} must be"):
            function(**{limit: value})


def test_numbers_of_other_types_are_limits_like_others() -> None:
    limits: Any = {"timeout": Fraction(60), "max_memory": np.int64(1 << 40)}
    workers: Any = np.int32(1)
    with Pool(workers, idle_timeout=np.float32(60), **limits) as pool:
        (result,) = pool.run_parallel([len], "", **limits)
        assert pool.max_workers == 1
    assert result.output == Ok(0)


def test_fail_fast_must_be_a_bool() -> None:
    for function in FUNCTIONS[:-1]:
        with pytest.raises(TypeError, match="fail_fast must be"):
            function(fail_fast=1)


@pytest.mark.parametrize("own_session", [False, True])
def test_closing_a_pool_kills_the_processes_of_its_callables(own_session: bool) -> None:
    with Pool(1) as pool:
        (started,) = pool.run_parallel([StartsProcess(own_session)], None)
        assert psutil.pid_exists(started.output.unwrap())
    assert_ends(started.output.unwrap())


@pytest.mark.parametrize("own_session", [False, True])
def test_a_time_out_kills_the_processes_of_the_callable(own_session: bool) -> None:
    with Pool(1) as pool:
        started, late = pool.run_parallel(
            [StartsProcess(own_session), spin_for_ever], None, timeout=0.3
        )
        assert late.error is not None
        assert_ends(started.output.unwrap())


def test_a_crash_kills_the_processes_of_the_callable() -> None:
    with Pool(1) as pool:
        started, _ = pool.run_parallel([StartsProcess(False), samples.segfault], None)
        assert_ends(started.output.unwrap())


def test_a_callable_that_kills_its_process_group_costs_only_its_own_result() -> None:
    def kill_group(_: object) -> None:
        os.killpg(0, 9)

    with Pool(2) as pool:
        results = pool.run_parallel([samples.square, kill_group, samples.square], 3)
    assert [result.output.is_ok for result in results] == [True, False, True]
    assert results[1].error is not None
    assert results[1].error.code == "SIGKILL"


def test_a_run_is_cancelled_when_its_limits_can_no_longer_be_enforced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Limits are not silently ignored if the thread that enforces them fails."""

    def fail(*_: object) -> int:
        raise ValueError("no such thing as memory")

    monkeypatch.setattr(enact_pool._lanes.limit_enforcer, "own_bytes", fail)
    with Pool(2) as pool:
        with pytest.raises(RuntimeError, match="limits could not be enforced") as raised:
            pool.run_parallel([spin_for_ever] * 3, None, timeout=40, max_memory=1 << 40)
        assert isinstance(raised.value.__cause__, ValueError)
        results: list[ParallelResult[Any]] = raised.value.results  # type: ignore[attr-defined]
        assert [result.output for result in results] == [Err("cancelled")] * 3
        assert pool.run_parallel([len], "abc")[0].output.unwrap() == 3


def test_a_time_limit_larger_than_any_float_is_out_of_range() -> None:
    with pytest.raises(ValueError, match="timeout must be above 0 seconds, and finite"):
        run_parallel([len], "", timeout=10**400)
