"""What one lane was sent and has not answered for."""

from __future__ import annotations

from collections import deque

import pytest
from lane_records import record

from enact_pool._core.lane_record import LaneRecord


def test_what_was_answered_is_taken_in_a_row() -> None:
    lane = record(2, 3, first=8)
    lane.dry = True
    assert lane.take(range(8, 11)) == [100, 101, 102]
    assert lane.serials == [11, 12]
    assert lane.tasks == [103, 104]
    assert list(lane.batches) == [(10, 12)]
    assert lane.answered == 10
    assert not lane.dry


def test_a_batch_is_done_with_its_last_task() -> None:
    lane = record(2, 2)
    lane.take(range(1, 2))
    assert list(lane.batches) == [(1, 2), (3, 4)]
    lane.take(range(2, 5))
    assert not lane.batches


def test_what_is_not_the_first_is_not_taken() -> None:
    lane = record(3)
    assert lane.take(range(2, 3)) == []
    assert lane.answered == 0
    assert record().take(range(1, 2)) == []


def test_no_more_is_taken_than_was_sent() -> None:
    lane = record(2)
    assert lane.take(range(1, 9)) == [100, 101]
    assert lane.answered == 2


def test_what_is_taken_ends_at_a_gap() -> None:
    lane = record(5)
    lane.take_out({3})
    assert lane.take(range(1, 6)) == [100, 101]
    assert lane.answered == 2
    assert lane.serials == [4, 5]


def test_all_up_to_a_number_are_taken() -> None:
    lane = record(4, first=5)
    assert lane.take_until(4) == []
    assert lane.take_until(6) == [100, 101]
    assert lane.serials == [7, 8]
    assert lane.take_until(99) == [102, 103]
    assert lane.tasks == []
    assert lane.answered == 4


def test_some_are_taken_out() -> None:
    lane = record(4)
    assert lane.take_out((2, 4, 9)) == [101, 103]
    assert (lane.serials, lane.tasks) == ([1, 3], [100, 102])


@pytest.mark.parametrize(
    ("sizes", "last", "is_single", "tasks"),
    [
        ((1, 3), 1, True, [100]),
        ((1, 3), 4, False, [101, 102, 103]),
        ((2, 1), 3, True, [102]),
        # No batch ends there: that number alone.
        ((4,), 2, True, [101]),
    ],
)
def test_a_batch_is_taken(
    sizes: tuple[int, ...], last: int, is_single: bool, tasks: list[int]
) -> None:
    lane = record(*sizes)
    assert lane.take_batch(last) == (is_single, tasks)
    assert not set(tasks) & set(lane.tasks)


def test_a_lane_is_done_with_all_up_to_its_answer() -> None:
    lane = record(2, 2)
    lane.dry = True
    assert lane.answer(2) == [100, 101]
    assert lane.answered == 2
    assert lane.dry is False
    assert list(lane.batches) == [(3, 4)]
    assert lane.answer(2) == []
    assert lane.answer(1) == []
    assert lane.answered == 2
    assert lane.answer(3) == [102]
    assert list(lane.batches) == [(3, 4)]


def test_a_task_and_its_serial_number_are_found() -> None:
    lane = record(3, first=7)
    assert [lane.find(serial) for serial in range(6, 11)] == [None, 100, 101, 102, None]
    assert [lane.serial_of(task) for task in range(99, 104)] == [None, 7, 8, 9, None]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"serials": [1, 2]}, "serial numbers [1, 2] of tasks [100, 101, 102]"),
        ({"serials": [1, 1, 2]}, "serial numbers [1, 1, 2] of tasks [100, 101, 102]"),
        ({"serials": [2, 1, 3]}, "serial numbers [2, 1, 3] of tasks [100, 101, 102]"),
        ({"answered": 1}, "1 is held, and 1 answered"),
        ({"dispatched": 2}, "3 is held, and was not dispatched"),
    ],
)
def test_a_contradiction_is_found(change: dict[str, object], message: str) -> None:
    lane = record(3)
    lane.validate()
    for name, value in change.items():
        setattr(lane, name, value)
    with pytest.raises(AssertionError) as error:
        lane.validate()
    assert str(error.value) == message


def test_an_empty_record_contradicts_nothing() -> None:
    LaneRecord(True, 4, 6, batches=deque()).validate()


def test_numbers_without_tasks_are_refused() -> None:
    lane = record(2)
    lane.tasks.pop()
    with pytest.raises(ValueError, match="zip"):
        lane.find(9)
    with pytest.raises(ValueError, match="zip"):
        lane.serial_of(9)
    with pytest.raises(ValueError, match="zip"):
        lane.take_out({9})
