"""The results and the events of a run in which no worker dies."""

from __future__ import annotations

import asyncio
import functools
import os
import pickle
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sample_callables as samples
import sample_pickles as pickles

from enact_pool import Err, EventEmitter, Ok, Pool, RemoteError, StepEnd, StreamEvent, run_parallel
from tests.timings import set_timing


@pytest.fixture
def pool() -> Any:
    with Pool(2) as pool:
        yield pool


def outputs(pool: Pool, *callables: Any, input: Any = 3) -> list[Any]:
    return [result.output for result in pool.run_parallel(callables, input)]


def test_results_are_in_the_order_of_the_callables(pool: Pool) -> None:
    """The first callable finishes last."""

    def slow(_: object) -> int:
        time.sleep(0.1)
        return 0

    def quick(number: int) -> Callable[[object], int]:
        return lambda _: number

    callables = [slow, *(quick(i) for i in range(1, 50))]
    assert outputs(pool, *callables) == [Ok(i) for i in range(50)]


def test_no_callable_waits_behind_a_long_one_while_a_worker_is_idle(
    pool: Pool, tmp_path: Path
) -> None:
    """The first callable ends only after all others; they were sent with it."""
    log = tmp_path / "log"

    def last(_: object) -> str:
        while not log.exists() or len(log.read_text().split()) < 11:
            time.sleep(0.001)
        return "last"

    def logged(_: object) -> str:
        samples.append(log, "up")
        return "up"

    for callables in ([last, *[logged] * 11], [*[logged] * 8, last, *[logged] * 3]):
        assert outputs(pool, *callables).count(Ok("up")) == 11
        log.unlink()


def test_all_idle_workers_receive_some_of_the_waiting_callables(tmp_path: Path) -> None:
    """The last eight wait for one another, so each worker must receive one of them."""

    def nap(_: object) -> None:
        time.sleep(0.001)

    def meet(here: Path) -> None:
        samples.append(here, "here")
        while len(here.read_text().split()) < 8:
            time.sleep(0.001)

    with Pool(8) as pool:
        for number in range(12):
            here = tmp_path / str(number)
            assert outputs(pool, *[nap] * 200, *[meet] * 8, input=here) == [Ok(None)] * 208


def test_a_run_without_callables_has_no_results_no_events_and_no_process(mark: str) -> None:
    from tests.conftest import processes

    before = processes(mark)
    emitter = EventEmitter()
    with Pool(2) as pool:
        assert pool.run_parallel([], 1, emitter) == []
        assert processes(mark) == before
    assert emitter.drain() == []


def test_each_callable_has_its_own_copy_of_the_input(pool: Pool) -> None:
    """Neither other callables nor the caller see the changes of one callable."""

    def grow(items: list[int]) -> int:
        items.append(1)
        return len(items)

    input = [0]
    assert outputs(pool, *[grow] * 20, input=input) == [Ok(2)] * 20
    assert input == [0]


@pytest.mark.parametrize("input", ["text", b"bytes", 7, None, (1, [2]), {"a": {1}}, 2.5, ...])
def test_the_input_arrives_unchanged(pool: Pool, input: object) -> None:
    assert outputs(pool, *[lambda x: x] * 3, input=input) == [Ok(input)] * 3


def test_results_have_the_names_of_their_callables(pool: Pool) -> None:
    """The name is an attribute, a method, `__name__`, or the name of the type."""

    def function(_: object) -> None: ...

    class Bare:
        def run(self, _: object) -> None: ...

    class ByMethod(Bare):
        def name(self) -> str:
            return "method"

    class Called:
        def __call__(self, _: object) -> None: ...

    attribute = SimpleNamespace(name="attribute", run=function)
    partial = functools.partial(functools.partial(function))
    callables: list[Any] = [attribute, ByMethod(), Bare(), function, partial, Called(), len, str]
    results = pool.run_parallel(callables, "x")
    assert [result.agent_name for result in results] == [
        *("attribute", "method", "Bare", "function", "function", "Called", "len", "str")
    ]
    assert all(result.output.is_ok for result in results)


