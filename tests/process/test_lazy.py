"""Results that are given as they come, of callables or inputs that are taken as they are needed."""

from __future__ import annotations

import asyncio
import functools
import itertools
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import deeds
import pytest

import enact_pool._core.leasing
import enact_pool._engine.run
import enact_pool._engine.run_lanes
import enact_pool._lanes.lane_pool
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


@pytest.fixture
def pool() -> Any:
    with Pool(2) as pool:
        yield pool


class Counted:
    """An iterable that knows how many of its items were taken."""

    def __init__(self, items: Any) -> None:
        self.items = iter(items)
        self.taken = 0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        item = next(self.items)
        self.taken += 1
        return item


def test_an_endless_iterable_is_taken_only_as_far_as_keeps_the_workers_busy(pool: Pool) -> None:
    source, seen = Counted(itertools.count()), []
    for result in imap_parallel(deeds.sleep_5_ms, source, pool=pool):
        seen.append(result.output.unwrap())
        assert source.taken - len(seen) <= 100
        if len(seen) == 100:
            break
    assert seen == list(range(100))


def test_each_result_comes_as_soon_as_its_turn_has_come(pool: Pool, tmp_path: Path) -> None:
    """The last callable waits for a gate that is opened when the results before it are there."""
    gate = tmp_path / "gate"
    callables = [deeds.square] * 3 + [deeds.busy_until(str(gate))]
    seen: list[Any] = []
    told: list[str] = []
    emitter = EventEmitter()
    for result in iter_parallel(callables, 2, emitter, pool=pool):
        seen.append(result.output)
        told += [event.execution_id for event in emitter.drain()]
        assert result.execution_id in told
        if len(seen) == 3:
            assert len(told) == 3
            gate.touch()
    assert seen == [Ok(4), Ok(4), Ok(4), Ok("done")]


def test_results_and_events_come_as_callables_finish_if_order_is_not_asked_for(
    pool: Pool, tmp_path: Path
) -> None:
    """The first callable waits for a gate that is opened when the others are done."""
    gate = tmp_path / "gate"
    callables = [deeds.busy_until(str(gate)), *[deeds.square] * 9]
    results = []
    emitter = EventEmitter()
    for result in iter_parallel(callables, 2, emitter, pool=pool, ordered=False):
        results.append(result)
        if len(results) == 9:
            gate.touch()
    assert [result.output for result in results] == [Ok(4)] * 9 + [Ok("done")]
    told = [event.execution_id for event in emitter.drain()]
    assert told == [result.execution_id for result in results]


def test_a_crash_costs_one_result_of_a_stream(pool: Pool) -> None:
    def callables() -> Iterator[Callable[[Any], Any]]:
        for index in range(60):
            yield deeds.segfault if index == 33 else deeds.square

    results = list(iter_parallel(callables(), 3, pool=pool))
    culprit = results.pop(33)
    assert [result.output for result in results] == [Ok(9)] * 59
    assert culprit.error is not None
    assert culprit.error.details["index"] == 33


def test_what_has_not_started_when_a_loop_is_left_never_starts(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enact_pool._engine.run, "WIND_DOWN_SECONDS", 30.0)
    log = tmp_path / "starts"

    def noted(index: int) -> int:
        deeds.append(log, index)
        return index

    source = Counted(itertools.count())
    for result in imap_parallel(noted, source, pool=pool):
        if result.output == Ok(20):
            workers = {lane.pid for lane in pool._lane_pool.lanes()}
            break
    started = log.read_text().split()
    assert len(started) <= source.taken
    again = {lane.pid for lane in pool._lane_pool.lanes()}
    assert again == workers, "quick callables are let end, so their workers are kept"
    pool.run_parallel([deeds.square] * 50, 2)
    assert log.read_text().split() == started


def test_what_runs_when_a_loop_is_left_is_killed_if_it_takes_long(
    pool: Pool, tmp_path: Path
) -> None:
    log = tmp_path / "pids"

    def stubborn(index: int) -> int:
        if index:
            deeds.append_pid(log)
            time.sleep(3600)
        return index

    results = imap_parallel(stubborn, itertools.count(), pool=pool)
    assert next(results).output == Ok(0)
    while not log.exists():
        pass
    results.close()
    assert [r.output for r in pool.run_parallel([deeds.square] * 9, 2)] == [Ok(4)] * 9


def test_what_an_iterable_raises_comes_after_the_results_of_what_it_gave(pool: Pool) -> None:
    def callables() -> Iterator[Callable[[Any], Any]]:
        yield deeds.square
        yield deeds.square
        raise OSError("no more")

    results = iter_parallel(callables(), 3, pool=pool)
    assert [next(results).output, next(results).output] == [Ok(9), Ok(9)]
    with pytest.raises(OSError, match="no more"):
        next(results)


def test_what_is_no_callable_is_named_after_the_results_of_those_before(pool: Pool) -> None:
    results = iter_parallel([deeds.square, 5, deeds.square], 3, pool=pool)
    assert next(results).output == Ok(9)
    with pytest.raises(TypeError, match=r"callables\[1\] is not callable: 'int' object"):
        next(results)


def test_an_iterable_that_is_slow_holds_up_no_result(pool: Pool) -> None:
    """The first result is there before all is taken, though the workers want more all the time."""

    def inputs() -> Iterator[int]:
        for number in range(100):
            time.sleep(0.005)
            yield number

    source = Counted(inputs())
    results = imap_parallel(deeds.square, source, pool=pool)
    assert next(results).output == Ok(0)
    assert source.taken < 100
    assert [result.output for result in results] == [Ok(i * i) for i in range(1, 100)]


