"""Task sources: items that are pulled from an iterable, and released when they are settled."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from threading import Lock
from typing import Any

import cloudpickle
import pytest

from enact_pool import Ok
from enact_pool._core.observer import NO_HOOKS
from enact_pool._core.release_order import ReleaseOrder
from enact_pool._engine.input_source import InputSource
from enact_pool._engine.outcomes import Outcomes
from enact_pool._engine.sources import CallableSource
from enact_pool._engine.task_source import PENDING
from enact_pool._wire.closures import join_closures
from enact_pool._wire.frames import Ending


class Numbered:
    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self, _: object) -> int:
        return self.number


def test_a_callable_is_not_confused_with_an_earlier_one_at_the_same_address() -> None:
    """Later objects can reuse the address, and so the id, of freed ones."""

    def callables() -> Iterator[Numbered]:
        first = Numbered(0)
        address = id(first)
        yield first
        del first
        others = []
        for _ in range(10_000):
            second = Numbered(1)
            if id(second) == address:
                break
            others.append(second)
        yield second

    work = CallableSource(callables(), None)
    for number in range(2):
        assert work.pull(1) == 1
        ((callable_,), _) = pickle.loads(work.pickle([number]).payload)
        assert callable_.number == number
        work.settle([number])


def test_an_iterable_without_a_ready_item_is_pulled_again() -> None:
    work = InputSource(squared, iter([1, PENDING, 2, 3]))
    assert [work.pull(5) for _ in range(2)] == [1, 2]
    assert work.exhausted
    assert pickle.loads(work.pickle([0, 1, 2]).payload) == (True, [1, 2, 3])


def test_a_repeated_callable_is_pickled_once() -> None:
    one = Numbered(7)
    work = CallableSource([one] * 4, None)
    work.pull_all()
    assert work.pickle([0, 1]) is work.pickle([2, 3])


def squared(number: int) -> int:
    return number * number


def square_of(function: Any) -> Any:
    """Return the sent function's result for 3, and whether only its name was sent."""
    work = CallableSource([function] * 2, 3)
    work.pull_all()
    batch = work.pickle([0, 1])
    (one, other), _ = pickle.loads(batch.payload)
    assert one is other
    needs_nothing = not any(batch.manifests[len(work.manifests) :])
    return one(3), len(batch.payload) < 100 and needs_nothing


def test_a_function_is_sent_as_its_name_if_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    original = squared
    assert square_of(squared) == (9, True)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        assert square_of(squared) == (9, False)
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(sys.modules[__name__], "squared", lambda number: 0)
    assert square_of(original) == (9, False), "another function has its name"
    assert square_of(lambda number: number**2) == (9, False)


def test_sources_of_the_same_callables_have_the_same_workload_key() -> None:
    def closure(captured: int) -> Any:
        return lambda _: captured

    def kinds(*callables: Any) -> Any:
        return CallableSource(callables, None, at_once=True).workload_key

    assert kinds(closure(1), closure(2)) == kinds(closure(3))
    assert kinds(closure(1)) != kinds(squared)
    assert kinds(Numbered(1)) == kinds(Numbered(2)) != kinds(closure(1), Numbered(1))
    assert kinds(*[len] * 1000) is None
    assert InputSource(squared, range(3)).workload_key == kinds(squared)


@pytest.mark.parametrize("ending", [Ending.ERROR, Ending.SHOWN])
def test_an_answer_that_makes_no_sense_costs_its_own_result(ending: int) -> None:
    order: ReleaseOrder[Any] = ReleaseOrder()
    work = CallableSource([len, len], "abc")
    work.pull_all()
    outcomes = Outcomes(order, work, NO_HOOKS)
    outcomes.expect(range(2))
    order.submit(2)
    endings = bytearray([ending, Ending.VALUE])
    outcomes.answered([0, 1], [1, 1], endings, [pickle.dumps(None), pickle.dumps(3)])
    _, (odd, good) = order.release()
    assert "cannot be decoded" in odd.output.error
    assert good.output == Ok(3)


def refilled(count: int) -> Iterator[list[int]]:
    """Yield the same list each time, with other contents."""
    buffer = [0]
    for number in range(count):
        buffer[0] = number
        yield buffer


def inputs_of(work: InputSource, count: int) -> list[Any]:
    are_plain, inputs = pickle.loads(work.pickle(list(range(count))).payload)
    return [item if are_plain else pickle.loads(item) for item in inputs]


def test_an_input_is_as_it_was_when_it_was_yielded() -> None:
    work = InputSource(squared, refilled(4))
    work.pull(4)
    assert inputs_of(work, 4) == [[0], [1], [2], [3]]
    work = InputSource(squared, refilled(4))
    work.pull_all()
    assert inputs_of(work, 4) == [[0], [1], [2], [3]]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_closure_has_captured_what_the_variables_were_when_it_was_yielded(at_once: bool) -> None:
    callables = (lambda x: x * n for n in range(4))  # noqa: B023 (as users write it)
    work = CallableSource(callables, None, at_once=at_once)
    if not at_once:
        work.pull(4)
    received = join_closures(*pickle.loads(work.pickle([0, 1, 2, 3]).payload))
    assert [function(10) for function in received] == [0, 10, 20, 30]


def test_large_inputs_are_not_read_far_ahead() -> None:
    """What is sent makes room for more."""
    work = InputSource(squared, (bytearray(3 << 20) for _ in range(100)))
    while work.has_more:
        work.pull(100)
    assert work.pulled == 3
    for _ in range(2):
        # Sent, and again after the worker has died: it makes room once.
        work.pickle([0])
    assert [work.has_more, work.pull(100), work.has_more] == [True, 1, False]


def test_an_input_that_cannot_be_pickled_is_refused_when_it_is_sent() -> None:
    work = InputSource(squared, iter([Lock(), [1]]))
    assert work.pull(2) == 2
    with pytest.raises(TypeError, match="lock"):
        work.pickle([0])
    assert pickle.loads(pickle.loads(work.pickle([1]).payload)[1][0]) == [1]