def test_a_callable_whose_name_raises_runs(pool: Pool) -> None:
    class Shy:
        @property
        def name(self) -> str:
            raise PermissionError("not yours")

        def run(self, x: int) -> int:
            return x

    (result,) = pool.run_parallel([Shy()], 3)
    assert (result.agent_name, result.output) == ("Shy", Ok(3))


def test_a_name_that_exits_does_not_end_the_caller(pool: Pool) -> None:
    class Rude:
        @property
        def name(self) -> str:
            raise SystemExit

        def run(self, x: int) -> int:
            return x

    (result,) = pool.run_parallel([Rude()], 3)
    assert (result.agent_name, result.output) == ("Rude", Ok(3))


def test_coroutines_are_awaited_in_the_worker(pool: Pool) -> None:
    async def patient(x: int) -> int:
        await asyncio.sleep(0.001)
        return x + os.getpid() * 0

    async def failing(_: object) -> None:
        raise OSError("from a coroutine")

    assert outputs(pool, patient, failing) == [Ok(3), Err("from a coroutine")]


class Custom(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def raising(error: BaseException | type[BaseException]) -> Callable[[object], None]:
    def raise_it(_: object) -> None:
        raise error

    return raise_it


class BadText(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "text", "type_name"),
    [
        (ValueError("boom"), "boom", "ValueError"),
        (KeyError("k"), "'k'", "KeyError"),
        (ValueError(), "ValueError", "ValueError"),
        (SystemExit(3), "3", "SystemExit"),
        (KeyboardInterrupt(), "KeyboardInterrupt", "KeyboardInterrupt"),
        (GeneratorExit("g"), "g", "GeneratorExit"),
        (asyncio.CancelledError(), "CancelledError", "asyncio.exceptions.CancelledError"),
        (StopIteration(4), "4", "StopIteration"),
        (BadText(), "<test_contract.BadText whose text raises ZeroDivisionError>", None),
        (ValueError("x" * 3_000_000), "x" * 3_000_000, "ValueError"),
        (UnicodeError("\udcff \0 ß"), "\udcff \0 ß", "UnicodeError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_any_exception_is_an_err(
    pool: Pool, error: BaseException, text: str, type_name: str | None
) -> None:
    emitter = EventEmitter()
    (result,) = pool.run_parallel([raising(error)], 0, emitter)
    assert result.output == Err(text)
    assert result.agent_name == "raise_it"
    assert result.error is None
    assert isinstance(result.output, Err)
    if type_name:
        assert result.output.type == type_name
        assert "raise_it" in result.output.traceback
        assert "worker.py" not in result.output.traceback
    (event,) = emitter.drain()
    assert isinstance(event, StepEnd)
    assert event.output == f"Error: {text}"
    assert event.execution_id == result.execution_id


def test_exceptions_that_cannot_be_rebuilt_are_errs_like_others(pool: Pool) -> None:
    def fail(_: object) -> None:
        raise Custom(1, 2)

    assert outputs(pool, fail) == [Err("1 and 2")]


def test_unwrap_shows_the_traceback_of_the_worker(pool: Pool) -> None:
    def outer(x: int) -> float:
        return inner(x)

    def inner(x: int) -> float:
        return x / 0

    (result,) = pool.run_parallel([outer], 1)
    with pytest.raises(RemoteError) as caught:
        result.output.unwrap()
    text = str(caught.value)
    assert text.startswith("ZeroDivisionError: division by zero")
    assert text.index("in outer") < text.index("in inner")


# What cannot be pickled


def test_callables_that_cannot_be_pickled_cost_their_own_result(pool: Pool) -> None:
    callables: list[Any] = [samples.square, pickles.Unpicklable()] * 20
    results = pool.run_parallel(callables, 2)
    assert [r.output for r in results[::2]] == [Ok(4)] * 20
    for result in results[1::2]:
        assert result.agent_name == "Unpicklable"
        assert isinstance(result.output, Err)
        assert result.output.error.startswith("the callable cannot be pickled: TypeError")


def test_callables_that_cannot_be_rebuilt_cost_their_own_result(pool: Pool, tmp_path: Path) -> None:
    """Also in a large batch, which is then sent again, one callable at a time."""
    log = tmp_path / "starts"

    def logged(number: int) -> Callable[[object], int]:
        def note(_: object) -> int:
            samples.append(log, number)
            return number

        return note

    callables: list[Any] = [logged(i) for i in range(2000)]
    callables[1500] = pickles.Unloadable()
    results = pool.run_parallel(callables, None)
    assert sorted(map(int, log.read_text().split())) == [i for i in range(2000) if i != 1500]
    bad = results[1500]
    assert isinstance(bad.output, Err)
    assert bad.agent_name == "Unloadable"
    assert "cannot be rebuilt in the worker: LookupError: will not be rebuilt" in bad.output.error
    assert [r.output for r in results if r is not bad] == [Ok(i) for i in range(2000) if i != 1500]


def test_a_callable_that_crashes_when_it_is_rebuilt_costs_its_own_result(pool: Pool) -> None:
    callables: list[Any] = [samples.square] * 2000
    callables[1500] = pickles.CrashesWhenLoaded()
    results = pool.run_parallel(callables, 2)
    bad = results.pop(1500)
    assert [r.output for r in results] == [Ok(4)] * 1999
    assert bad.error is not None
    assert bad.error.details["index"] == 1500
    assert bad.error.details["exit_code"] == 9
    assert "unpickling callable 1500 (CrashesWhenLoaded) or its input" in bad.error.message


def test_return_values_that_cannot_be_pickled_cost_their_own_result(pool: Pool) -> None:
    def lock(_: object) -> object:
        return threading.Lock()

    def generator(_: object) -> object:
        return (i for i in range(3))

    good, bad, worse = outputs(pool, samples.square, lock, generator)
    assert good == Ok(9)
    assert "the return value, of type _thread.lock, cannot be pickled: TypeError" in bad.error
    assert "generator" in worse.error


def test_return_values_that_cannot_be_rebuilt_cost_their_own_result(pool: Pool) -> None:
    def strange(_: object) -> object:
        return pickles.LoadsElsewhere()

    good, bad = outputs(pool, samples.square, strange)
    assert good == Ok(9)
    assert "the return value cannot be rebuilt: LookupError" in bad.error


def test_an_input_that_cannot_be_pickled_fails_all_callables(pool: Pool) -> None:
    emitter = EventEmitter()
    input: Any = threading.Lock()
    results = pool.run_parallel([samples.square] * 3, input, emitter)
    for result in results:
        assert result.agent_name == "square"
        assert isinstance(result.output, Err)
        assert result.output.error.startswith("the input cannot be pickled: TypeError")
    assert len(emitter.drain()) == 3


def test_an_input_that_cannot_be_rebuilt_fails_all_callables(pool: Pool) -> None:
    for output in outputs(pool, *[samples.square] * 3, input=pickles.LoadsElsewhere()):
        assert output.error.startswith("the input cannot be rebuilt in the worker: LookupError")


def test_lambdas_closures_and_local_classes_are_sent_both_ways(pool: Pool) -> None:
    class Local:
        def __init__(self, value: int) -> None:
            self.value = value

    made, function = outputs(pool, lambda x: Local(x), lambda x: lambda y: x + y)
    assert isinstance(made.value, Local)
    assert made.value.value == 3
    assert function.value(4) == 7


def test_large_values_are_sent_both_ways(pool: Pool) -> None:
    """Larger than any pipe, in both directions at once."""
    input = os.urandom(3_000_000)
    callables = [lambda x, i=i: x + bytes([i]) for i in range(20)]
    results = pool.run_parallel(callables, input)
    assert [result.output.unwrap() for result in results] == [input + bytes([i]) for i in range(20)]


def test_a_worker_that_is_receiving_does_not_count_as_stalled(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An input may take long to receive and to rebuild."""
    set_timing(monkeypatch, "ROUND_SECONDS", 0.1)
    input = bytes(200_000_000)
    assert outputs(pool, len, len, input=input) == [Ok(200_000_000)] * 2
    pids = outputs(pool, *[lambda _: os.getpid()] * 20, input=[input])
    assert len({pid.value for pid in pids}) <= 2


def test_callables_that_can_only_be_pickled_alone_are_sent_alone() -> None:
    """For example, a third thread changes the objects that they share while they are pickled."""

    class Fickle:
        pickled = 0

        def __call__(self, x: int) -> int:
            raise AssertionError("not the one that was sent")

        def __reduce__(self) -> Any:
            Fickle.pickled += 1
            if Fickle.pickled % 3 == 2:
                raise RuntimeError("changed while it was pickled")
            return samples.Squares, ()

    # One worker: two would get one callable each at first, if both are ready at once.
    with Pool(1) as pool:
        results = outputs(pool, *[Fickle() for _ in range(2)])
    assert results == [Ok(9)] * 2


# Events


def test_events_have_the_values_of_the_results(pool: Pool) -> None:
    emitter = EventEmitter()
    before = time.time_ns() // 1_000_000
    results = pool.run_parallel([samples.square, lambda _: "text", lambda _: {"b": 1}], 5, emitter)
    events = emitter.drain()
    assert [event.output for event in events] == ["25", "text", "{'b': 1}"]  # type: ignore[attr-defined]
    for event, result in zip(events, results, strict=True):
        assert isinstance(event, StepEnd)
        assert event.type == "data-step-end"
        assert event.execution_id == result.execution_id
        assert event.duration_ms == result.duration_ms > 0
        assert before <= event.timestamp <= time.time_ns() // 1_000_000
        assert re.fullmatch("exec_[0-9A-Za-z]{27}", event.execution_id)
        assert re.fullmatch("step_[0-9A-Za-z]{27}", event.step_id)
    assert len({event.step_id for event in events}) == 3  # type: ignore[attr-defined]
    assert len({result.execution_id for result in results}) == 3
    assert pickle.loads(pickle.dumps(results)) == results


def test_a_value_whose_repr_raises_is_a_valid_value(pool: Pool) -> None:
    emitter = EventEmitter()
    (result,) = pool.run_parallel([lambda x: 10**x], 5000, emitter)
    assert result.output == Ok(10**5000)
    assert emitter.drain()[0].output == "<int of 16610 bits>"  # type: ignore[attr-defined]


@pytest.mark.parametrize("emitter", [None, EventEmitter()])
def test_the_parent_runs_no_code_of_a_value_for_its_text(pool: Pool, emitter: Any) -> None:
    (result,) = pool.run_parallel([lambda _: pickles.Unshowable()], 0, emitter)
    assert isinstance(result.output, Ok)
    assert isinstance(result.output.value, pickles.Unshowable)


def test_events_are_emitted_as_soon_as_all_before_them_are(tmp_path: Path) -> None:
    """The last callable waits until the events of those before it have been emitted."""

    class Opens:
        """Open a gate at the third event."""

        def __init__(self) -> None:
            self.seen = 0

        def emit(self, _: StreamEvent) -> None:
            self.seen += 1
            if self.seen == 3:
                (tmp_path / "gate").touch()

    waits = samples.busy_until(str(tmp_path / "gate"))
    with Pool(2) as pool:
        results = pool.run_parallel([samples.square] * 3 + [waits], 2, Opens())
    assert results[3].output == Ok("done")


def test_an_emitter_that_raises_costs_no_result() -> None:
    """Its first exception reaches the caller at the end, and the pool stays usable."""

    class Broken:
        def __init__(self) -> None:
            self.seen = 0

        def emit(self, _: StreamEvent) -> None:
            self.seen += 1
            raise ConnectionError(f"event {self.seen}")

    emitter = Broken()
    with Pool(2) as pool:
        with pytest.raises(ConnectionError, match="event 1") as caught:
            pool.run_parallel([samples.square] * 50, 2, emitter)
        assert [result.output for result in caught.value.results] == [Ok(4)] * 50  # type: ignore[attr-defined]
        assert emitter.seen == 50
        assert outputs(pool, samples.square) == [Ok(9)]


def test_an_interrupt_reaches_the_caller_and_the_pool_stays_usable() -> None:
    class Interrupts:
        def emit(self, _: StreamEvent) -> None:
            raise KeyboardInterrupt

    with Pool(2) as pool:
        with pytest.raises(KeyboardInterrupt):
            pool.run_parallel([samples.square, *[lambda _: time.sleep(30)] * 5], 2, Interrupts())
        assert outputs(pool, samples.square) == [Ok(9)]


def test_an_emitter_may_run_callables_itself() -> None:
    """The emitter uses the same pool as its run."""

    class Nested:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def emit(self, _: StreamEvent) -> None:
            self.seen += one.run_parallel([samples.square], 2)

    emitter = Nested()
    with Pool(1) as one:
        assert outputs(one, *[samples.square] * 5) == [Ok(9)] * 5
        one.run_parallel([samples.sleep_5_ms] * 5, 3, emitter)
    assert [result.output for result in emitter.seen] == [Ok(4)] * 5


# Forks


def test_a_callable_that_forks_and_returns_twice_has_one_result(tmp_path: Path) -> None:
    log = tmp_path / "starts"
    callables = [samples.LoggedCallable("fork", i, str(log)) for i in range(10)]
    with Pool(2) as pool:
        results = pool.run_parallel(callables, [1, 2])
    assert [result.output for result in results] == [Ok(i) for i in range(10)]
    assert sorted(map(int, log.read_text().split())) == list(range(10))


# Bad input


class Never:
    """Has no `emit`."""


class Later:
    """Its `emit` is a coroutine function."""

    async def emit(self, event: object) -> None: ...


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (([len, 3], ""), TypeError, r"callables\[1\] is not callable: 'int' object"),
        ((5, ""), TypeError, "callables must be an iterable, not int"),
        (([len], "", Never()), TypeError, r"emitter must have a method emit\(event\); 'Never' has"),
        (([len], "", Later()), TypeError, "must not be a coroutine function"),
    ],
)
def test_invalid_arguments_raise_before_any_process_starts(
    arguments: Any, error: type[Exception], text: str, mark: str
) -> None:
    from tests.conftest import processes

    before = processes(mark)
    with pytest.raises(error, match=text):
        run_parallel(*arguments)
    with Pool(2) as pool, pytest.raises(error, match=text):
        pool.run_parallel(*arguments)
    assert processes(mark) == before


@pytest.mark.parametrize(
    ("workers", "error"),
    [(0, ValueError), (-1, ValueError), (1.0, TypeError), ("2", TypeError), (True, TypeError)],
)
def test_invalid_numbers_of_workers_are_refused(workers: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="max_workers"):
        Pool(workers)
    with pytest.raises(error, match="max_workers"):
        run_parallel([len], "", max_workers=workers)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"idle_timeout": 0}, ValueError),
        ({"idle_timeout": float("nan")}, ValueError),
        ({"idle_timeout": "1"}, TypeError),
        ({"initializer": 3}, TypeError),
        ({"initargs": (threading.Lock(),), "initializer": print}, TypeError),
    ],
)
def test_invalid_pool_arguments_are_refused(arguments: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        Pool(1, **arguments)


def test_running_on_a_closed_pool_raises() -> None:
    pool = Pool(1)
    pool.close()
    pool.close()
    for callables in ([len], []):
        with pytest.raises(RuntimeError, match="closed"):
            pool.run_parallel(callables, "")
    with pytest.raises(TypeError, match="pool must be a Pool"):
        run_parallel([len], "", pool=3)  # type: ignore[call-overload]
