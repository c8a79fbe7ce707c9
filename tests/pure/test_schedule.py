"""The core, in orders of events that tests with processes would not reach."""

from __future__ import annotations

from collections import deque
from typing import Any

import pytest
from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from enact_pool._core.batch_sizing import BATCH_BYTES, BATCH_TASKS, Sizing
from enact_pool._core.release_order import MAX_HELD, ReleaseOrder
from enact_pool._core.schedule import MAX_FAILED_STARTS, Schedule
from enact_pool._core.states import IllegalTransition

SECONDS = st.sampled_from([1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1.0])


@define(eq=False)
class ModelLane:
    """A model of a worker; `written` is in its pipe and not read yet."""

    sent: int
    permits: deque[int] = field(factory=deque)
    taken: deque[int] = field(factory=deque)
    unread: deque[list[tuple[int, int]]] = field(factory=deque)
    batch: list[tuple[int, int]] = field(factory=list)
    loading: bool = False
    running: int | None = None
    begun: int = 0
    written: deque[tuple[str, int, float]] = field(factory=deque)
    # Tasks whose permit a callable has read.
    lost: set[int] = field(factory=set)

    def permit(self, first: int, several: int) -> int | None:
        while True:
            while self.taken and self.taken[0] < first:
                self.taken.popleft()
            if self.taken:
                return self.taken[0]
            if not self.permits:
                return None
            for _ in range(min(several, len(self.permits))):
                self.taken.append(self.permits.popleft())

    def has_permit(self, first: int, several: int) -> bool:
        """Return whether the batch can go on; otherwise write an answer that it cannot."""
        serial = self.permit(first, several)
        if serial is not None and serial <= self.batch[-1][0]:
            return True
        self.written.append(("skipped", self.batch[-1][0], 0.0))
        self.batch = []
        return False


