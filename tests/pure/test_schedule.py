"""The core, driven through orders of events that no test with processes would meet."""

from __future__ import annotations

from collections import deque

import pytest
from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from enact_pool.schedule import BATCH_BYTES, MAX_FAILED_STARTS, Doing, Schedule

SECONDS = st.sampled_from([1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1.0])


@define(eq=False)
class ModelLane:
    """What a worker does, seen from inside; `said` is in its pipe and not read yet."""

    proven: bool
    unread: deque[list[int]] = field(factory=deque)
    loading: list[int] | None = None
    loaded: deque[int] = field(factory=deque)
    running: int | None = None
    said: deque[tuple[str, list[int], float]] = field(factory=deque)

    @property
    def doing(self) -> Doing:
        if self.running is not None:
            return "running"
        return "loading" if self.loading is not None else "nothing"


class Core(RuleBasedStateMachine):
    """Every interleaving of batches, answers and deaths, against a model of the workers."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule: Schedule[ModelLane, tuple[str, int]] = Schedule()
        self.lanes: list[ModelLane] = []
        self.submitted = 0
        self.started: set[int] = set()
        self.fates: dict[int, str] = {}
        self.released = 0

    # What the loop does

    def settle(self, task: int, fate: str) -> None:
        assert task not in self.fates, "one outcome per task"
        self.fates[task] = fate
        self.schedule.settle(task, (fate, task))

    def feed(self, lane: ModelLane, unpicklable: int = 0) -> bool:
        tasks = self.schedule.next_batch(lane)
        if not tasks:
            return False
        for task in tasks[:unpicklable]:
            self.settle(task, "unpicklable")
        if tasks[unpicklable:]:
            self.schedule.dispatched(lane, tasks[unpicklable:], 100 * len(tasks))
            lane.unread.append(tasks[unpicklable:])
        return True

    def read(self, lane: ModelLane) -> None:
        kind, tasks, seconds = lane.said.popleft()
        if kind == "finished":
            assert [self.schedule.finished(lane, seconds)] == tasks
            self.settle(tasks[0], "finished")
        elif kind == "returned":
            self.schedule.returned(lane)
        else:
            blamed = self.schedule.unloadable(lane)
            assert blamed == (tasks[0] if len(tasks) == 1 else None), "only one alone is blamed"
            if blamed is not None:
                self.settle(blamed, "unloadable")

    def die(self, lane: ModelLane) -> None:
        while lane.said:
            self.read(lane)
        expected = lane.running
        if lane.loading is not None and len(lane.loading) == 1:
            expected = lane.loading[0]
        blamed = self.schedule.lane_died(lane, lane.doing)
        assert blamed == expected, "who ran is blamed, and nobody else"
        if blamed is not None:
            self.settle(blamed, "died")
        self.lanes.remove(lane)

    # What the worker does

    def work(self, lane: ModelLane, seconds: float) -> bool:
        if lane.running is not None:
            lane.said.append(("finished", [lane.running], seconds))
            lane.running = None
        elif lane.loading is not None:
            lane.loaded.extend(lane.loading)
            lane.loading = None
        elif lane.loaded:
            task = lane.loaded.popleft()
            assert task not in self.started, "each starts at most once"
            self.started.add(task)
            lane.running = task
        elif lane.unread:
            lane.loading = lane.unread.popleft()
        else:
            return False
        return True

    # What may happen

    @rule(count=st.sampled_from([1, 2, 3, 10, 60]))
    def submit(self, count: int) -> None:
        tasks = self.schedule.submit(count)
        assert list(tasks) == list(range(self.submitted, self.submitted + count))
        self.submitted += count

    @rule(proven=st.booleans())
    def lane_comes(self, proven: bool) -> None:
        if len(self.lanes) < 5:
            lane = ModelLane(proven)
            self.schedule.add_lane(lane, proven)
            self.lanes.append(lane)

    @rule()
    def start_fails(self) -> None:
        self.schedule.start_failed()

    @precondition(lambda self: self.lanes)
    @rule(data=st.data(), unpicklable=st.sampled_from([0, 0, 0, 1, 400]))
    def batch_goes_out(self, data: st.DataObject, unpicklable: int) -> None:
        self.feed(data.draw(st.sampled_from(self.lanes)), unpicklable)

    @precondition(lambda self: self.lanes)
    @rule(data=st.data(), steps=st.sampled_from([1, 1, 1, 2, 5, 50]), seconds=SECONDS)
    def worker_works(self, data: st.DataObject, steps: int, seconds: float) -> None:
        lane = data.draw(st.sampled_from(self.lanes))
        for _ in range(steps):
            self.work(lane, seconds)

    @precondition(lambda self: any(lane.said for lane in self.lanes))
    @rule(data=st.data(), count=st.sampled_from([1, 2, 100]))
    def answers_are_read(self, data: st.DataObject, count: int) -> None:
        lane = data.draw(st.sampled_from([lane for lane in self.lanes if lane.said]))
        for _ in range(min(count, len(lane.said))):
            self.read(lane)

    @precondition(lambda self: any(lane.loading for lane in self.lanes))
    @rule(data=st.data())
    def batch_cannot_be_loaded(self, data: st.DataObject) -> None:
        lane = data.draw(st.sampled_from([lane for lane in self.lanes if lane.loading]))
        assert lane.loading is not None
        lane.said.append(("unloadable", lane.loading, 0.0))
        lane.loading = None

    @precondition(lambda self: any(lane.loaded for lane in self.lanes))
    @rule(data=st.data())
    def rest_is_given_back(self, data: st.DataObject) -> None:
        lane = data.draw(st.sampled_from([lane for lane in self.lanes if lane.loaded]))
        if lane.running is None:
            lane.said.append(("returned", list(lane.loaded), 0.0))
            lane.loaded.clear()

    @precondition(lambda self: self.lanes)
    @rule(data=st.data())
    def lane_dies(self, data: st.DataObject) -> None:
        self.die(data.draw(st.sampled_from(self.lanes)))

    @precondition(lambda self: self.lanes)
    @rule()
    def all_lanes_die(self) -> None:
        for lane in list(self.lanes):
            self.die(lane)

    @precondition(lambda self: self.lanes)
    @rule(data=st.data())
    def idle_lane_leaves(self, data: st.DataObject) -> None:
        lane = data.draw(st.sampled_from(self.lanes))
        if self.schedule.is_idle(lane):
            self.schedule.remove_lane(lane)
            self.lanes.remove(lane)

    # What must hold

    @invariant()
    def released_in_order_and_at_once(self) -> None:
        for outcome in self.schedule.release():
            assert outcome == (self.fates[self.released], self.released)
            self.released += 1
        assert self.released not in self.fates, "no outcome is held back"
        assert self.schedule.done == (self.released == self.submitted)

    @invariant()
    def nothing_is_lost(self) -> None:
        with_lanes: list[int] = []
        for lane in self.lanes:
            for tasks in (*lane.unread, *(tasks for _, tasks, _ in lane.said)):
                with_lanes.extend(tasks)
            with_lanes.extend(lane.loading or ())
            with_lanes.extend(lane.loaded)
            with_lanes.extend([] if lane.running is None else [lane.running])
        assert not set(with_lanes) & set(self.fates)
        assert len(with_lanes) == len(set(with_lanes)), "a task is with one lane"
        assert self.schedule.queued + len(with_lanes) + len(self.fates) == self.submitted

    def teardown(self) -> None:
        """Whatever has happened, a loop that goes on now comes to an end."""
        for _ in range(40 * self.submitted + 40):
            if self.schedule.done:
                break
            if not self.lanes:
                if not self.schedule.may_start_lanes:
                    for task in self.schedule.abandon_queue():
                        self.settle(task, "abandoned")
                else:
                    self.lane_comes(proven=False)
            for lane in self.lanes:
                self.feed(lane)
                self.work(lane, 0.001)
                while lane.said:
                    self.read(lane)
            self.released_in_order_and_at_once()
        assert self.schedule.done
        assert self.released == self.submitted
        super().teardown()


TestCore = Core.TestCase
TestCore.settings = settings(max_examples=500, stateful_step_count=50, deadline=None)


# How batches adapt


def scheduled(count: int, lanes: int = 2) -> Schedule[int, str]:
    schedule: Schedule[int, str] = Schedule()
    schedule.submit(count)
    for lane in range(lanes):
        schedule.add_lane(lane, proven=True)
    return schedule


def send(schedule: Schedule[int, str], lane: int, size: int = 100) -> list[int]:
    tasks = schedule.next_batch(lane)
    if tasks:
        schedule.dispatched(lane, tasks, size)
    return tasks


def test_first_batches_are_single_and_nothing_waits_behind_them() -> None:
    schedule = scheduled(100)
    assert [send(schedule, 0), send(schedule, 0), send(schedule, 1)] == [[0], [], [1]]


def test_quick_tasks_travel_together_in_growing_batches() -> None:
    schedule = scheduled(10_000)
    sizes = []
    while tasks := send(schedule, 0):
        sizes.append(len(tasks))
        for _ in tasks:
            schedule.finished(0, 1e-6)
    assert sizes[:5] == [1, 1, 2, 4, 8], "never more than have been measured"
    assert max(sizes) > 200
    assert sizes[-1] == 1, "they shrink towards the end"


@pytest.mark.parametrize(("seconds", "most"), [(1e-3, 2), (2e-3, 1), (1.0, 1)])
def test_batches_hold_about_two_milliseconds_of_work(seconds: float, most: int) -> None:
    schedule = scheduled(1000)
    for _ in range(50):
        tasks = send(schedule, 0)
        assert len(tasks) <= most
        for _ in tasks:
            schedule.finished(0, seconds)


def test_a_second_batch_waits_in_the_pipe_of_quick_tasks_only() -> None:
    for seconds, waiting in [(1e-3, True), (0.1, False)]:
        schedule = scheduled(1000)
        send(schedule, 0)
        schedule.finished(0, seconds)
        assert send(schedule, 0)
        assert bool(send(schedule, 0)) is waiting
        assert not send(schedule, 0), "never a third"


def test_no_batch_waits_in_a_pipe_when_the_rest_is_few() -> None:
    schedule = scheduled(4)
    send(schedule, 0)
    schedule.finished(0, 1e-3)
    assert send(schedule, 0) == [1]
    assert not send(schedule, 0), "the other lane could run it now"


def test_large_pickles_do_not_travel_together() -> None:
    schedule = scheduled(1000)
    for _ in range(20):
        tasks = send(schedule, 0, size=0)
        # Each task adds a third of the limit.
        schedule._lanes[0].batches.pop()
        schedule.dispatched(0, tasks, len(tasks) * BATCH_BYTES // 3)
        assert len(tasks) <= 3
        for _ in tasks:
            schedule.finished(0, 1e-6)


def test_what_tasks_share_does_not_keep_them_apart() -> None:
    schedule = scheduled(1000)
    largest = 0
    for _ in range(20):
        tasks = send(schedule, 0, size=BATCH_BYTES // 2)
        largest = max(largest, len(tasks))
        for _ in tasks:
            schedule.finished(0, 1e-6)
    assert largest > 50


# Deaths


def test_a_batch_that_cannot_be_loaded_is_sent_again_one_by_one() -> None:
    schedule = scheduled(100, lanes=1)
    for _ in range(3):
        for _ in send(schedule, 0):
            schedule.finished(0, 1e-6)
    batch = send(schedule, 0)
    assert batch == [4, 5, 6, 7]
    assert schedule.lane_died(0, "loading") is None
    schedule.add_lane(1, proven=False)
    for task in batch:
        assert send(schedule, 1) == [task]
        schedule.finished(1, 1e-6)
    assert send(schedule, 1) == [8, 9, 10, 11, 12, 13, 14, 15]


def test_what_had_not_started_is_first_in_the_queue_again() -> None:
    schedule = scheduled(100)
    for _ in range(3):
        for _ in send(schedule, 0):
            schedule.finished(0, 1e-6)
    assert send(schedule, 0) == [4, 5, 6, 7]
    schedule.finished(0, 1e-6)
    assert schedule.lane_died(0, "running") == 5
    assert send(schedule, 1)[:2] == [6, 7]


def test_three_failed_starts_in_a_row_are_enough() -> None:
    schedule = scheduled(10, lanes=0)
    for _ in range(MAX_FAILED_STARTS):
        assert schedule.may_start_lanes
        schedule.start_failed()
    assert not schedule.may_start_lanes
    assert schedule.abandon_queue() == list(range(10))
    assert schedule.queued == 0


def test_a_worker_that_does_something_forgives_failed_starts() -> None:
    schedule = scheduled(10, lanes=0)
    schedule.start_failed()
    schedule.start_failed()
    schedule.add_lane(0, proven=False)
    send(schedule, 0)
    schedule.finished(0, 1.0)
    schedule.start_failed()
    assert schedule.may_start_lanes


def test_new_workers_that_die_idle_are_failed_starts() -> None:
    schedule = scheduled(10, lanes=0)
    for lane in range(MAX_FAILED_STARTS):
        assert schedule.may_start_lanes
        schedule.add_lane(lane, proven=False)
        send(schedule, lane)
        assert schedule.lane_died(lane, "nothing") is None
    assert not schedule.may_start_lanes


def test_old_workers_that_died_idle_are_not() -> None:
    schedule = scheduled(10, lanes=5)
    for lane in range(5):
        assert schedule.lane_died(lane, "nothing") is None
    assert schedule.may_start_lanes
