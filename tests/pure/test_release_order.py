"""The order in which results are released."""

from __future__ import annotations

import pytest

from enact_pool._core.release_order import MAX_HELD, ReleaseOrder
from enact_pool._core.states import IllegalTransition


def order(tasks: int, *, is_ordered: bool = True) -> ReleaseOrder[str]:
    made: ReleaseOrder[str] = ReleaseOrder(is_ordered)
    made.submit(tasks)
    return made


def counts(made: ReleaseOrder[str]) -> tuple[int, int, int, int]:
    made.validate()
    return made.submitted, made.unsettled, made.held, made.released


def test_outcomes_wait_for_those_of_earlier_tasks() -> None:
    made = order(4)
    made.settle([1, 2], ["b", "c"])
    assert made.release() == (range(0), [])
    assert counts(made) == (4, 2, 2, 0)
    made.settle([0], ["a"])
    assert made.release() == (range(3), ["a", "b", "c"])
    assert counts(made) == (4, 1, 0, 3)
    made.submit(2)
    made.settle([3], ["d"])
    assert made.release() == (range(3, 4), ["d"])
    assert counts(made) == (6, 2, 0, 4)


def test_results_are_in_order_unless_something_else_is_asked_for() -> None:
    made: ReleaseOrder[str] = ReleaseOrder()
    made.submit(2)
    made.settle([1], ["b"])
    assert made.release() == (range(0), [])


def test_outcomes_without_an_order_are_released_as_they_come() -> None:
    made = order(4, is_ordered=False)
    made.settle([2, 1], ["c", "b"])
    assert made.release() == ([2, 1], ["c", "b"])
    assert counts(made) == (4, 2, 0, 2)
    made.settle([0], ["a"])
    assert made.release() == ([0], ["a"])
    assert made.release() == ([], [])
    assert counts(made) == (4, 1, 0, 3)


def test_a_withdrawn_task_has_no_outcome() -> None:
    made = order(3, is_ordered=False)
    made.withdraw()
    assert counts(made) == (3, 2, 0, 1)
    made.withdraw()
    assert counts(made) == (3, 1, 0, 2)
    with pytest.raises(IllegalTransition, match=r"^later tasks would wait for one that was w"):
        order(3).withdraw()


def test_a_task_is_settled_once() -> None:
    made = order(3)
    made.settle([0, 1], ["a", "b"])
    with pytest.raises(IllegalTransition, match=r"^one of the tasks \[1\] was settled before$"):
        made.settle([1], ["again"])
    made = order(3)
    made.settle([0], ["a"])
    made.release()
    with pytest.raises(IllegalTransition, match="settled before"):
        made.settle([0], ["again"])
    made.settle([1], ["b"])


def test_each_task_has_an_outcome() -> None:
    with pytest.raises(ValueError, match="shorter"):
        order(3).settle([0, 1], ["a"])


def test_it_is_full_when_many_outcomes_wait_for_an_earlier_one() -> None:
    many = list(range(1, MAX_HELD + 1))
    made = order(MAX_HELD + 1)
    made.settle(many[:-1], [""] * (MAX_HELD - 1))
    seen = [made.is_full]
    made.settle(many[-1:], [""])
    seen.append(made.is_full)
    made = order(MAX_HELD + 1, is_ordered=False)
    made.settle(many, [""] * MAX_HELD)
    seen.append(made.is_full)
    assert seen == [False, True, False]


def test_a_contradiction_is_found() -> None:
    made = order(2)
    made.settle([1], ["b"])
    made.held = 0
    with pytest.raises(AssertionError, match=r"^0 outcomes held, and 1 there$"):
        made.validate()
    made = order(2)
    made.released = 1
    with pytest.raises(AssertionError, match=r"^a task is in two states, or in none$"):
        made.validate()