class Core(RuleBasedStateMachine):
    """Every interleaving of batches, answers, revocations and deaths, against a model."""

    ordered = True

    def __init__(self) -> None:
        super().__init__()
        self.schedule: Schedule[ModelLane] = Schedule()
        self.order: ReleaseOrder[tuple[str, int]] = ReleaseOrder(self.ordered)
        # The tasks in the order in which they were settled.
        self.settled: list[int] = []
        self.lanes: list[ModelLane] = []
        self.submitted = 0
        self.started: set[int] = set()
        self.fates: dict[int, str] = {}
        self.released = 0
        # Tasks that were alone in a batch during whose arrival a lane died.
        self.received_once: set[int] = set()

    # The loop

    def settle(self, task: int, fate: str) -> None:
        assert task not in self.fates, "one outcome per task"
        self.fates[task] = fate
        self.settled.append(task)
        self.order.settle([task], [(fate, task)])

    def feed(self, lane: ModelLane, unpicklable: int = 0) -> None:
        tasks = self.schedule.next_batch(lane)
        for task in tasks[:unpicklable]:
            self.settle(task, "unpicklable")
        if good := tasks[unpicklable:]:
            serials = range(lane.sent + 1, lane.sent + 1 + len(good))
            lane.sent += len(good)
            lane.permits.extend(serials)
            lane.unread.append(list(zip(serials, good, strict=True)))
            self.schedule.dispatched(lane, good, 100 * len(good))

    def read(self, lane: ModelLane, together: int = 1) -> None:
        kind, serial, seconds = lane.written.popleft()
        if kind == "finished":
            serials = range(serial, serial + 1)
            while (
                together > len(serials)
                and lane.written
                and lane.written[0][:2] == ("finished", serials.stop)
            ):
                lane.written.popleft()
                serials = range(serial, serials.stop + 1)
            tasks = self.schedule.finished(lane, serials, [int(seconds * 1e9)] * len(serials))
            assert len(tasks) == len(serials)
            for task in tasks:
                assert task in self.started
                self.settle(task, "finished")
        elif kind == "skipped":
            self.schedule.skipped(lane, serial)
        else:
            blamed = self.schedule.unloadable(lane, serial)
            assert (blamed is not None) == (kind == "single unloadable")
            if blamed is not None:
                self.settle(blamed, "unloadable")

    def die(self, lane: ModelLane, *, receives: bool = False) -> None:
        while lane.written:
            self.read(lane)
        expected = set() if lane.running is None else {lane.running}
        if lane.loading and len(lane.batch) == 1:
            expected = {lane.batch[0][1]}
        loading = lane.batch[-1][0] if lane.loading else 0
        receiving = 0
        if receives and not (lane.batch or lane.loading):
            coming = lane.unread[0]
            receiving = coming[-1][0]
            # Alone in its batch, and not offered to another lane meanwhile.
            if len(coming) == 1 and coming[0][0] in (*lane.permits, *lane.taken):
                alone = coming[0][1]
                expected = {alone} & self.received_once
                self.received_once.add(alone)
        blamed = set(self.schedule.lane_died(lane, lane.begun, loading, receiving))
        # A lost permit and a lost answer look alike: neither may be sent again.
        # (A task whose permit was lost may have been sent here again, and be blamed.)
        assert expected <= blamed <= expected | lane.lost, "only the task that ran is blamed"
        for task in blamed:
            self.settle(task, "died")
        self.lanes.remove(lane)

    def recall(self, patient: bool) -> bool:
        found = self.schedule.revocable(patient=patient)
        if found is None:
            return False
        lane, count = found
        serials = tuple(lane.permits.popleft() for _ in range(min(count, len(lane.permits))))
        self.schedule.revoked(lane, serials)
        return True

    # The worker

    def work(self, lane: ModelLane, seconds: float = 0.001, several: int = 1) -> bool:
        if lane.running is not None:
            lane.written.append(("finished", lane.begun, seconds))
            lane.running = None
            if lane.begun == lane.batch[-1][0]:
                lane.batch = []
            else:
                lane.has_permit(lane.begun + 1, several)
        elif lane.loading:
            lane.loading = False
        elif lane.batch:
            (serial,) = (s for s, _ in lane.batch if s == lane.taken[0])
            (task,) = (task for s, task in lane.batch if s == serial)
            assert task not in self.started, "each starts at most once"
            self.started.add(task)
            lane.running, lane.begun = task, serial
        elif lane.unread:
            lane.batch = lane.unread.popleft()
            lane.loading = lane.has_permit(lane.batch[0][0], 1)
        else:
            return False
        return True

    # Rules

    @rule(count=st.sampled_from([1, 2, 3, 10, 60]))
    def submit(self, count: int) -> None:
        tasks = self.schedule.submit(count)
        self.order.submit(count)
        assert list(tasks) == list(range(self.submitted, self.submitted + count))
        self.submitted += count

    @rule(proven=st.booleans(), serial=st.sampled_from([0, 7]))
    def lane_comes(self, proven: bool, serial: int) -> None:
        if len(self.lanes) < 5:
            lane = ModelLane(sent=serial, begun=serial)
            self.schedule.add_lane(lane, proven=proven, serial=serial)
            self.lanes.append(lane)

    @rule()
    def start_fails(self) -> None:
        self.schedule.start_failed()

    @precondition(lambda self: self.lanes)
    @rule(data=st.data(), unpicklable=st.sampled_from([0, 0, 0, 1, 400]))
    def batch_goes_out(self, data: st.DataObject, unpicklable: int) -> None:
        self.feed(data.draw(st.sampled_from(self.lanes)), unpicklable)

    @precondition(lambda self: self.lanes)
    @rule(
        data=st.data(),
        steps=st.sampled_from([1, 1, 1, 2, 5, 50]),
        seconds=SECONDS,
        several=st.sampled_from([1, 1, 3]),
    )
    def worker_works(self, data: st.DataObject, steps: int, seconds: float, several: int) -> None:
        lane = data.draw(st.sampled_from(self.lanes))
        for _ in range(steps):
            self.work(lane, seconds, several)

    @precondition(lambda self: any(lane.written for lane in self.lanes))
    @rule(data=st.data(), count=st.sampled_from([1, 2, 100]), together=st.sampled_from([1, 3, 100]))
    def answers_are_read(self, data: st.DataObject, count: int, together: int) -> None:
        lane = data.draw(st.sampled_from([lane for lane in self.lanes if lane.written]))
        for _ in range(count):
            if lane.written:
                self.read(lane, together)

    @precondition(lambda self: any(lane.loading for lane in self.lanes))
    @rule(data=st.data())
    def batch_cannot_be_loaded(self, data: st.DataObject) -> None:
        lane = data.draw(st.sampled_from([lane for lane in self.lanes if lane.loading]))
        kind = "single unloadable" if len(lane.batch) == 1 else "unloadable"
        lane.written.append((kind, lane.batch[-1][0], 0.0))
        lane.batch, lane.loading = [], False

    @precondition(lambda self: self.lanes)
    @rule(patient=st.booleans())
    def tasks_are_recalled(self, patient: bool) -> None:
        self.recall(patient)

    @precondition(lambda self: any(lane.permits for lane in self.lanes))
    @rule(data=st.data(), count=st.sampled_from([1, 1, 100]))
    def permits_are_lost(self, data: st.DataObject, count: int) -> None:
        """A callable reads every descriptor."""
        lane = data.draw(st.sampled_from([lane for lane in self.lanes if lane.permits]))
        sent = dict(pair for batch in (lane.batch, *lane.unread) for pair in batch)
        for _ in range(min(count, len(lane.permits))):
            serial = lane.permits.popleft()
            if serial in sent:
                lane.lost.add(sent[serial])

    @precondition(lambda self: self.lanes)
    @rule(data=st.data())
    def lane_dies(self, data: st.DataObject) -> None:
        self.die(data.draw(st.sampled_from(self.lanes)))

    @precondition(lambda self: any(lane.unread and not lane.lost for lane in self.lanes))
    @rule(data=st.data())
    def lane_dies_while_it_receives(self, data: st.DataObject) -> None:
        receiving = [lane for lane in self.lanes if lane.unread and not lane.lost]
        self.die(data.draw(st.sampled_from(receiving)), receives=True)

    @precondition(lambda self: self.lanes)
    @rule()
    def all_lanes_die(self) -> None:
        for lane in list(self.lanes):
            self.die(lane)

    @precondition(lambda self: self.lanes)
    @rule(data=st.data())
    def idle_lane_leaves(self, data: st.DataObject) -> None:
        lane = data.draw(st.sampled_from(self.lanes))
        if not self.schedule.lanes[lane].tasks:
            self.schedule.remove_lane(lane)
            self.lanes.remove(lane)

    # Invariants

    @invariant()
    def released_in_order_and_at_once(self) -> None:
        for released, outcome in zip(*self.order.release(), strict=True):
            task = self.released if self.ordered else self.settled[self.released]
            assert released == task
            assert outcome == (self.fates[task], task)
            self.released += 1
        held_back = self.released in self.fates if self.ordered else self.settled[self.released :]
        assert not held_back
        assert self.order.released == self.released
        assert self.order.unsettled == self.submitted - len(self.fates)

    @invariant()
    def nothing_contradicts_itself(self) -> None:
        self.schedule.validate()
        self.order.validate()
        for task in range(self.submitted):
            state = self.schedule.state_of(task)
            assert (task in self.fates) == (state == "elsewhere")
            held = [lane for lane in self.lanes if self.schedule.lanes[lane].serial_of(task)]
            assert (state == "sent") == bool(held)

    @invariant()
    def none_is_settled_by_mistake(self) -> None:
        for task, fate in self.fates.items():
            if fate in ("unpicklable", "unloadable", "abandoned"):
                assert task not in self.started

    def teardown(self) -> None:
        """Whatever has happened, the loop can finish."""
        for _ in range(40 * self.submitted + 40):
            if self.released == self.submitted:
                break
            if not self.lanes:
                if not self.schedule.may_start_lanes:
                    for task in self.schedule.abandon_queue():
                        self.settle(task, "abandoned")
                else:
                    self.lane_comes(proven=False, serial=0)
            for lane in self.lanes:
                self.feed(lane)
                self.work(lane)
                while lane.written:
                    self.read(lane)
            self.released_in_order_and_at_once()
        assert self.schedule.queued == 0
        assert self.released == self.submitted
        super().teardown()


