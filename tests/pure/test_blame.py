"""Which tasks of a dead lane are to blame."""

from __future__ import annotations

import pytest
from lane_records import record

from enact_pool._core.blame import Suspects


def test_suspects_come_before_earlier_ones() -> None:
    suspects = Suspects()
    suspects.add([3, 4])
    suspects.add([1, 2])
    assert list(suspects.tasks) == [1, 2, 3, 4]


def test_a_batch_that_cannot_be_loaded() -> None:
    suspects = Suspects()
    assert suspects.blame_for_loading(record(1, 2), 1) == 100
    assert not suspects.tasks
    assert suspects.blame_for_loading(record(1, 2), 3) is None
    assert list(suspects.tasks) == [101, 102]
    # All of it has been answered for.
    lane = record(1)
    lane.take_until(1)
    assert Suspects().blame_for_loading(lane, 1) is None


def test_a_task_is_blamed_when_a_second_lane_dies_while_receiving_it() -> None:
    suspects = Suspects()
    assert suspects.blame_for_receiving(record(1), 1) is None
    assert list(suspects.tasks) == [100]
    suspects.tasks.clear()
    assert suspects.blame_for_receiving(record(1), 1) == 100
    assert not suspects.tasks
    assert suspects.blame_for_receiving(record(2), 2) is None
    assert list(suspects.tasks) == [100, 101]


@pytest.mark.parametrize(
    ("begun", "loading", "receiving", "blamed", "suspected"),
    [
        (0, 0, 0, [], []),
        (1, 0, 0, [100], []),
        # The answers of those before it are lost.
        (3, 0, 0, [100, 101, 102], []),
        (4, 0, 0, [100, 101, 102, 103], []),
        # It has overwritten its notes, in its first task.
        (5, 0, 0, [100], []),
        (0, 3, 0, [], [100, 101, 102]),
        (0, 0, 3, [], [100, 101, 102]),
        # A batch of one.
        (0, 4, 0, [103], []),
        (0, 0, 4, [], [103]),
        # What it unpickles counts before what it receives, and what it runs before both.
        (0, 3, 4, [], [100, 101, 102]),
        (1, 4, 4, [100], []),
    ],
)
def test_the_notes_of_a_dead_worker(
    begun: int, loading: int, receiving: int, blamed: list[int], suspected: list[int]
) -> None:
    suspects = Suspects()
    assert suspects.blame_for_death(record(3, 1), begun, loading, receiving) == blamed
    assert list(suspects.tasks) == suspected


def test_notes_about_what_was_answered_blame_nobody() -> None:
    for notes in ((0, 1, 0), (0, 0, 1), (1, 0, 0)):
        lane = record(1, 2)
        lane.take(range(1, 2))
        suspects = Suspects()
        assert suspects.blame_for_death(lane, *notes) == []
        assert not suspects.tasks


def test_overwritten_notes_of_a_lane_without_tasks_blame_nobody() -> None:
    assert Suspects().blame_for_death(record(), 7, 0, 0) == []
