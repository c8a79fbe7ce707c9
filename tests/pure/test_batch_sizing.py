"""How many tasks travel in one batch, and what is known of how long they take."""

from __future__ import annotations

import pytest

from enact_pool._core.batch_sizing import BATCH_BYTES, BATCH_TASKS, Pace, Sizing


def measured(ns: int, tasks: int = 1000) -> Sizing:
    sizing = Sizing()
    sizing.measured([ns] * tasks)
    return sizing


def test_the_first_measurement_counts_alone() -> None:
    sizing = Sizing()
    sizing.measured([1_000_000, 3_000_000, 8_000_000])
    assert sizing.mean_seconds == pytest.approx(0.004)
    assert sizing.measured_tasks == 3


def test_later_measurements_have_a_weight_for_each_task() -> None:
    sizing = measured(1_000_000, 10)
    sizing.measured([3_000_000])
    assert sizing.mean_seconds == pytest.approx(0.001 + 0.05 * 0.002)
    assert sizing.measured_tasks == 11
    sizing = measured(1_000_000, 10)
    sizing.measured([3_000_000] * 2)
    assert sizing.mean_seconds == pytest.approx(0.001 + (1 - 0.95**2) * 0.002)


@pytest.mark.parametrize(
    ("expected", "queued", "idle", "size"),
    [
        (None, 8, 2, 4),
        (None, 3, 2, 2),
        (None, 100, 2, 4),
        (None, 1, 0, 1),
        (None, 3, 0, 3),
        # A task costs 5 us beside its own time, and 100 us are not divided.
        (5e-6, 10, 2, 10),
        (5e-6, 11, 4, 3),
        (1.0, 1, 1, 1),
    ],
)
def test_the_first_batch(expected: float | None, queued: int, idle: int, size: int) -> None:
    assert Sizing(expected).first_batch(queued, idle) == size


def test_a_lane_has_an_even_share_of_what_is_left() -> None:
    sizing = measured(1_000)
    assert sizing.batch(20, 2) == 10
    assert sizing.batch(1, 2) == 1
    assert sizing.batch(10_000, 2) == sizing.largest(2) == BATCH_TASKS


def test_nothing_is_known_at_first() -> None:
    assert Sizing().largest() == 4
    assert Sizing().largest(9) == 4


def test_a_batch_lasts_sixty_milliseconds_or_three_for_each_lane() -> None:
    sizing = measured(1_000_000 - 5_000)
    assert sizing.largest() == sizing.largest(1) == 60
    assert sizing.largest(20) == 60
    assert sizing.largest(40) == 120


def test_a_batch_holds_at_least_one_task() -> None:
    assert measured(10**9).largest() == 1


def test_a_batch_grows_with_what_was_measured() -> None:
    assert measured(1_000, tasks=7).largest() == 14


def test_the_bytes_that_each_task_adds_limit_a_batch() -> None:
    sizing = measured(1_000)
    sizing.pickled(1, 1000)
    assert sizing.largest() == BATCH_TASKS
    sizing.pickled(11, 1000 + 10 * 2048)
    assert sizing.largest() == (BATCH_BYTES - 1000) // 2048
    sizing.pickled(11, 500)  # less than one alone: nothing is known of what each adds
    assert sizing.largest() == BATCH_TASKS
    sizing.pickled(3, 1000 + 2 * 2 * BATCH_BYTES)
    assert sizing.largest() == 1


def test_the_pace_of_the_last_two_runs() -> None:
    pace = Pace()
    one, other = frozenset([1]), frozenset([2])
    assert pace.expected_seconds(one) is None
    assert pace.expected_seconds(None) is None
    pace.remember(one, 3.0)
    assert pace.expected_seconds(one) == 3.0
    assert pace.expected_seconds(other) is None
    assert pace.expected_seconds(None) is None
    pace.remember(one, 5.0)
    assert pace.expected_seconds(one) == 3.0
    pace.remember(one, 7.0)
    assert pace.expected_seconds(one) == 5.0
    pace.remember(None, 1.0)
    pace.remember(one, None)
    assert pace.expected_seconds(one) == 5.0
    pace.remember(other, 4.0)
    assert pace.expected_seconds(other) == 4.0
