"""What a run does about its lanes: decisions that take the time as an argument."""

from __future__ import annotations

import pytest

from enact_pool._core.lane_states import LaneStates, Starvation
from enact_pool._core.schedule import Schedule
from enact_pool._core.states import IllegalTransition
from enact_pool._core.timing import (
    LOOK_SECONDS,
    LOST_ROUNDS,
    PATIENCE_SECONDS,
    ROUND_SECONDS,
    START_PAUSE_SECONDS,
    STARVED_ROUNDS,
)


def states_with(lanes: int, tasks: int, limit: int = 4, most: int | None = None) -> LaneStates[int]:
    """Working lanes, of a schedule with so many tasks."""
    schedule: Schedule[int] = Schedule()
    schedule.submit(tasks)
    states: LaneStates[int] = LaneStates(schedule, limit, most)
    for lane in range(lanes):
        schedule.add_lane(lane, proven=True)
        states.activate(lane)
    return states


def send(states: LaneStates[int], lane: int) -> int:
    schedule = states._schedule
    tasks = schedule.next_batch(lane)
    schedule.dispatched(lane, tasks, 100)
    states.hungry.discard(lane)
    return len(tasks)


def test_lanes_are_leased_up_to_the_limit() -> None:
    states = states_with(3, 10)
    assert states.wants_lane(0.0)
    states.starting.add(9)
    assert not states.wants_lane(0.0)


def test_no_worker_is_started_in_the_pause_after_a_failure() -> None:
    states = states_with(0, 10)
    states.start_failed(5.0)
    assert not states.wants_lane(5.0)
    assert not states.wants_lane(5.0 + START_PAUSE_SECONDS * 0.9)
    assert states.wants_lane(5.0 + START_PAUSE_SECONDS)


def test_no_worker_is_started_after_three_failures() -> None:
    states = states_with(0, 10)
    for _ in range(3):
        assert states.wants_lane(0.0)
        states._schedule.start_failed()
    assert not states.wants_lane(0.0)


def test_a_lane_may_be_sent_what_is_left_of_its_tasks() -> None:
    states = states_with(1, 10, most=7)
    assert states.tasks_left(0, ran=0, batch_limit=5) == 5
    assert states.tasks_left(0, ran=4, batch_limit=5) == 3
    send(states, 0)
    held = len(states._schedule.lanes[0].tasks)
    assert held
    assert states.tasks_left(0, ran=1, batch_limit=50) == 6 - held
    assert states_with(1, 10).tasks_left(0, ran=1000, batch_limit=5) == 5


def test_an_idle_lane_is_patient_while_others_are_quick() -> None:
    states = states_with(2, 8)
    assert [send(states, 0), send(states, 1)] == [4, 4]
    states._schedule.finished(0, range(1, 5), [10_000] * 4)
    states.become_idle(0, 1.0)
    assert states.revocation(1.0) is None, "it would be done in 30 microseconds"
    assert not states.may_release_idle(1.0)
    late = 1.0 + PATIENCE_SECONDS
    assert states.revocation(late) == (1, 2)
    assert states.may_release_idle(late)


def test_patience_begins_with_the_first_lane_that_is_idle() -> None:
    states = states_with(3, 12)
    for lane in range(3):
        send(states, lane)
    states._schedule.finished(0, range(1, 5), [10_000] * 4)
    states.become_idle(0, 1.0)
    states.become_idle(1, 1.0 + PATIENCE_SECONDS)
    assert states.revocation(1.0 + PATIENCE_SECONDS) is not None


def test_an_idle_lane_is_released_if_nothing_can_be_revoked() -> None:
    states = states_with(2, 2)
    send(states, 1)
    states.become_idle(0, 1.0)
    assert states.revocation(1.0) is None
    assert states.may_release_idle(1.0)


def test_busy_lanes_have_tasks() -> None:
    states = states_with(2, 4)
    send(states, 1)
    assert states.busy() == [1]


def test_how_long_a_run_waits_depends_on_what_may_happen_unseen() -> None:
    states = states_with(2, 8)
    assert states.time_out(exhausted=True, prompt=False) == ROUND_SECONDS
    assert states.time_out(exhausted=True, prompt=True) == LOOK_SECONDS
    send(states, 0)
    assert states.time_out(exhausted=True, prompt=False) == LOOK_SECONDS, "its journal"
    send(states, 1)
    assert states.time_out(exhausted=True, prompt=False) == LOOK_SECONDS
    states.become_idle(1, 0.0)
    assert states.time_out(exhausted=True, prompt=False) == PATIENCE_SECONDS
    assert states.time_out(exhausted=False, prompt=False) == LOOK_SECONDS


def test_a_run_without_lanes_waits_for_a_round() -> None:
    assert states_with(0, 3).time_out(exhausted=True, prompt=False) == ROUND_SECONDS


def test_illegal_changes_of_a_lane_raise() -> None:
    states = states_with(1, 1)
    with pytest.raises(IllegalTransition):
        states.become_idle(7, 0.0)
    with pytest.raises(IllegalTransition):
        states.drain(0)
    states.remove(0)
    states.drain(0)
    assert states.draining == {0}
    states.remove(0)
    assert not states.draining
    states.starting.add(1)
    with pytest.raises(IllegalTransition):
        states.drain(1)