TestCore = Core.TestCase
TestCore.settings = settings(
    max_examples=5 * settings().max_examples, stateful_step_count=50, deadline=None
)


class UnorderedCore(Core):
    """The same, with outcomes that are released as soon as they are settled."""

    ordered = False


TestUnorderedCore = UnorderedCore.TestCase
TestUnorderedCore.settings = settings(
    max_examples=settings().max_examples, stateful_step_count=50, deadline=None
)


# Batches

Lanes = Schedule[int]


def scheduled(count: int, lanes: int = 2) -> Lanes:
    schedule: Lanes = Schedule()
    schedule.submit(count)
    for lane in range(lanes):
        schedule.add_lane(lane, proven=True)
    return schedule


def send(schedule: Lanes, lane: int, size: int = 100) -> list[int]:
    tasks = schedule.next_batch(lane)
    if tasks:
        schedule.dispatched(lane, tasks, size)
    return tasks


def finish(schedule: Lanes, lane: int, seconds: float, count: int = 1) -> list[int]:
    """The lane finishes so many of the tasks it has."""
    first = schedule.lanes[lane].serials[0]
    return schedule.finished(lane, range(first, first + count), [int(seconds * 1e9)] * count)


def test_the_first_batches_divide_few_tasks_evenly() -> None:
    schedule = scheduled(4)
    assert [send(schedule, 0), send(schedule, 0), send(schedule, 1)] == [[0, 2], [], [1, 3]]
    schedule = scheduled(1000)
    assert [send(schedule, 0), send(schedule, 1)] == [[0, 2, 4, 6], [1, 3, 5, 7]]


