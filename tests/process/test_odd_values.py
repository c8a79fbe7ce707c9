"""Unusual return values, exceptions, callables and emitters."""

from __future__ import annotations

import faulthandler
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sample_callables as samples
import sample_pickles as pickles

from enact_pool import (
    Err,
    EventEmitter,
    EventLog,
    Ok,
    Pool,
    PoolExecutor,
    StepEnd,
    iter_parallel,
    map_parallel,
)


@pytest.fixture
def pool() -> Any:
    with Pool(1) as pool:
        yield pool


class StopsWhenRebuilt:
    def __reduce__(self) -> tuple[Any, ...]:
        return next, (iter(()),)


class _Secretive(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in ("__module__", "__qualname__", "__name__"):
            raise RuntimeError("the name is secret")
        return super().__getattribute__(name)


def raise_secretive(_: object = None) -> None:
    class Secret(Exception, metaclass=_Secretive):
        pass

    raise Secret("text")


class RaisesWhenRebuilt:
    def __reduce__(self) -> tuple[Any, ...]:
        return raise_secretive, ()


@pytest.mark.parametrize("value", [StopsWhenRebuilt, RaisesWhenRebuilt])
def test_a_value_that_cannot_be_rebuilt_costs_its_own_result(
    value: type[object], pool: Pool
) -> None:
    callables = [samples.square, lambda _: value(), samples.square]
    first, odd, last = pool.run_parallel(callables, 3)
    assert (first.output, last.output) == (Ok(9), Ok(9))
    assert not odd.output.is_ok
    assert odd.output.error.startswith("the return value cannot be rebuilt: ")


def test_an_exception_of_a_type_whose_name_cannot_be_read_is_described(pool: Pool) -> None:
    (result,) = pool.run_parallel([raise_secretive], 0)
    assert (result.agent_name, result.error) == ("raise_secretive", None)
    assert not result.output.is_ok
    assert result.output.error == "text"
    assert result.output.type.endswith("Secret")


class Changing:
    def __init__(self) -> None:
        self.number = 0

    def run(self, gate: object) -> int:
        return self.number


def test_a_callable_that_changes_between_items_is_sent_in_its_current_state(pool: Pool) -> None:
    changing = Changing()

    def callables() -> Iterator[Changing]:
        for number in range(200):
            changing.number = number
            yield changing

    values = [result.output.unwrap() for result in iter_parallel(callables(), 0, pool=pool)]
    # Pulled slightly before it is sent.
    assert values == sorted(values)
    assert len(set(values)) > 2


class Both:
    """Can be called, and has a `run`."""

    def __call__(self, _: object) -> str:
        return "called"


class BothWithRun(Both):
    def run(self, _: object) -> str:
        return "ran"


class BothWithoutInput(Both):
    def run(self) -> str:
        return "ran"


def test_of_run_and_call_the_one_that_accepts_the_input_is_used(pool: Pool) -> None:
    """An executor calls the object, as all executors do."""
    callables = [BothWithRun(), BothWithoutInput()]
    results = pool.run_parallel(callables, 0)
    assert [result.output for result in results] == [Ok("ran"), Ok("called")]
    for callable_, result in zip(callables, results, strict=True):
        assert pool.run_parallel([callable_], 0)[0].output == result.output
        (mapped,) = map_parallel(callable_, [0], pool=pool)
        assert mapped.output == result.output
    with PoolExecutor(1) as executor:
        assert list(executor.map(BothWithRun(), [0])) == ["called"]


def test_events_hold_no_large_values(pool: Pool) -> None:
    emitter = EventEmitter()
    results = pool.run_parallel([lambda _: bytearray(5_000_000)] * 3, 0, emitter)
    values = [result.output.unwrap() for result in results]
    held = [value for batch in emitter._queue for value in vars(batch).values()]
    assert not any(value is part for value in values for part in _parts(held))
    results[0].duration_ms = -1.0
    events = emitter.drain()
    assert all(isinstance(event, StepEnd) and event.duration_ms >= 0 for event in events)


def _parts(value: Any, depth: int = 6) -> Iterator[Any]:
    yield value
    if depth and isinstance(value, (list, tuple, dict)):
        for part in value:
            yield from _parts(part, depth - 1)


def test_an_emitter_with_a_replaced_emit_is_called_per_event(pool: Pool) -> None:
    emitter = EventEmitter()
    seen: list[object] = []
    emitter.emit = seen.append  # type: ignore[assignment, method-assign]
    pool.run_parallel([samples.square] * 3, 3, emitter)
    assert len(seen) == 3
    assert emitter.drain() == []


def take_all_descriptors(_: object) -> str:
    try:
        while True:
            os.open("/dev/null", os.O_RDONLY)
    except OSError:
        return "all"


def test_a_large_value_is_returned_after_all_descriptors_were_taken(pool: Pool) -> None:
    results = pool.run_parallel([take_all_descriptors, lambda _: b"x" * 500_000], 0)
    assert [result.output for result in results] == [Ok("all"), Ok(b"x" * 500_000)]


def test_unhashable_types_cost_no_other_result(pool: Pool) -> None:
    emitter = EventEmitter()
    callables = [pickles.OfUnhashableType(), pickles.return_unhashable, samples.square]
    refused, returned, squared = (
        result.output for result in pool.run_parallel(callables, 3, emitter)
    )
    assert isinstance(refused, Err)
    assert type(returned.unwrap()) is pickles.OfUnhashableType
    assert squared == Ok(9)
    assert len(emitter.drain()) == 3


class _Odd(str):
    """A text that raises when it is formatted or compared."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __format__(self, spec: str) -> str:
        raise RuntimeError("not formatted")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not compared")


class _TellsNothing(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class _HasOddModule(Exception):
    __module__ = _Odd("odd")


class _HasNumberForModule(Exception):
    __module__ = 5  # type: ignore[assignment]


class _RefusingType(type):
    __module__ = property(lambda _: 1 // 0)


class _TypeTellsNoModule(Exception, metaclass=_RefusingType):
    pass


ODD = [_TellsNothing, _HasOddModule, _HasNumberForModule, _TypeTellsNoModule]


def raise_odd(number: int, _: object = None) -> None:
    raise ODD[number]("odd")


class RaisesOdd:
    """A callable that cannot be pickled, or cannot be rebuilt."""

    def __init__(self, number: int, *, when_rebuilt: bool) -> None:
        self.number = number
        self.when_rebuilt = when_rebuilt

    def __call__(self, _: object) -> None:
        raise AssertionError("it travels nowhere")

    def __reduce__(self) -> tuple[Any, ...]:
        if not self.when_rebuilt:
            raise ODD[self.number]("odd")
        return raise_odd, (self.number,)


@pytest.mark.parametrize("number", range(len(ODD)))
def test_even_the_oddest_exceptions_become_an_err(number: int, pool: Pool) -> None:
    """Whatever its traceback, its module or its class do when they are read."""
    callables: list[Any] = [samples.square, partial(raise_odd, number)]
    for when_rebuilt in (False, True):
        value = RaisesOdd(number, when_rebuilt=when_rebuilt)
        callables += [lambda _, value=value: value, value, samples.square]
    *results, last = pool.run_parallel(callables, 3)
    assert [result.error for result in results] == [None] * len(results)
    assert [result.output.is_ok for result in results] == [
        *(True, False),
        *(False, False, True),
        *(False, False),
    ]
    assert last.output == Ok(9)


def patch_what_puts_back(_: object) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("patched")

    for module, name in [(resource, "getrlimit"), (threading, "enumerate"), (os, "waitid")]:
        setattr(module, name, refuse)
    faulthandler.cancel_dump_traceback_later = refuse


def leave_oddly_named_thread(_: object) -> None:
    class Odd(threading.Thread):
        @property
        def name(self) -> str:  # type: ignore[override]
            raise RuntimeError("no name")

    Odd(target=time.sleep, args=(0.2,), daemon=True).start()


@pytest.mark.parametrize("action", [patch_what_puts_back, leave_oddly_named_thread])
def test_a_worker_that_cannot_restore_its_state_costs_no_other_result(
    action: Callable[[object], None], pool: Pool
) -> None:
    slow = samples.sleep_5_ms
    results = pool.run_parallel([slow, action, slow, action, slow], 3)
    assert [result.output for result in results] == [Ok(3), Ok(None), Ok(3), Ok(None), Ok(3)]


def test_functions_that_record_their_calls_do_not_bind_as_methods(pool: Pool) -> None:
    """Like the built-in functions that they replace: a class can have one as an attribute."""

    class Tools:
        change: Any = os.chdir

    def go(_: object) -> str:
        Tools().change("/")
        return os.getcwd()

    results = pool.run_parallel([go, lambda _: os.chdir, lambda _: os.getcwd()], 0)
    assert [result.output for result in results] == [Ok("/"), Ok(os.chdir), Ok(os.getcwd())]


class Owner:
    """Has an attribute that belongs to its process."""

    def __init__(self, owned: Any) -> None:
        self.owned = owned

    def work(self, number: int) -> int:
        return 2 * number


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda path: Pool(1), "a Pool"),
        (lambda path: PoolExecutor(1), "a PoolExecutor"),
        (lambda path: EventEmitter(), "an EventEmitter"),
        (EventLog, "an EventLog"),
    ],
    ids=["pool", "executor", "emitter", "log"],
)
def test_objects_that_belong_to_a_process_raise_when_they_are_pickled(
    make: Callable[[Path], Any], name: str, pool: Pool, tmp_path: Path
) -> None:
    """As an attribute of a callable's object, as an input, and as an argument of a call."""
    message = f"{name} cannot be sent to a worker; create it there, or exclude it in __getstate__"
    owned = make(tmp_path / "log")
    (result,) = pool.run_parallel([Owner(owned).work], 1)
    assert result.output == Err(f"the callable cannot be pickled: TypeError: {message}")
    (other,) = pool.run_parallel([type], owned)
    assert other.output == Err(f"the input cannot be pickled: TypeError: {message}")
    with PoolExecutor(1) as executor, pytest.raises(TypeError, match=message):
        executor.submit(type, owned).result()
    close = getattr(owned, "shutdown", owned.close if hasattr(owned, "close") else None)
    assert close is not None
    close()


def test_a_future_raises_when_it_is_pickled(pool: Pool) -> None:
    with PoolExecutor(1) as executor:
        future = executor.submit(abs, -1)
        (result,) = pool.run_parallel([Owner(future).work], 1)
    assert isinstance(result.output, Err)
    assert result.output.error.endswith("a CallFuture cannot be sent to a worker; send its result")


class Forgetful(EventEmitter):
    """An emitter whose copies are empty."""

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        EventEmitter.__init__(self)


def test_a_subclass_may_define_how_it_is_pickled(pool: Pool) -> None:
    (result,) = map_parallel(lambda emitter: len(emitter.drain()), [Forgetful()], pool=pool)
    assert result.output == Ok(0)
