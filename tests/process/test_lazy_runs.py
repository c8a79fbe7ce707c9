"""Lazy runs: results are yielded as they arrive, and items are pulled as they are needed."""

from __future__ import annotations

import asyncio
import functools
import itertools
import re
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sample_callables as samples
import sample_pickles as pickles

from enact_pool import (
    Err,
    EventEmitter,
    Ok,
    Pool,
    StepEnd,
    imap_parallel,
    iter_parallel,
    map_parallel,
    run_parallel,
)
from tests.timings import set_timing


@pytest.fixture
def pool() -> Any:
    with Pool(2) as pool:
        yield pool


class Counted:
    """An iterable that counts the items that were pulled."""

    def __init__(self, items: Any) -> None:
        self.items = iter(items)
        self.taken = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        item = next(self.items)
        self.taken += 1
        return item


def test_only_as_many_items_are_pulled_as_keep_the_workers_busy(pool: Pool) -> None:
    source, seen = Counted(itertools.count()), []
    for result in imap_parallel(samples.sleep_5_ms, source, pool=pool):
        seen.append(result.output.unwrap())
        assert source.taken - len(seen) <= 100
        if len(seen) == 100:
            break
    assert seen == list(range(100))


def test_each_result_is_yielded_as_soon_as_all_before_it_are(pool: Pool, tmp_path: Path) -> None:
    """The last callable waits for a gate that opens when the earlier results have arrived."""
    gate = tmp_path / "gate"
    callables = [samples.square] * 3 + [samples.busy_until(str(gate))]
    seen: list[Any] = []
    emitted: list[str] = []
    emitter = EventEmitter()
    for result in iter_parallel(callables, 2, emitter, pool=pool):
        seen.append(result.output)
        emitted += [event.execution_id for event in emitter.drain()]
        assert result.execution_id in emitted
        if len(seen) == 3:
            assert len(emitted) == 3
            gate.touch()
    assert seen == [Ok(4), Ok(4), Ok(4), Ok("done")]


def test_unordered_results_and_events_come_as_callables_finish(pool: Pool, tmp_path: Path) -> None:
    """The first callable waits for a gate that opens when the others are done."""
    gate = tmp_path / "gate"
    callables = [samples.busy_until(str(gate)), *[samples.square] * 9]
    results = []
    emitter = EventEmitter()
    for result in iter_parallel(callables, 2, emitter, pool=pool, ordered=False):
        results.append(result)
        if len(results) == 9:
            gate.touch()
    assert [result.output for result in results] == [Ok(4)] * 9 + [Ok("done")]
    emitted = [event.execution_id for event in emitter.drain()]
    assert emitted == [result.execution_id for result in results]


def test_a_crash_costs_one_result_of_a_lazy_run(pool: Pool) -> None:
    def callables() -> Iterator[Callable[[Any], Any]]:
        for index in range(60):
            yield samples.segfault if index == 33 else samples.square

    results = list(iter_parallel(callables(), 3, pool=pool))
    blamed = results.pop(33)
    assert [result.output for result in results] == [Ok(9)] * 59
    assert blamed.error is not None
    assert blamed.error.details["index"] == 33