def test_lanes_that_are_starting_have_a_share_of_the_first_tasks() -> None:
    schedule = scheduled(8, lanes=1)
    assert schedule.next_batch(0, starting=1) == [0, 2, 4, 6]
    schedule = scheduled(8, lanes=2)
    assert schedule.next_batch(0, starting=2) == [0, 2, 4, 6]
    schedule = scheduled(2000, lanes=250)
    assert schedule.next_batch(0) == [0, 250, 500, 750]
    schedule = scheduled(2000, lanes=251)
    assert schedule.next_batch(0) == [0, 1, 2, 3], "to deal so many would take long"


@pytest.mark.parametrize(("seconds", "batch"), [(1e-6, [0, 1, 2, 3]), (1e-3, [0, 2])])
def test_only_tasks_that_were_slow_the_last_time_are_divided(
    seconds: float, batch: list[int]
) -> None:
    schedule: Lanes = Schedule(expected_seconds=seconds)
    for lane in range(2):
        schedule.add_lane(lane, proven=True)
    schedule.submit(4)
    assert send(schedule, 0) == batch
    assert not schedule.sizing.measured_tasks
    finish(schedule, 0, 0.5)
    assert schedule.sizing.mean_seconds == 0.5


def test_no_more_tasks_are_wanted_than_fill_full_batches() -> None:
    schedule: Lanes = Schedule()
    for lane in range(2):
        schedule.add_lane(lane, proven=True)
    schedule.submit(schedule.wanted(lanes=2))
    assert schedule.queued == 16
    assert schedule.wanted(lanes=2) == 0
    finish(schedule, 0, 1.0, len(send(schedule, 0)))
    assert schedule.wanted(lanes=2) == 0, "slow tasks travel alone, and there are some"
    schedule.abandon_queue()
    assert schedule.wanted(lanes=2) == 4


def test_no_tasks_are_wanted_while_too_many_outcomes_wait_for_the_first() -> None:
    for ordered in (True, False):
        order: ReleaseOrder[str] = ReleaseOrder(ordered)
        order.submit(MAX_HELD + 1)
        order.settle(range(1, MAX_HELD), ["done"] * (MAX_HELD - 1))
        assert not order.is_full
        order.settle([MAX_HELD], ["done"])
        assert order.is_full == ordered
        order.settle([0], ["done"])
        assert len(order.release()[1]) == MAX_HELD + 1
        assert not order.is_full
        assert order.unsettled == 0


def test_a_lane_is_sent_a_batch_when_it_is_done_with_the_one_before() -> None:
    schedule = scheduled(1000)
    send(schedule, 0)
    finish(schedule, 0, 1e-6, 3)
    assert not send(schedule, 0)
    finish(schedule, 0, 1e-6, 1)
    assert len(send(schedule, 0)) == 8


def test_a_batch_that_cannot_be_loaded_is_sent_again_one_by_one() -> None:
    schedule = scheduled(100, lanes=1)
    assert send(schedule, 0) == [0, 1, 2, 3]
    assert schedule.lane_died(0, begun=0, loading=4) == []
    schedule.add_lane(1, proven=False)
    for task in range(4):
        assert send(schedule, 1) == [task]
        finish(schedule, 1, 1e-6)
    assert send(schedule, 1)[:2] == [4, 5]


def test_tasks_that_had_not_started_return_to_the_front_of_the_queue() -> None:
    schedule = scheduled(100)
    assert send(schedule, 0) == [0, 2, 4, 6]
    finish(schedule, 0, 1e-6)
    assert schedule.lane_died(0, begun=2, loading=0) == [2]
    assert send(schedule, 1)[:2] == [4, 6]


def test_a_task_whose_answer_was_lost_is_not_sent_again() -> None:
    """A callable wrote into the pipe, and the answers after that cannot be read."""
    schedule = scheduled(100)
    assert send(schedule, 0) == [0, 2, 4, 6]
    assert schedule.lane_died(0, begun=3, loading=0) == [0, 2, 4]
    assert send(schedule, 1)[:2] == [6, 1]