def rounds(answers: list[int], *, at_rest: bool = True, may_go_on: bool = False) -> list[bool]:
    starvation: Starvation[int] = Starvation()
    found = []
    for answered in answers:
        starvation.begin_round()
        found.append(starvation.is_starved(0, answered, at_rest=at_rest, may_go_on=may_go_on))
    return found


# In how many rounds a worker without anything to read may be seen at rest.
PATIENT = [False] * (LOST_ROUNDS + 1)


def test_a_worker_that_stays_at_rest_with_work_is_starved() -> None:
    for answered in (0, 1, 3):
        assert rounds([answered] * (LOST_ROUNDS + 2)) == [*PATIENT, True]
    assert rounds([3, 4, *[5] * (LOST_ROUNDS + 2)]) == [False, False, *PATIENT, True]
    assert rounds([3] * 50, at_rest=False) == [False] * 50


def test_a_worker_that_has_something_to_read_may_just_be_given_no_time() -> None:
    found = rounds([3] * (STARVED_ROUNDS + 2), may_go_on=True)
    assert found == [False] * (STARVED_ROUNDS + 1) + [True]


def test_a_round_in_which_a_worker_was_busy_begins_anew() -> None:
    starvation: Starvation[int] = Starvation()
    found = []
    for at_rest in [True] * (LOST_ROUNDS + 1) + [False] + [True] * (LOST_ROUNDS + 2):
        starvation.begin_round()
        found.append(starvation.is_starved(0, 3, at_rest=at_rest, may_go_on=False))
    assert found == [*PATIENT, False, *PATIENT, True]


def test_a_worker_that_was_never_seen_is_not_starved() -> None:
    for answered in (0, 1):
        assert rounds([answered]) == [False]
    assert rounds([1, 1, 2, 2, 2], may_go_on=True) == [False] * 5


def test_only_the_last_round_counts() -> None:
    starvation: Starvation[int] = Starvation()
    for _ in PATIENT:
        starvation.begin_round()
        assert not starvation.is_starved(0, 3, at_rest=True, may_go_on=False)
    starvation.begin_round()
    starvation.begin_round()
    assert not starvation.is_starved(0, 3, at_rest=True, may_go_on=False)


def test_a_lane_that_works_is_hungry_at_first() -> None:
    states = states_with(0, 3)
    states.starting.add(0)
    states._schedule.add_lane(0, proven=True)
    states.activate(0)
    assert (states.starting, states.working, states.hungry) == (set(), {0}, {0})
    assert (states.idle, states.draining) == (set(), set())
    states.become_idle(0, 0.0)
    assert states.idle == {0}
    states.remove(0)
    states.remove(0)
    assert (states.starting, states.working, states.hungry) == (set(), set(), set())
    assert states.idle == set()
    states.starting.add(0)
    states.remove(0)
    assert not states.starting


def test_illegal_changes_say_what_is_wrong() -> None:
    states = states_with(1, 1)
    with pytest.raises(IllegalTransition, match=r"^only a lane that works can be idle$"):
        states.become_idle(7, 0.0)
    with pytest.raises(IllegalTransition, match=r"^a lane that works cannot be drained$"):
        states.drain(0)


def test_no_lane_is_leased_at_the_limit_of_lanes_or_starts() -> None:
    assert states_with(3, 10, limit=4).wants_lane(0.0)
    assert not states_with(4, 10, limit=4).wants_lane(0.0)
    states = states_with(0, 10, limit=1)
    assert states.pause_ends == 0.0
    assert states.wants_lane(-1.0)
    states.starting.add(1)
    assert not states.wants_lane(0.0)


def test_a_worker_without_a_limit_takes_full_batches() -> None:
    states = states_with(1, 10)
    assert states.most_tasks is None
    assert states.tasks_left(0, 1000, 7) == 7


def test_patience_ends() -> None:
    states = states_with(2, 8)
    send(states, 0)
    send(states, 1)
    states._schedule.finished(0, range(1, 5), [1_000] * 4)
    states.become_idle(0, 10.0)
    end = 10.0 + PATIENCE_SECONDS
    assert states.revocation(end - 1e-6) is None
    assert states.revocation(end) == (1, 2)
    assert not states.may_release_idle(end - 1e-6)
    assert states.may_release_idle(end)


def test_before_a_lane_is_idle_there_is_nothing_to_be_patient_about() -> None:
    states = states_with(1, 4)
    send(states, 0)
    assert states.revocation(0.5) == (0, 2)
    assert states.may_release_idle(0.5)


def test_a_journal_is_looked_into_if_a_lane_has_two_tasks() -> None:
    states = states_with(1, 2)
    schedule = states._schedule
    schedule.dispatched(0, schedule.next_batch(0, 1), 10)
    assert states.time_out(exhausted=False, prompt=False) == ROUND_SECONDS
    schedule.dispatched(0, list(schedule.submit(1)), 10)
    assert states.time_out(exhausted=False, prompt=False) == LOOK_SECONDS
