"""The pool behind the interface of `concurrent.futures`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import ctypes
import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import sample_callables as samples
import sample_initializers as initializers
import sample_pickles as pickles

from enact_pool import EventEmitter, ExecutionFailed, PoolExecutor, StepEnd, WorkerCrashError


@pytest.fixture
def executor() -> Iterator[PoolExecutor]:
    with PoolExecutor(2) as executor:
        yield executor


class Gated:
    """Calls that run until the gate opens."""

    def __init__(self, folder: Path) -> None:
        self.gate = folder / "gate"

    def submit(self, executor: PoolExecutor) -> Future[str]:
        return executor.submit(samples.busy_until(str(self.gate)), None)


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Gated]:
    gated = Gated(tmp_path)
    yield gated
    gated.gate.touch()


def until_running(*futures: Future[Any]) -> None:
    while not all(future.running() for future in futures):
        threading.Event().wait(0.001)


class Custom(Exception):
    def __init__(self, message: str, code: int) -> None:
        super().__init__(message, code)
        self.code = code


def raise_custom() -> None:
    raise Custom("not today", 7)


def keyword_only(a: int, *, b: int) -> int:
    return a * b


def test_calls_receive_their_arguments(executor: PoolExecutor) -> None:
    captured = 3
    assert executor.submit(keyword_only, 6, b=7).result() == 42
    assert executor.submit(lambda n: n * captured, 5).result() == 15
    assert executor.submit([1, 2, 3].index, 2).result() == 1
    assert executor.submit(partial(keyword_only, b=2), 4).result() == 8
    assert executor.submit(int, "12").result() == 12


def test_calls_share_no_arguments_and_no_state(executor: PoolExecutor) -> None:
    """Even if they travel in one batch."""
    numbers: list[int] = []
    futures = [executor.submit(list.append, numbers, 1) for _ in range(100)]
    sizes = [executor.submit(_grown, numbers) for _ in range(100)]
    grown = [executor.submit(numbers.append, 1) for _ in range(100)]
    wait([*futures, *grown])
    assert {future.result() for future in sizes} == {1}
    assert numbers == []


def _grown(numbers: list[int]) -> int:
    numbers.append(0)
    return len(numbers)


def test_a_dead_worker_costs_only_its_call(executor: PoolExecutor) -> None:
    before = [executor.submit(abs, -n) for n in range(50)]
    crash = executor.submit(ctypes.string_at, 0)
    after = [executor.submit(abs, -n) for n in range(50)]
    with pytest.raises(WorkerCrashError, match="SIGSEGV") as caught:
        crash.result()
    assert isinstance(caught.value, BrokenProcessPool)
    assert caught.value.error.details["signal"] == "SIGSEGV"
    assert [future.result() for future in before + after] == [*range(50), *range(50)]
    assert executor.submit(abs, -1).result() == 1


def test_an_exception_of_a_call_has_the_workers_traceback_as_its_cause(
    executor: PoolExecutor,
) -> None:
    error = executor.submit(raise_custom).exception()
    assert isinstance(error, Custom)
    assert (error.args, error.code) == (("not today", 7), 7)
    assert "in raise_custom" in str(error.__cause__)
    exits = executor.submit(sys.exit, 3).exception()
    assert isinstance(exits, SystemExit)
    assert exits.code == 3


def test_a_call_that_cannot_be_pickled_costs_only_its_own_future(executor: PoolExecutor) -> None:
    lock = threading.Lock()
    futures: list[Future[Any]] = [
        executor.submit(abs, -1),
        executor.submit(id, lock),
        executor.submit(threading.Lock),
    ]
    with pytest.raises(TypeError, match="pickle"):
        futures[1].result()
    with pytest.raises(TypeError, match="pickle"):
        futures[2].result()
    assert futures[0].result() == 1
    error = executor.submit(pickles.raise_unpicklable).exception()
    assert "cannot be sent back" in str(error)


def test_limits_are_enforced() -> None:
    with PoolExecutor(1, timeout=0.1, max_tasks_per_child=1) as executor:
        slow = executor.submit(signal.pause)
        pids = [executor.submit(os.getpid).result() for _ in range(3)]
        assert len(set(pids)) == 3
        with pytest.raises(TimeoutError, match="time limit"):
            slow.result()


def test_a_call_can_be_cancelled_until_it_begins(executor: PoolExecutor, gated: Gated) -> None:
    """Including calls that were already sent to a worker."""
    running = [gated.submit(executor) for _ in range(2)]
    until_running(*running)
    waiting = [executor.submit(abs, -n) for n in range(20)]
    assert not any(future.cancel() for future in running)
    assert all(future.cancel() for future in waiting[::2])
    assert wait(waiting[::2], timeout=30).done == set(waiting[::2])
    gated.gate.touch()
    assert [future.result() for future in running] == ["done"] * 2
    assert [future.result() for future in waiting[1::2]] == list(range(1, 20, 2))
    assert not any(future.running() or future.cancel() for future in running + waiting[1::2])


def test_killing_a_call_does_not_affect_others(gated: Gated, tmp_path: Path) -> None:
    with PoolExecutor(2) as executor:
        endless: Any = executor.submit(samples.busy_until(str(tmp_path / "never")), None)
        running = gated.submit(executor)
        until_running(endless, running)
        waiting: Any = executor.submit(abs, -1)
        waiting.kill()
        assert waiting.cancelled()
        endless.kill()
        with pytest.raises(WorkerCrashError, match="SIGKILL"):
            endless.result()
        gated.gate.touch()
        assert running.result() == "done"
        endless.kill()
        assert executor.submit(abs, -2).result() == 2


def test_shutdown_completes_or_cancels_submitted_calls(gated: Gated) -> None:
    executor = PoolExecutor(1)
    running = gated.submit(executor)
    until_running(running)
    waiting = [executor.submit(abs, -1) for _ in range(5)]
    executor.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in waiting)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(abs, -1)
    gated.gate.touch()
    executor.shutdown()
    assert running.result() == "done"
    with PoolExecutor(1) as executor:
        futures = [executor.submit(abs, -n) for n in range(1000)]
    assert [future.result() for future in futures] == list(range(1000))


@pytest.mark.parametrize("end", [PoolExecutor.terminate_workers, PoolExecutor.kill_workers])
def test_workers_can_be_killed_at_once(end: Any, gated: Gated) -> None:
    executor = PoolExecutor(1)
    running = gated.submit(executor)
    until_running(running)
    waiting = executor.submit(abs, -1)
    end(executor)
    with pytest.raises(WorkerCrashError, match=r"SIGTERM|SIGKILL"):
        running.result()
    assert waiting.cancelled()
    executor.shutdown()


def test_an_executor_that_is_garbage_completes_submitted_calls() -> None:
    executor = PoolExecutor(1)
    dropped = weakref.ref(executor)
    future = executor.submit(abs, -1)
    thread = executor._thread
    del executor
    gc.collect()
    assert dropped() is None
    assert future.result() == 1
    assert thread is not None
    thread.join()


def test_map_returns_values_in_order_and_raises_in_their_place(executor: PoolExecutor) -> None:
    assert list(executor.map(pow, range(100), [2] * 100, chunksize=7)) == [
        n * n for n in range(100)
    ]
    values = executor.map(lambda n: 1 // n, [1, 0, 1])
    assert next(values) == 1
    with pytest.raises(ZeroDivisionError):
        next(values)
    with pytest.raises(ValueError, match="chunksize"):
        executor.map(abs, [], chunksize=0)
    taken = count()
    values = executor.map(abs, taken, buffersize=5)
    assert [next(values) for _ in range(3)] == [0, 1, 2]
    assert next(taken) == 8
    values.close()  # type: ignore[attr-defined]


def test_map_raises_after_its_timeout(executor: PoolExecutor, gated: Gated) -> None:
    values = executor.map(samples.busy_until(str(gated.gate)), [None], timeout=0.01)
    # The built-in one, from 3.11 on.
    with pytest.raises(concurrent.futures.TimeoutError):
        next(values)


def test_callbacks_are_called_and_waiters_wake_up(executor: PoolExecutor, gated: Gated) -> None:
    received: list[int] = []

    def submit_another(future: Future[int]) -> None:
        received.append(future.result())
        executor.submit(abs, -2).add_done_callback(lambda other: received.append(other.result()))

    slow: Future[Any] = gated.submit(executor)
    quick: Future[Any] = executor.submit(abs, -1)
    quick.add_done_callback(submit_another)
    assert wait([slow, quick], return_when=FIRST_COMPLETED).done == {quick}
    gated.gate.touch()
    assert {future.result() for future in as_completed([slow, quick])} == {"done", 1}
    executor.shutdown()
    assert received == [1, 2]


def test_it_works_with_asyncio(executor: PoolExecutor) -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(*(loop.run_in_executor(executor, abs, -n) for n in range(50)))

    assert asyncio.run(main()) == list(range(50))


def test_many_threads_can_submit_at_once(executor: PoolExecutor) -> None:
    futures: list[list[Future[int]]] = [[] for _ in range(8)]

    def submit(mine: list[Future[int]]) -> None:
        for n in range(200):
            mine.append(executor.submit(abs, -n))
            if n % 3 == 0:
                mine[-1].cancel()

    threads = [threading.Thread(target=submit, args=(mine,)) for mine in futures]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for mine in futures:
        assert wait(mine, timeout=30).not_done == set()
        assert all(f.cancelled() or f.result() == n for n, f in enumerate(mine))
        assert all(f.result() == n for n, f in enumerate(mine) if n % 3)


def test_workers_that_cannot_start_fail_submitted_calls_until_they_can(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with PoolExecutor(1, initializer=initializers.start_only_if, initargs=(str(gate),)) as executor:
        with pytest.raises(WorkerCrashError, match="gate is shut"):
            executor.submit(abs, -1).result()
        gate.touch()
        assert executor.submit(abs, -1).result() == 1


def test_an_emitter_receives_the_events_of_the_calls() -> None:
    emitter = EventEmitter()
    with PoolExecutor(1, emitter=emitter) as executor:
        futures: list[Future[Any]] = [executor.submit(abs, -1), executor.submit(os._exit, 3)]
        wait(futures)
    assert [type(event) for event in emitter.drain()] == [StepEnd, ExecutionFailed]


SCRIPT = """
import os
from enact_pool import PoolExecutor

def square(n):
    return n * n

executor = PoolExecutor(2)
inherited = executor.submit(square, 3)
print("parent", inherited.result(), flush=True)
if pid := os.fork():
    print("child ended with", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
else:
    print("child", executor.submit(square, 4).result(), flush=True)
    executor.shutdown()
    os._exit(0)
for n in range(3):
    executor.submit(square, n).add_done_callback(lambda future: print("done", flush=True))
"""


def test_a_script_needs_no_guard_may_fork_and_completes_its_calls_at_exit() -> None:
    ended = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", SCRIPT],
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert ended.stdout.splitlines() == [
        "parent 9", "child 16", "child ended with 0", *["done"] * 3,
    ]  # fmt: skip
    assert ended.stderr == ""


class Weighty:
    """An object that weak references can refer to."""


def make_weighty(_: object) -> Weighty:
    return Weighty()


@pytest.mark.timeout(20)
def test_no_result_is_kept_after_it_was_taken() -> None:
    """The executor's thread waits for more calls meanwhile."""
    with PoolExecutor(2) as executor:
        for value in executor.map(make_weighty, range(100)):
            reference = weakref.ref(value)
            del value
            while reference() is not None:
                gc.collect()