def test_a_death_with_an_overwritten_flight_recorder_blames_the_first_task() -> None:
    """The task may have started, so it must not be sent again."""
    schedule = scheduled(100)
    send(schedule, 0)
    assert schedule.lane_died(0, begun=1 << 60, loading=1 << 60) == [0]
    assert send(schedule, 1)[:2] == [2, 4]


def test_an_answer_for_a_task_that_was_not_sent_raises() -> None:
    schedule = scheduled(100)
    send(schedule, 0)
    assert finish(schedule, 0, 1e-6) == [0]
    assert schedule.finished(0, range(1, 2), [1000]) == [], "answered already"
    assert schedule.finished(0, range(99, 100), [1000]) == [], "never sent"
    assert schedule.finished(0, range(2, 6), [1000] * 4) == [], "nor was the last of these"
    assert schedule.finished(0, range(2, 100), [1000] * 98) == [], "nor were some of these"
    assert schedule.queued == 96, "what may have started is not sent again"
    schedule.revoked(0, (3,))
    assert schedule.finished(0, range(2, 4), [1000] * 2) == [2], "up to the first that was recalled"


# Revocations


def test_tasks_behind_a_long_one_are_revoked() -> None:
    schedule = scheduled(8)
    assert [send(schedule, 0), send(schedule, 1)] == [[0, 2, 4, 6], [1, 3, 5, 7]]
    finish(schedule, 0, 1e-5, 4)
    assert schedule.revocable(patient=True) is None, "it would be done in 30 microseconds"
    assert schedule.revocable(patient=False) == (1, 2)
    schedule.revoked(1, (2, 3))
    assert send(schedule, 0) == [3, 5], "as many as the other one has"
    assert schedule.finished(1, range(1, 2), [2_000_000_000]) == [1]
    assert schedule.finished(1, range(4, 5), [10_000]) == [7]


def test_tasks_behind_one_that_is_known_to_be_slow_are_revoked_at_once() -> None:
    schedule = scheduled(8)
    send(schedule, 0)
    send(schedule, 1)
    finish(schedule, 0, 1e-2, 4)
    assert schedule.revocable(patient=True) == (1, 2)


def test_a_lane_without_revocable_tasks_is_not_asked_again_before_an_answer() -> None:
    schedule = scheduled(8)
    send(schedule, 0)
    schedule.revoked(0, ())
    assert schedule.revocable(patient=False) is None
    finish(schedule, 0, 1e-2)
    assert schedule.revocable(patient=False) == (0, 1)


def test_the_running_task_is_not_revoked() -> None:
    schedule = scheduled(2)
    send(schedule, 0)
    send(schedule, 1)
    assert schedule.revocable(patient=False) is None


# Starts


def test_three_failed_starts_in_a_row_are_enough() -> None:
    schedule = scheduled(10, lanes=0)
    for _ in range(MAX_FAILED_STARTS):
        assert schedule.may_start_lanes
        schedule.start_failed()
    assert not schedule.may_start_lanes
    assert schedule.abandon_queue() == list(range(10))
    assert schedule.queued == 0


def test_a_worker_that_runs_a_task_resets_the_failed_starts() -> None:
    schedule = scheduled(10, lanes=0)
    schedule.start_failed()
    schedule.start_failed()
    schedule.add_lane(0, proven=False)
    send(schedule, 0)
    finish(schedule, 0, 1.0)
    schedule.start_failed()
    assert schedule.may_start_lanes


def test_new_workers_that_die_idle_are_failed_starts() -> None:
    schedule = scheduled(10, lanes=0)
    for lane in range(MAX_FAILED_STARTS):
        assert schedule.may_start_lanes
        schedule.add_lane(lane, proven=False)
        send(schedule, lane)
        assert schedule.lane_died(lane, begun=0, loading=0) == []
    assert not schedule.may_start_lanes


def test_new_workers_that_exit_idle_are_not_failed_starts() -> None:
    """The run was prevented from sending them a batch."""
    schedule = scheduled(10, lanes=0)
    for lane in range(MAX_FAILED_STARTS):
        schedule.add_lane(lane, proven=False)
        send(schedule, lane)
        assert schedule.lane_died(lane, begun=0, expired=True) == []
    assert schedule.may_start_lanes
    assert schedule.queued == 10


def test_old_workers_that_die_idle_are_not_failed_starts() -> None:
    schedule = scheduled(10, lanes=5)
    for lane in range(5):
        assert schedule.lane_died(lane, begun=0, loading=0) == []
    assert schedule.may_start_lanes


# Sizes


