"""Call wrappers: what an emitter has the callables of a run called by, in their workers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import sample_callables as samples

from enact_pool import (
    ExecutionStart,
    Ok,
    Pool,
    StreamEvent,
    imap_parallel,
    map_parallel,
    run_parallel,
)


class Wrapping:
    """An emitter that has calls wrapped when it is told that a run begins."""

    mode = "live"

    def __init__(self, *prefixes: str) -> None:
        self.prefixes = prefixes

    def emit(self, event: StreamEvent) -> None:
        if isinstance(event, ExecutionStart):
            for prefix in self.prefixes:
                event.wrap_calls(samples.Place(prefix))


class Late:
    mode = "live"

    def __init__(self) -> None:
        self.start: ExecutionStart | None = None

    def emit(self, event: StreamEvent) -> None:
        if isinstance(event, ExecutionStart):
            self.start = event
        elif self.start is not None:
            self.start.wrap_calls(samples.Place("late"))


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(2) as pool:
        yield pool


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_each_callable_is_called_by_the_wrappers_with_its_place_the_first_one_outermost(
    pool: Pool, size: int
) -> None:
    """With an input that travels along, and one that has a parcel; and limits of the run."""
    many = [lambda _, n=n: f"{n}: {samples.placed(_)}" for n in range(30)]
    callables = [samples.placed, samples.placed_later, *many]
    emitter = Wrapping("a", "b")
    results = run_parallel(callables, bytearray(size), emitter, pool=pool, max_memory=1 << 40)
    expected = ["a0 b0", "a1 b1", *[f"{n}: a{n + 2} b{n + 2}" for n in range(30)]]
    assert [result.output for result in results] == list(map(Ok, expected))
    assert [r.output for r in run_parallel([samples.placed], 0, pool=pool)] == [Ok("")]


def test_calls_of_one_function_are_wrapped_with_their_places(pool: Pool) -> None:
    lazy = imap_parallel(samples.placed, itertools.count(), Wrapping("a"), pool=pool)
    assert [next(lazy).output for _ in range(3)] == [Ok("a0"), Ok("a1"), Ok("a2")]
    lazy.close()
    results = map_parallel(samples.placed, [[0], {1}], Wrapping("b"), pool=pool)
    assert [result.output for result in results] == [Ok("b0"), Ok("b1")]


def test_it_is_an_error_of_the_emitter_to_ask_for_a_wrapper_when_the_run_has_begun(
    pool: Pool,
) -> None:
    with pytest.raises(RuntimeError, match="only while the event is emitted") as raised:
        run_parallel([samples.placed], 0, Late(), pool=pool)
    assert [result.output for result in vars(raised.value)["results"]] == [Ok("")]