def test_leaving_the_loop_starts_no_more_callables(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_timing(monkeypatch, "WIND_DOWN_SECONDS", 30.0)
    log = tmp_path / "starts"

    def logged(index: int) -> int:
        samples.append(log, index)
        return index

    source = Counted(itertools.count())
    for result in imap_parallel(logged, source, pool=pool):
        if result.output == Ok(20):
            workers = {lane.pid for lane in pool._lane_pool.lanes()}
            break
    started = log.read_text().split()
    assert len(started) <= source.taken
    again = {lane.pid for lane in pool._lane_pool.lanes()}
    assert again == workers, "quick callables are let end, so their workers are kept"
    pool.run_parallel([samples.square] * 50, 2)
    assert log.read_text().split() == started


def test_leaving_the_loop_kills_long_running_callables(pool: Pool, tmp_path: Path) -> None:
    log = tmp_path / "pids"

    def stubborn(index: int) -> int:
        if index:
            samples.append_pid(log)
            time.sleep(3600)
        return index

    results = imap_parallel(stubborn, itertools.count(), pool=pool)
    assert next(results).output == Ok(0)
    while not log.exists():
        pass
    results.close()
    assert [r.output for r in pool.run_parallel([samples.square] * 9, 2)] == [Ok(4)] * 9


def test_an_error_of_the_iterable_is_raised_after_the_results_of_its_items(pool: Pool) -> None:
    def callables() -> Iterator[Callable[[Any], Any]]:
        yield samples.square
        yield samples.square
        raise OSError("no more")

    results = iter_parallel(callables(), 3, pool=pool)
    assert [next(results).output, next(results).output] == [Ok(9), Ok(9)]
    with pytest.raises(OSError, match="no more"):
        next(results)


def test_an_item_that_is_not_callable_raises_after_earlier_results(pool: Pool) -> None:
    results = iter_parallel([samples.square, 5, samples.square], 3, pool=pool)
    assert next(results).output == Ok(9)
    with pytest.raises(TypeError, match=r"callables\[1\] is not callable: 'int' object"):
        next(results)


def test_a_slow_iterable_delays_no_result(pool: Pool) -> None:
    """The first result arrives before the last item is pulled, though workers want more."""

    def inputs() -> Iterator[int]:
        for number in range(100):
            time.sleep(0.005)
            yield number

    source = Counted(inputs())
    results = imap_parallel(samples.square, source, pool=pool)
    assert next(results).output == Ok(0)
    assert source.taken < 100
    assert [result.output for result in results] == [Ok(i * i) for i in range(1, 100)]


def test_the_loop_over_a_lazy_run_may_run_callables(pool: Pool) -> None:
    seen = []
    for result in imap_parallel(samples.square, range(5), pool=pool):
        (nested,) = run_parallel([samples.square], result.output.unwrap(), pool=pool)
        seen.append(nested.output.unwrap())
    assert seen == [0, 1, 16, 81, 256]


def test_a_lazy_run_that_never_starts_starts_no_process(mark: str) -> None:
    from tests.conftest import processes

    before = processes(mark)
    with Pool(2) as pool:
        imap_parallel(samples.square, range(5), pool=pool).close()
        iter_parallel([samples.square], 5, pool=pool)
    assert processes(mark) == before


def test_a_lazy_run_keeps_no_yielded_results(pool: Pool) -> None:
    class Input:
        pass

    alive: weakref.WeakSet[Input] = weakref.WeakSet()

    def inputs() -> Iterator[Input]:
        for _ in range(30_000):
            one = Input()
            alive.add(one)
            yield one

    most = 0
    for result in imap_parallel(lambda _: None, inputs(), pool=pool):
        assert result.output == Ok(None)
        most = max(most, len(alive))
    assert most < 15_000
    assert not alive


def test_a_function_runs_on_each_input_in_order(pool: Pool) -> None:
    emitter = EventEmitter()
    results = map_parallel(samples.square, range(1000), emitter, pool=pool)
    assert [result.output for result in results] == [Ok(i * i) for i in range(1000)]
    assert {result.agent_name for result in results} == {"square"}
    events = emitter.drain()
    assert [event.execution_id for event in events] == [r.execution_id for r in results]
    assert [event.output for event in events if isinstance(event, StepEnd)] == [
        str(i * i) for i in range(1000)
    ]


def test_objects_with_run_and_coroutine_functions_run_on_inputs(pool: Pool) -> None:
    async def triple(x: int) -> int:
        return 3 * x

    assert [r.output for r in map_parallel(triple, range(3), pool=pool)] == [Ok(0), Ok(3), Ok(6)]
    results = map_parallel(samples.Squares(), [3], pool=pool)
    assert [(r.agent_name, r.output) for r in results] == [("Squares", Ok(9))]


def test_each_callable_receives_its_own_copy_of_the_input(pool: Pool) -> None:
    """The same list twelve times, in few batches."""

    def grow(numbers: list[int]) -> int:
        numbers.append(0)
        return len(numbers)

    shared = [1, 2]
    results = map_parallel(grow, [shared] * 12, pool=pool)
    assert [result.output for result in results] == [Ok(3)] * 12
    assert shared == [1, 2]


def test_inputs_that_cannot_be_sent_cost_only_their_own_results(pool: Pool) -> None:
    inputs = [1, pickles.Unpicklable(), 2, pickles.Unloadable(), 3]
    outputs = [r.output for r in map_parallel(lambda x: x, inputs, pool=pool)]
    assert [outputs[0], outputs[2], outputs[4]] == [Ok(1), Ok(2), Ok(3)]
    assert isinstance(outputs[1], Err)
    assert outputs[1].error.startswith("the input cannot be pickled: ")
    assert isinstance(outputs[3], Err)
    assert outputs[3].error.startswith("the input cannot be rebuilt in the worker: ")


def with_captured(_: object, x: int) -> int:
    return x


def test_a_function_that_cannot_be_sent_fails_all_inputs(pool: Pool) -> None:
    unpicklable, unloadable = pickles.Unpicklable(), pickles.Unloadable()
    for captured, what in [
        (unpicklable, "the function cannot be pickled: "),
        (unloadable, "the function cannot be rebuilt in the worker: "),
    ]:
        results = map_parallel(functools.partial(with_captured, captured), range(5), pool=pool)
        assert len(results) == 5
        for result in results:
            assert isinstance(result.output, Err)
            assert re.match(re.escape(what), result.output.error), result.output.error


def test_a_crash_on_one_input_costs_one_result(pool: Pool) -> None:
    def fragile(x: int) -> int:
        if x == 17:
            samples.segfault(x)
        return x

    results = map_parallel(fragile, range(50), pool=pool)
    blamed = results.pop(17)
    assert [r.output for r in results] == [Ok(x) for x in range(50) if x != 17]
    assert blamed.error is not None
    assert blamed.error.details["index"] == 17
    assert blamed.error.details["name"] == "fragile"


def test_a_map_without_inputs_has_no_results(pool: Pool) -> None:
    assert map_parallel(samples.square, [], pool=pool) == []
    assert list(imap_parallel(samples.square, [], pool=pool)) == []


@pytest.mark.parametrize(
    ("function", "inputs", "text"),
    [
        (5, [1], "function is not callable: 'int' object"),
        (samples.square, 5, "inputs must be an iterable, not int"),
    ],
)
@pytest.mark.parametrize("run", [map_parallel, imap_parallel])
def test_arguments_that_cannot_be_mapped_raise_at_once(
    run: Any, function: Any, inputs: Any, text: str
) -> None:
    with pytest.raises(TypeError, match=text):
        run(function, inputs)


def test_a_closed_pool_raises_before_the_first_result() -> None:
    pool = Pool(1)
    pool.close()
    with pytest.raises(RuntimeError, match="the pool is closed"):
        iter_parallel([samples.square], 3, pool=pool)


def test_a_pool_lives_as_long_as_a_lazy_run_that_uses_it() -> None:
    assert [r.output for r in iter_parallel([samples.square] * 3, 2, pool=Pool(1))] == [Ok(4)] * 3


def test_a_paused_lazy_run_delays_no_other_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another thread leases an extra worker; the paused run's workers are ended afterwards."""
    set_timing(monkeypatch, "AWAY_SECONDS", 0.05)
    answers: list[Any] = []
    with Pool(1) as pool:

        def run() -> None:
            answers.extend(r.output for r in pool.run_parallel([samples.square], 3))

        streams = [imap_parallel(samples.square, itertools.count(), pool=pool) for _ in range(2)]
        for stream in streams:
            assert next(stream).output == Ok(0)
            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
        assert answers == [Ok(9)] * 2
        for stream in streams:
            stream.close()
        assert len(pool._lane_pool.lanes()) == 1


@pytest.mark.parametrize("error", [SystemExit(3), KeyError("k"), asyncio.CancelledError()])
def test_every_exception_of_an_iterable_is_raised_after_earlier_results(
    error: BaseException, pool: Pool
) -> None:
    def inputs() -> Iterator[int]:
        yield 2
        raise error

    results = imap_parallel(samples.square, inputs(), pool=pool)
    assert next(results).output == Ok(4)
    with pytest.raises(type(error)):
        next(results)


def test_a_callable_whose_attributes_raise_is_named_in_the_error() -> None:
    class Secretive:
        def __getattr__(self, name: str) -> Any:
            raise StopIteration

    with pytest.raises(TypeError, match=r"callables\[1\] raises StopIteration"):
        run_parallel([samples.square, Secretive()], 3)


def test_a_program_may_end_with_an_unfinished_generator() -> None:
    program = """
from enact_pool import imap_parallel
def main():
    global results
    results = imap_parallel(abs, range(1000))
    for result in results:
        if result.output.unwrap() > 3:
            break
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
