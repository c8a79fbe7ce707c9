"""Runs that are cancelled by another thread, a signal handler, or a failure."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
import sample_callables as samples
import sample_pickles as pickles
from checks import assert_ends
from sample_callables import StartsProcess, spin_for_ever

from enact_pool import (
    Err,
    EventEmitter,
    ExecutionCancelled,
    ExecutionErrorCategory,
    Ok,
    Pool,
    StepEnd,
    StreamEvent,
    default_pool,
    imap_parallel,
    iter_parallel,
    run_parallel,
)


class Starts:
    """Logs its start, then runs for long."""

    def __init__(self, log: Path, seconds: float = 60.0) -> None:
        self.log = str(log)
        self.seconds = seconds

    def run(self, x: int) -> int:
        samples.append(self.log, os.getpid())
        time.sleep(self.seconds)
        return x


def starts(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


@pytest.fixture
def when_started(tmp_path: Path) -> Iterator[Callable[[int, Callable[[], object]], Path]]:
    """Return a function that acts, in another thread, when enough callables have started."""
    threads: list[threading.Thread] = []

    def arrange(count: int, action: Callable[[], object]) -> Path:
        log = tmp_path / f"starts-{len(threads)}"

        def wait() -> None:
            deadline = time.monotonic() + 30
            while len(starts(log)) < count and time.monotonic() < deadline:
                time.sleep(0.001)
            action()

        threads.append(threading.Thread(target=wait))
        threads[-1].start()
        return log

    yield arrange
    for thread in threads:
        thread.join()


When = Callable[[int, Callable[[], object]], Path]


def test_cancelling_kills_running_callables_and_starts_no_others(when_started: When) -> None:
    """Finished callables keep their outcomes; events are in order; the pool stays usable."""
    emitter = EventEmitter()
    with Pool(2) as pool:
        log = when_started(2, pool.cancel)
        callables: list[Any] = [samples.square, *[Starts(log)] * 20]
        results = pool.run_parallel(callables, 3, emitter)
        assert len(starts(log)) == 2
        assert [result.output for result in pool.run_parallel([samples.square] * 4, 2)] == [
            Ok(4)
        ] * 4
        assert len(starts(log)) == 2
    assert [result.output for result in results] == [Ok(9), *[Err("cancelled")] * 20]
    assert [result.agent_name for result in results] == ["square", *["Starts"] * 20]
    assert {result.error for result in results} == {None}
    first, *others = emitter.drain()
    assert isinstance(first, StepEnd)
    assert [event.execution_id for event in others] == [
        result.execution_id for result in results[1:]
    ]
    for event in others:
        assert isinstance(event, ExecutionCancelled)
        assert event.reason == "Pool.cancel was called"
        assert event.to_dict()["type"] == "data-execution-cancelled"


def test_a_signal_handler_can_cancel_the_runs_of_the_default_pool(when_started: When) -> None:
    log = when_started(1, lambda: os.kill(os.getpid(), signal.SIGUSR1))
    before = signal.signal(signal.SIGUSR1, lambda *_: default_pool().cancel())
    try:
        results = run_parallel([Starts(log)] * 8, 1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert [result.output for result in results] == [Err("cancelled")] * 8


def test_an_emitter_can_cancel_its_run() -> None:
    class Cancels:
        def emit(self, event: StreamEvent) -> None:
            events.append(event)
            pool.cancel()

    events: list[StreamEvent] = []
    with Pool(2) as pool:
        results = pool.run_parallel([samples.square, *[spin_for_ever] * 4], 3, Cancels())
    assert [result.output for result in results] == [Ok(9), *[Err("cancelled")] * 4]
    assert [type(event) for event in events] == [StepEnd, *[ExecutionCancelled] * 4]


def test_cancelling_a_pool_cancels_all_its_runs_and_no_others(when_started: When) -> None:
    results: dict[int, Any] = {}

    def run(number: int, pool: Pool, log: Path, seconds: float) -> None:
        results[number] = pool.run_parallel([Starts(log, seconds)] * 3, number)

    with Pool(2) as pool, Pool(1) as other:
        log = when_started(2, pool.cancel)
        others = [
            threading.Thread(target=run, args=(number, pool, log, 60.0)) for number in range(4)
        ]
        others.append(threading.Thread(target=run, args=(4, other, log.with_suffix(".x"), 0.2)))
        for thread in others:
            thread.start()
        for thread in others:
            thread.join()
    for number in range(4):
        assert [result.output for result in results[number]] == [Err("cancelled")] * 3
    assert [result.output for result in results[4]] == [Ok(4)] * 3


def test_cancelling_ends_a_run_over_an_endless_iterable() -> None:
    with Pool(2) as pool:
        count = 0
        for result in imap_parallel(samples.square, repeat(3), pool=pool):
            count += 1
            if count == 100:
                pool.cancel()
            if count <= 100:
                assert result.output == Ok(9)
            else:
                assert result.output in (Ok(9), Err("cancelled"))
    assert count > 100


def test_cancelling_an_idle_pool_changes_nothing() -> None:
    with Pool(1) as pool:
        pool.cancel()
        (before,) = pool.run_parallel([pid], None)
        pool.cancel()
        (after,) = pool.run_parallel([pid], None)
    assert before.output == after.output


def pid(_: object) -> int:
    return os.getpid()


@pytest.mark.parametrize("own_session", [False, True])
def test_cancelling_kills_the_processes_that_callables_started(
    own_session: bool, when_started: When
) -> None:
    with Pool(1) as pool:
        log = when_started(1, pool.cancel)
        started, *_ = pool.run_parallel([StartsProcess(own_session), Starts(log)], None)
        assert_ends(started.output.unwrap())


def raise_error(_: object) -> None:
    raise ValueError("failed")


FAILURES: dict[str, Any] = {
    "raises": raise_error,
    "crashes": samples.segfault,
    "is late": spin_for_ever,
    "cannot be pickled": pickles.Unpicklable(),
    "cannot be rebuilt": pickles.Unloadable(),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_fail_fast_cancels_a_run_at_the_first_failure(failure: str, tmp_path: Path) -> None:
    log, emitter = tmp_path / "log", EventEmitter()
    callables = [samples.square, FAILURES[failure], *[Starts(log)] * 20]
    with Pool(2) as pool:
        results = pool.run_parallel(callables, 3, emitter, timeout=1.0, fail_fast=True)
        assert pool.run_parallel([samples.square], 3)[0].output == Ok(9)
    assert not results[1].output.is_ok
    failed = [result for result in results[1:] if result.output != Err("cancelled")]
    if failure == "is late":
        # The callable beside it may have started earlier, and exceed its limit first, or as well.
        assert 0 < len(failed) < 3
        assert all(result.error and result.error.code == "timeout" for result in failed)
    else:
        assert failed == results[1:2]
    assert results[0].output in (Ok(9), Err("cancelled"))
    assert len(starts(log)) < 3
    reasons = {event.reason for event in emitter.drain() if isinstance(event, ExecutionCancelled)}
    assert reasons == {"an outcome was not Ok, and fail_fast was asked for"}


def test_fail_fast_changes_nothing_without_a_failure() -> None:
    assert [r.output for r in run_parallel([samples.square] * 50, 2, fail_fast=True)] == [
        Ok(4)
    ] * 50


def test_fail_fast_cancels_a_lazy_run_at_the_first_failure() -> None:
    def callables() -> Iterator[Any]:
        yield from [samples.square] * 10
        yield raise_error
        yield from repeat(samples.square)

    results = list(iter_parallel(callables(), 3, fail_fast=True))
    assert results.pop(10).output == Err("failed")
    # Callables that had finished by then keep their outcomes, at any index.
    assert all(result.output in (Ok(9), Err("cancelled")) for result in results)


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_kills_callables_that_ignore_signals(presses: int, when_started: When) -> None:
    """Within a second; busy workers and their child processes are gone."""

    def press() -> None:
        for _ in range(presses):
            os.kill(os.getpid(), signal.SIGINT)

    with Pool(2) as pool:
        log = when_started(2, press)
        callables = [HoldsOn(log), HoldsOn(log), HoldsOn(log)]
        with pytest.raises(KeyboardInterrupt):
            pool.run_parallel(callables, 1)
        for worker in starts(log):
            assert_ends(int(worker))
        (result,) = pool.run_parallel([samples.square], 3, timeout=30)
        assert result.output == Ok(9)


class HoldsOn:
    """Ignores signals, and never releases the GIL."""

    def __init__(self, log: Path) -> None:
        self.log = str(log)

    def run(self, _: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        samples.append(self.log, os.getpid())
        sum(repeat(0))


def test_a_time_out_and_a_cancellation_have_different_outcomes() -> None:
    class Cancels:
        def emit(self, event: StreamEvent) -> None:
            pool.cancel()

    with Pool(1) as pool:
        late, cancelled = pool.run_parallel([spin_for_ever] * 2, None, Cancels(), timeout=0.3)
    assert late.error is not None
    assert late.error.category is ExecutionErrorCategory.TIMEOUT
    assert cancelled.output == Err("cancelled")
