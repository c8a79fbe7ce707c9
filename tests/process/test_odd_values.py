"""Return values, callables and emitters that are not what one would expect."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import deeds
import pytest

from enact_pool import Err, EventEmitter, Ok, Pool, StepEnd, iter_parallel


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
            raise RuntimeError("not told")
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
    callables = [deeds.square, lambda _: value(), deeds.square]
    first, odd, last = pool.run_parallel(callables, 3)
    assert (first.output, last.output) == (Ok(9), Ok(9))
    assert not odd.output.is_ok
    assert odd.output.error.startswith("the return value cannot be rebuilt: ")


def test_an_exception_of_a_type_that_tells_no_name_is_described(pool: Pool) -> None:
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


def test_a_callable_that_changes_between_two_is_sent_as_it_is(pool: Pool) -> None:
    changing = Changing()

    def callables() -> Iterator[Changing]:
        for number in range(200):
            changing.number = number
            yield changing

    told = [result.output.unwrap() for result in iter_parallel(callables(), 0, pool=pool)]
    # Taken ahead of being sent, but not long.
    assert told == sorted(told)
    assert len(set(told)) > 2


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


def test_an_emitter_that_was_given_another_emit_is_called_by_it(pool: Pool) -> None:
    emitter = EventEmitter()
    seen: list[object] = []
    emitter.emit = seen.append  # type: ignore[assignment, method-assign]
    pool.run_parallel([deeds.square] * 3, 3, emitter)
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


def test_types_that_cannot_be_hashed_cost_no_others_result(pool: Pool) -> None:
    emitter = EventEmitter()
    callables = [deeds.OfUnhashableType(), deeds.return_unhashable, deeds.square]
    refused, returned, squared = (
        result.output for result in pool.run_parallel(callables, 3, emitter)
    )
    assert isinstance(refused, Err)
    assert type(returned.unwrap()) is deeds.OfUnhashableType
    assert squared == Ok(9)
    assert len(emitter.drain()) == 3
