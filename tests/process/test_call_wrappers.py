"""Call wrappers: functions of an emitter that call the callables of a run, in their workers."""

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
    """An emitter that wraps calls when a run begins."""

    mode = "live"

    def __init__(self, *prefixes: str) -> None:
        self.prefixes = prefixes

    def emit(self, event: StreamEvent) -> None:
        if isinstance(event, ExecutionStart):
            for prefix in self.prefixes:
                event.wrap_calls(samples.RecordingWrapper(prefix))


class Late:
    mode = "live"

    def __init__(self) -> None:
        self.start: ExecutionStart | None = None

    def emit(self, event: StreamEvent) -> None:
        if isinstance(event, ExecutionStart):
            self.start = event
        elif self.start is not None:
            self.start.wrap_calls(samples.RecordingWrapper("late"))


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(2) as pool:
        yield pool


@pytest.mark.parametrize("size", [1, 1 << 20])
def test_each_callable_is_called_by_all_wrappers_with_its_index_the_first_outermost(
    pool: Pool, size: int
) -> None:
    """With an input in the batch, with one that is a large value, and with limits."""
    many = [lambda _, n=n: f"{n}: {samples.active_wrappers(_)}" for n in range(30)]
    callables = [samples.active_wrappers, samples.active_wrappers_later, *many]
    emitter = Wrapping("a", "b")
    results = run_parallel(callables, bytearray(size), emitter, pool=pool, max_memory=1 << 40)
    expected = ["a0 b0", "a1 b1", *[f"{n}: a{n + 2} b{n + 2}" for n in range(30)]]
    assert [result.output for result in results] == list(map(Ok, expected))
    assert [r.output for r in run_parallel([samples.active_wrappers], 0, pool=pool)] == [Ok("")]


def test_calls_of_one_function_are_wrapped_with_their_indexes(pool: Pool) -> None:
    lazy = imap_parallel(samples.active_wrappers, itertools.count(), Wrapping("a"), pool=pool)
    assert [next(lazy).output for _ in range(3)] == [Ok("a0"), Ok("a1"), Ok("a2")]
    lazy.close()
    results = map_parallel(samples.active_wrappers, [[0], {1}], Wrapping("b"), pool=pool)
    assert [result.output for result in results] == [Ok("b0"), Ok("b1")]


def test_adding_a_wrapper_after_the_run_has_begun_is_an_error_of_the_emitter(
    pool: Pool,
) -> None:
    with pytest.raises(RuntimeError, match="only while the event is emitted") as raised:
        run_parallel([samples.active_wrappers], 0, Late(), pool=pool)
    assert [result.output for result in vars(raised.value)["results"]] == [Ok("")]