def sizes(
    seconds: float, queued: int = 10_000, bytes_each: int = 0, shared: int = 0, lanes: int = 2
) -> list[int]:
    """Return the sizes of successive batches for one of several empty lanes."""
    sizing, found = Sizing(), []
    while queued:
        size = (
            min(queued, sizing.batch(queued, lanes))
            if sizing.measured_tasks
            else sizing.first_batch(queued, idle_lanes=1)
        )
        assert 1 <= size <= min(queued, BATCH_TASKS)
        found.append(size)
        queued -= size
        sizing.pickled(size, shared + size * bytes_each)
        sizing.measured([int(seconds * 1e9)] * size)
    return found


def test_quick_tasks_are_sent_in_growing_batches() -> None:
    found = sizes(1e-6)
    assert found[:4] == [4, 8, 24, 72], "not many more than have been measured"
    assert max(found) > 200
    assert found[-1] == 1, "they shrink towards the end"


@pytest.mark.parametrize(("seconds", "most"), [(1e-3, 59), (3e-3, 19), (1e-2, 5), (1.0, 1)])
def test_batches_hold_about_sixty_milliseconds_of_tasks(seconds: float, most: int) -> None:
    assert max(sizes(seconds, 1000)[1:]) == most


def test_batches_are_larger_for_more_lanes() -> None:
    assert max(sizes(1e-2, 10_000, lanes=64)[1:]) == 19


def test_the_last_tasks_are_divided_evenly() -> None:
    schedule = scheduled(20)
    assert [send(schedule, 0), send(schedule, 1)] == [[0, 2, 4, 6], [1, 3, 5, 7]]
    finish(schedule, 0, 1e-3, 4)
    assert len(send(schedule, 0)) == 8, "sixteen are left"
    finish(schedule, 1, 1e-3, 4)
    assert len(send(schedule, 1)) == 4, "only those that wait"