def test_a_stream_may_run_callables_between_its_results(pool: Pool) -> None:
    seen = []
    for result in imap_parallel(deeds.square, range(5), pool=pool):
        (nested,) = run_parallel([deeds.square], result.output.unwrap(), pool=pool)
        seen.append(nested.output.unwrap())
    assert seen == [0, 1, 16, 81, 256]


def test_a_stream_that_is_not_begun_starts_no_process(mark: str) -> None:
    from conftest import processes

    before = processes(mark)
    with Pool(2) as pool:
        imap_parallel(deeds.square, range(5), pool=pool).close()
        iter_parallel([deeds.square], 5, pool=pool)
    assert processes(mark) == before


def test_a_stream_lets_go_of_what_it_has_given(pool: Pool) -> None:
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
    results = map_parallel(deeds.square, range(1000), emitter, pool=pool)
    assert [result.output for result in results] == [Ok(i * i) for i in range(1000)]
    assert {result.agent_name for result in results} == {"square"}
    events = emitter.drain()
    assert [event.execution_id for event in events] == [r.execution_id for r in results]
    assert [event.output for event in events if isinstance(event, StepEnd)] == [
        str(i * i) for i in range(1000)
    ]


def test_an_object_with_run_and_a_coroutine_function_run_on_inputs(pool: Pool) -> None:
    async def triple(x: int) -> int:
        return 3 * x

    assert [r.output for r in map_parallel(triple, range(3), pool=pool)] == [Ok(0), Ok(3), Ok(6)]
    results = map_parallel(deeds.Squares(), [3], pool=pool)
    assert [(r.agent_name, r.output) for r in results] == [("Squares", Ok(9))]


def test_each_input_is_a_copy_of_its_own(pool: Pool) -> None:
    """The same list twelve times, in few batches."""

    def grow(numbers: list[int]) -> int:
        numbers.append(0)
        return len(numbers)

    shared = [1, 2]
    results = map_parallel(grow, [shared] * 12, pool=pool)
    assert [result.output for result in results] == [Ok(3)] * 12
    assert shared == [1, 2]


def test_inputs_that_do_not_travel_cost_their_own_result(pool: Pool) -> None:
    inputs = [1, deeds.Unpicklable(), 2, deeds.Unloadable(), 3]
    outputs = [r.output for r in map_parallel(lambda x: x, inputs, pool=pool)]
    assert [outputs[0], outputs[2], outputs[4]] == [Ok(1), Ok(2), Ok(3)]
    assert isinstance(outputs[1], Err)
    assert outputs[1].error.startswith("the input cannot be pickled: ")
    assert isinstance(outputs[3], Err)
    assert outputs[3].error.startswith("the input cannot be rebuilt in the worker: ")


def with_captured(_: object, x: int) -> int:
    return x


def test_a_function_that_does_not_travel_concerns_all_inputs(pool: Pool) -> None:
    unpicklable, unloadable = deeds.Unpicklable(), deeds.Unloadable()
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
            deeds.segfault(x)
        return x

    results = map_parallel(fragile, range(50), pool=pool)
    culprit = results.pop(17)
    assert [r.output for r in results] == [Ok(x) for x in range(50) if x != 17]
    assert culprit.error is not None
    assert culprit.error.details["index"] == 17
    assert culprit.error.details["name"] == "fragile"


def test_no_inputs_give_no_results(pool: Pool) -> None:
    assert map_parallel(deeds.square, [], pool=pool) == []
    assert list(imap_parallel(deeds.square, [], pool=pool)) == []


@pytest.mark.parametrize(
    ("function", "inputs", "text"),
    [
        (5, [1], "function is not callable: 'int' object"),
        (deeds.square, 5, "inputs must be an iterable, not int"),
    ],
)
@pytest.mark.parametrize("run", [map_parallel, imap_parallel])
def test_what_cannot_be_mapped_is_refused_at_once(
    run: Any, function: Any, inputs: Any, text: str
) -> None:
    with pytest.raises(TypeError, match=text):
        run(function, inputs)


def test_a_closed_pool_is_refused_before_the_first_result_is_asked_for() -> None:
    pool = Pool(1)
    pool.close()
    with pytest.raises(RuntimeError, match="the pool is closed"):
        iter_parallel([deeds.square], 3, pool=pool)


def test_a_pool_lives_as_long_as_a_stream_that_uses_it() -> None:
    assert [r.output for r in iter_parallel([deeds.square] * 3, 2, pool=Pool(1))] == [Ok(4)] * 3


def test_a_stream_that_is_left_waiting_holds_up_no_other_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another thread gets a worker in the place of those it has; they are ended afterwards."""
    monkeypatch.setattr(enact_pool._core.leasing, "AWAY_SECONDS", 0.05)
    monkeypatch.setattr(enact_pool._engine.run_lanes, "AWAY_SECONDS", 0.05)
    answers: list[Any] = []
    with Pool(1) as pool:

        def run() -> None:
            answers.extend(r.output for r in pool.run_parallel([deeds.square], 3))

        streams = [imap_parallel(deeds.square, itertools.count(), pool=pool) for _ in range(2)]
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
def test_whatever_an_iterable_raises_comes_after_the_results_of_what_it_gave(
    error: BaseException, pool: Pool
) -> None:
    def inputs() -> Iterator[int]:
        yield 2
        raise error

    results = imap_parallel(deeds.square, inputs(), pool=pool)
    assert next(results).output == Ok(4)
    with pytest.raises(type(error)):
        next(results)


def test_a_callable_that_raises_when_it_is_looked_at_is_named() -> None:
    class Secretive:
        def __getattr__(self, name: str) -> Any:
            raise StopIteration

    with pytest.raises(TypeError, match=r"callables\[1\] raises StopIteration"):
        run_parallel([deeds.square, Secretive()], 3)