def test_large_pickles_are_not_sent_together() -> None:
    assert max(sizes(1e-6, 1000, bytes_each=BATCH_BYTES // 3)[1:]) <= 3


def test_tasks_that_share_a_large_pickle_are_sent_together() -> None:
    assert max(sizes(1e-6, 1000, shared=BATCH_BYTES // 2)) > 50


def test_a_task_is_blamed_when_a_second_lane_dies_while_receiving_it() -> None:
    schedule = scheduled(8, lanes=2)
    assert send(schedule, 0) == [0, 2, 4, 6]
    assert schedule.lane_died(0, 0, receiving=4) == []
    blamed = []
    for lane in range(2, 9):
        schedule.add_lane(lane, proven=False)
        if len(batch := send(schedule, lane)) > 1:
            break
        blamed += schedule.lane_died(lane, 0, receiving=1)
        assert schedule.may_start_lanes
    assert blamed == [0, 2, 4], batch


# Outcomes


@pytest.mark.parametrize("ordered", [True, False])
def test_a_task_cannot_be_settled_twice(ordered: bool) -> None:
    order: ReleaseOrder[str] = ReleaseOrder(ordered)
    order.submit(2)
    order.settle([1], ["done"])
    with pytest.raises(IllegalTransition):
        order.settle([1], ["again"])


def test_a_task_that_was_released_in_order_cannot_be_settled_again() -> None:
    order: ReleaseOrder[str] = ReleaseOrder()
    order.submit(2)
    order.settle([0], ["done"])
    assert order.release() == (range(1), ["done"])
    with pytest.raises(IllegalTransition):
        order.settle([0], ["again"])


def test_only_a_task_that_no_other_waits_for_can_be_withdrawn() -> None:
    unordered: ReleaseOrder[str] = ReleaseOrder(False)
    unordered.submit(1)
    unordered.withdraw()
    assert unordered.unsettled == 0
    with pytest.raises(IllegalTransition):
        ReleaseOrder[str](True).withdraw()


def test_a_lane_cannot_leave_with_tasks() -> None:
    schedule = scheduled(1, lanes=1)
    send(schedule, 0)
    with pytest.raises(IllegalTransition):
        schedule.remove_lane(0)


def test_a_task_that_waits_can_be_withdrawn() -> None:
    schedule = scheduled(3, lanes=1)
    assert schedule.withdraw(1)
    assert not schedule.withdraw(1)
    assert schedule.queued == 2
    assert send(schedule, 0) == [0, 2]
    assert not schedule.withdraw(0), "a lane has it"
    schedule.send_alone(schedule.abandon_queue() or [])
    assert schedule.queued == 0


def test_taken_tasks_are_put_back_first() -> None:
    schedule = scheduled(6, lanes=1)
    taken = schedule.next_batch(0, 2)
    assert taken == [0, 1]
    assert schedule.queued == 4
    schedule.put_back(taken)
    assert schedule.queued == 6
    assert schedule.next_batch(0, 3) == [0, 1, 2]


def test_tasks_that_are_sent_alone_come_first() -> None:
    schedule = scheduled(6, lanes=1)
    schedule.send_alone(schedule.next_batch(0, 2))
    assert schedule.queued == 6
    assert [schedule.state_of(task) for task in (0, 2)] == ["suspect", "queued"]
    assert [schedule.next_batch(0) for _ in range(2)] == [[0], [1]]
    assert schedule.queued == 4
    assert schedule.next_batch(0) == [2, 3, 4, 5]
    assert schedule.queued == 0
    assert schedule.next_batch(0) == []


def test_a_batch_has_a_limit() -> None:
    schedule = scheduled(6, lanes=1)
    assert schedule.next_batch(0, 0) == []
    assert schedule.next_batch(0, -1) == []
    assert schedule.queued == 6
    assert schedule.next_batch(0, 1) == [0]
    assert scheduled(1, lanes=1).next_batch(0, 0) == []


def test_the_states_of_tasks() -> None:
    schedule = scheduled(8, lanes=1)
    taken = schedule.next_batch(0, 2)
    assert schedule.state_of(0) == "elsewhere"
    schedule.dispatched(0, taken, 100)
    assert [schedule.state_of(task) for task in (0, 1, 2)] == ["sent", "sent", "queued"]
    assert schedule.holder(1) == (0, 2)
    assert schedule.holder(2) is None
    assert finish(schedule, 0, 0.1) == [0]
    assert schedule.state_of(0) == "elsewhere"


def test_waiting_tasks_are_withdrawn_wherever_they_wait() -> None:
    schedule = scheduled(4, lanes=1)
    schedule.send_alone(schedule.next_batch(0, 1))
    assert schedule.withdraw(0)
    assert schedule.queued == 3
    assert not schedule.withdraw(0)
    assert schedule.withdraw(2)
    assert schedule.queued == 2
    assert schedule.abandon_queue() == [1, 3]
    assert schedule.queued == 0


def test_all_that_waits_is_abandoned_in_order() -> None:
    schedule = scheduled(4, lanes=1)
    taken = schedule.next_batch(0, 2)
    schedule.send_alone([taken[1], taken[0]])
    assert schedule.abandon_queue() == [0, 1, 2, 3]
    assert schedule.next_batch(0) == []


def test_submitted_tasks_are_numbered() -> None:
    schedule = scheduled(3)
    assert schedule.submit(2) == range(3, 5)
    assert schedule.queued == 5
    assert schedule.submit(1) == range(5, 6)


def test_a_lane_goes_on_with_the_serial_numbers_that_it_had() -> None:
    schedule = scheduled(4, lanes=0)
    schedule.add_lane(7, proven=True, serial=20)
    send(schedule, 7)
    assert schedule.lanes[7].serials == [21, 22, 23, 24]
    assert list(schedule.lanes[7].batches) == [(21, 24)]
    assert schedule.finished(7, range(21, 23), [1000] * 2) == [0, 1]


def test_what_a_lane_found_no_permits_for_is_sent_again() -> None:
    schedule = scheduled(8, lanes=1)
    send(schedule, 0)
    schedule.skipped(0, 2)
    assert schedule.queued == 6
    assert schedule.lanes[0].answered == 2
    assert schedule.next_batch(0, 9) == []
    assert schedule.finished(0, range(3, 5), [1000] * 2) == [2, 3]
    assert schedule.next_batch(0, 2) == [0, 1]


def test_answers_skip_what_a_lane_has_not_run() -> None:
    schedule = scheduled(8, lanes=1)
    send(schedule, 0)
    assert schedule.finished(0, range(3, 4), [1000]) == [2]
    assert schedule.queued == 6, "the two before it were not run"
    assert schedule.lanes[0].tasks == [3]


def test_durations_count_for_those_tasks_that_were_taken() -> None:
    schedule = scheduled(8, lanes=1)
    send(schedule, 0)
    schedule.revoked(0, (2,))
    assert schedule.finished(0, range(1, 3), [1_000_000, 9_000_000]) == [0]
    assert schedule.sizing.measured_tasks == 1
    assert schedule.sizing.mean_seconds == pytest.approx(0.001)


def test_a_batch_of_one_that_cannot_be_loaded_is_to_blame() -> None:
    schedule = scheduled(5, lanes=0)
    schedule.start_failed()
    schedule.add_lane(0, proven=False)
    schedule.dispatched(0, schedule.next_batch(0, 1), 10)
    assert schedule.unloadable(0, 1) == 0
    assert schedule.queued == 4
    assert schedule.lanes[0].proven
    schedule.dispatched(0, schedule.next_batch(0, 2), 10)
    assert schedule.unloadable(0, 3) is None
    assert schedule.queued == 4
    assert [schedule.next_batch(0) for _ in range(2)] == [[1], [2]]


def test_a_lane_that_answers_has_proven_itself() -> None:
    schedule = scheduled(5, lanes=0)
    for _ in range(MAX_FAILED_STARTS):
        schedule.start_failed()
    seen = [schedule.may_start_lanes]
    schedule.forgive()
    seen.append(schedule.may_start_lanes)
    assert seen == [False, True]
    for _ in range(MAX_FAILED_STARTS - 1):
        schedule.start_failed()
    schedule.validate()
    seen.append(schedule.may_start_lanes)
    assert seen == [False, True, True]
    schedule.add_lane(0, proven=False)
    send(schedule, 0)
    schedule.skipped(0, 1)
    assert schedule.lanes[0].proven
    schedule.start_failed()
    assert schedule.may_start_lanes


@pytest.mark.parametrize(
    ("begun", "loading", "receiving", "is_failed"),
    [(0, 0, 0, True), (1, 0, 0, False), (0, 4, 0, False), (0, 0, 4, False)],
)
def test_a_death_at_work_is_no_failed_start(
    begun: int, loading: int, receiving: int, is_failed: bool
) -> None:
    schedule = scheduled(10, lanes=0)
    for _ in range(MAX_FAILED_STARTS - 1):
        schedule.start_failed()
    schedule.add_lane(0, proven=False)
    send(schedule, 0)
    schedule.lane_died(0, begun, loading, receiving)
    assert schedule.may_start_lanes is not is_failed
    assert schedule.queued == 10 - (begun > 0)
    schedule.validate()


def test_a_lane_with_more_than_others_gives_half_of_what_waits() -> None:
    schedule = scheduled(15, lanes=3)
    for lane, count in enumerate((3, 6, 6)):
        schedule.dispatched(lane, list(schedule.submit(count)), 10)
    assert schedule.revocable(patient=False) == (1, 3)
    schedule.revoked(1, (4, 5, 6))
    assert len(schedule.lanes[1].tasks) == 3
    assert not schedule.lanes[1].dry
    assert schedule.revocable(patient=False) == (2, 3)


def test_a_lane_with_two_tasks_gives_one() -> None:
    schedule = scheduled(0, lanes=1)
    schedule.dispatched(0, list(schedule.submit(2)), 10)
    assert schedule.revocable(patient=False) == (0, 1)


def test_less_than_a_millisecond_of_work_is_not_revoked_while_patient() -> None:
    schedule = scheduled(4, lanes=1)
    send(schedule, 0)
    schedule.sizing.measured([500_000])
    assert schedule.revocable(patient=True) == (0, 2)  # three of half a millisecond
    schedule.sizing.mean_seconds = 0.0003
    assert schedule.revocable(patient=True) is None
    schedule.sizing.mean_seconds = 0.001 / 3
    assert schedule.revocable(patient=True) == (0, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda schedule: schedule._queue.append(0), "a task is in two places"),
        (lambda schedule: schedule.lanes[0].tasks.__setitem__(0, 8), "a task was not submitted"),
        (lambda schedule: schedule.lanes[0].tasks.__setitem__(0, -1), "a task was not submitted"),
        (lambda schedule: setattr(schedule, "queued", 5), "5 queued tasks, but not by count"),
        (lambda schedule: setattr(schedule, "_failed_starts", 3), "failed starts are not counted"),
        (lambda schedule: setattr(schedule.lanes[0], "dispatched", 3), "4 is held, and was not"),
    ],
)
def test_a_contradiction_in_a_schedule_is_found(change: Any, message: str) -> None:
    schedule = scheduled(8, lanes=1)
    send(schedule, 0)
    schedule.validate()
    change(schedule)
    with pytest.raises(AssertionError, match=f"^{message}"):
        schedule.validate()


def test_a_lane_that_has_tasks_says_so_when_it_is_removed() -> None:
    schedule = scheduled(4, lanes=1)
    send(schedule, 0)
    with pytest.raises(IllegalTransition, match=r"^a lane cannot leave with tasks$"):
        schedule.remove_lane(0)
