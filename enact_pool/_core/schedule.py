"""The schedule: what goes to which lane, and which task is blamed for a death.

Two rules:

* Everything that is decided about the order and the fate of tasks is decided in this package.
* Nothing in it knows what a task, an outcome or a lane is. Tasks are numbers, counted from 0 in
  the order in which they were submitted; outcomes and lanes are the caller's objects. No
  process, pipe, clock or thread is imported.

Theory of operation. The caller submits tasks, adds lanes, asks `next_batch` what to send to a
lane, and reports with `dispatched` what it has sent. A lane numbers what it is sent, from 1 on;
lanes and the caller use these serial numbers. A lane works through them in ascending order. So
an answer for one number says that the lane is done with all lower ones as well.

Tasks that a lane has not started can be revoked, and sent to an idle lane: no task waits long
behind a slow one.

When a lane dies, `blame` decides which task is to blame; the others go back to the queue.

A task is in one of these states; the methods below change it:

    state       it is                                         next
    ---------   -------------------------------------------   -----------------------------------
    queued      in the queue                                  taken, withdrawn
    suspect     to be sent alone: its batch could not be      taken, withdrawn
                loaded, or killed its lane
    taken       with the caller: to be sent, or settled       sent, queued, suspect, settled
    sent        with a lane                                   queued, suspect, taken (then settled)
    settled     settled with an outcome (see `release_order`)

How many tasks make a batch is asked of `batch_sizing`. A lane is sent a batch when it is done with
the one before.
"""

from __future__ import annotations

from collections import deque
from math import ceil
from typing import Generic, Literal, TypeVar

from enact_pool._core.batch_sizing import BATCH_TASKS, Sizing
from enact_pool._core.blame import Suspects
from enact_pool._core.lane_record import LaneRecord
from enact_pool._core.states import IllegalTransition

__all__ = ["MAX_FAILED_STARTS", "Schedule"]

LaneT = TypeVar("LaneT")

MAX_FAILED_STARTS = 3

# Sending less work than this to another lane takes longer than it saves.
_WORTHWHILE_SECONDS = 0.001


class Schedule(Generic[LaneT]):
    """The state of the tasks of a run that have no outcome, and of its lanes.

    Attributes:
        queued: How many tasks wait for a lane.
        lanes: The lanes that can be sent batches, with what they were sent. For reading.
        sizing: What is known of the durations of tasks.
        may_start_lanes: Whether starting another worker is worth trying. A lane that dies idle
            before it has done anything counts as a failed start too, or one that always does
            would be replaced forever.
    """

    __slots__ = (
        "_failed_starts",
        "_queue",
        "_submitted",
        "_suspects",
        "lanes",
        "may_start_lanes",
        "queued",
        "sizing",
    )

    def __init__(self, expected_seconds: float | None = None) -> None:
        """`expected_seconds` is how long such tasks took in an earlier run, on average."""
        self.queued = 0
        self.lanes: dict[LaneT, LaneRecord] = {}
        self.sizing = Sizing(expected_seconds)
        self.may_start_lanes = True
        self._submitted = 0
        self._queue: deque[int] = deque()
        # None until there is one.
        self._suspects: Suspects | None = None
        self._failed_starts = 0

    # Tasks

    def submit(self, count: int) -> range:
        """Queue `count` new tasks, last."""
        tasks = range(self._submitted, self._submitted + count)
        self._submitted += count
        self._queue.extend(tasks)
        self.queued += count
        return tasks

    def wanted(self, lanes: int) -> int:
        """Return how many more tasks so many lanes can use, for batches of the size they may have.

        For sources whose tasks are taken as they are needed.
        """
        return max(0, 2 * lanes * self.sizing.largest() - self.queued)

    def abandon_queue(self) -> list[int]:
        """Take the tasks that wait, to settle them: there will be no lane for them."""
        abandoned = sorted([*self._suspected(), *self._queue])
        self._suspected().clear()
        self._queue.clear()
        self.queued = 0
        return abandoned

    def withdraw(self, task: int) -> bool:
        """Take a task that waits, for which there will be no outcome; return whether it waits."""
        for waiting in (self._queue, self._suspected()):
            if task in waiting:
                waiting.remove(task)
                self.queued -= 1
                return True
        return False

    def _requeue(self, tasks: list[int]) -> None:
        # First in the queue: their outcomes hold up those of all later tasks.
        self._queue.extendleft(reversed(tasks))
        self.queued += len(tasks)

    def _blame(self) -> Suspects:
        if self._suspects is None:
            self._suspects = Suspects()
        return self._suspects

    def _suspected(self) -> deque[int]:
        return deque() if self._suspects is None else self._suspects.tasks

    def _count(self) -> None:
        self.queued = len(self._queue) + len(self._suspected())

    # Lanes

    def add_lane(self, lane: LaneT, *, proven: bool, serial: int = 0) -> None:
        """Add a lane that can be sent batches.

        Args:
            lane: The lane.
            proven: Whether it has worked before.
            serial: The last serial number that it was sent then.
        """
        self.lanes[lane] = LaneRecord(proven, serial, serial)

    def remove_lane(self, lane: LaneT) -> None:
        """Remove an idle lane."""
        if self.lanes[lane].tasks:
            raise IllegalTransition("a lane cannot leave with tasks")
        del self.lanes[lane]

    def start_failed(self) -> None:
        """Note that a worker could not be started, or died before it could take a batch."""
        self._failed_starts += 1
        self.may_start_lanes = self._failed_starts < MAX_FAILED_STARTS

    def forgive(self) -> None:
        """Allow starting workers again."""
        self._failed_starts = 0
        self.may_start_lanes = True

    def _prove(self, record: LaneRecord) -> None:
        record.proven = True
        self.forgive()

    def holder(self, task: int) -> tuple[LaneT, int] | None:
        """Return the lane that was sent a task, and its serial number there; None if none was."""
        for lane, record in self.lanes.items():
            serial = record.serial_of(task)
            if serial is not None:
                return lane, serial
        return None

    # Batches

    def next_batch(self, lane: LaneT, limit: int = BATCH_TASKS, starting: int = 0) -> list[int]:
        """Take the tasks to send to this lane now, at most `limit`; none if it has some.

        The caller sends them and calls `dispatched`, or settles them. `starting` is the number
        of lanes that will soon be there.
        """
        record, queue = self.lanes[lane], self._queue
        if limit < 1 or record.tasks or not self.queued:
            return []
        if self._suspects is not None and self._suspects.tasks:
            self.queued -= 1
            return [self._suspects.tasks.popleft()]
        if len(queue) == 1:
            self.queued -= 1
            return [queue.popleft()]
        held = [len(other.tasks) for other in self.lanes.values()]
        idle = held.count(0)
        if self.sizing.measured_tasks:
            size = self.sizing.batch(len(queue) + sum(held), len(held))
        else:
            size = self.sizing.first_batch(len(queue), idle)
        size = min(size, limit)
        # Few are dealt in turn to idle lanes: if tasks are slow, they start in their order.
        stride = min(idle + starting, ceil(len(queue) / size))
        if size * stride > BATCH_TASKS:
            stride = 1
        dealt = [queue.popleft() for _ in range(min(size * stride, len(queue)))]
        queue.extendleft(reversed([task for at, task in enumerate(dealt) if at % stride]))
        tasks = dealt[::stride]
        self.queued -= len(tasks)
        return tasks

    def put_back(self, tasks: list[int]) -> None:
        """Queue taken tasks again: there was no room for them."""
        self._requeue(tasks)

    def send_alone(self, tasks: list[int]) -> None:
        """Send these one by one: they cannot be pickled together."""
        self._blame().add(tasks)
        self.queued += len(tasks)

    def dispatched(self, lane: LaneT, tasks: list[int], size: int) -> None:
        """Note that these tasks were sent to the lane, as one batch of `size` bytes."""
        record = self.lanes[lane]
        first = record.dispatched + 1
        record.dispatched += len(tasks)
        record.serials.extend(range(first, record.dispatched + 1))
        record.tasks.extend(tasks)
        record.batches.append((first, record.dispatched))
        self.sizing.pickled(len(tasks), size)

    # What lanes report

    def finished(self, lane: LaneT, serials: range, ran_ns: list[int]) -> list[int]:
        """Take the tasks with these numbers: the lane has run them, each for so long.

        Args:
            lane: The lane.
            serials: Their serial numbers.
            ran_ns: How many nanoseconds each took.

        Returns:
            The tasks. They end where there is none with such a number: then it is not our
            worker that answers.
        """
        record = self.lanes[lane]
        if serials.stop > record.dispatched + 1:
            return []
        tasks = record.take(serials)
        if not tasks:
            # There may be some before them that it has not run.
            self._answered(record, serials.start - 1)
            tasks = record.take(serials)
        if tasks:
            if not record.proven:
                self._prove(record)
            self.sizing.measured(ran_ns[: len(tasks)])
        return tasks

    def skipped(self, lane: LaneT, serial: int) -> None:
        """Note that the lane has found no permit for what it was sent, up to this number."""
        self._answered(self.lanes[lane], serial)

    def unloadable(self, lane: LaneT, serial: int) -> int | None:
        """Take the batch up to this number, which the lane cannot unpickle.

        Returns:
            The task that is to blame, if that is known.
        """
        record = self.lanes[lane]
        blamed = self._blame().blame_for_loading(record, serial)
        self._answered(record, serial)
        self._count()
        return blamed

    def _answered(self, record: LaneRecord, serial: int) -> None:
        if not record.proven:
            self._prove(record)
        left = record.answer(serial)
        if left:
            self._requeue(left)

    def lane_died(
        self,
        lane: LaneT,
        begun: int,
        loading: int = 0,
        receiving: int = 0,
        *,
        expired: bool = False,
    ) -> list[int]:
        """Remove a lane that died, and take the tasks that are to blame: none or one, as a rule.

        Args:
            lane: The lane.
            begun: The serial number of the task that it noted to have begun last; 0 for none.
            loading: The last number of the batch that it was unpickling; 0 for none.
            receiving: That of the batch of which it had a part; 0 for none.
            expired: Whether it exited because it was sent nothing for so long: that is not a
                failed start.

        Returns:
            The tasks. More than one if answers were lost on the way: those tasks have run, or
            may have, so none of them may be sent again.
        """
        record = self.lanes.pop(lane)
        blamed = self._blame().blame_for_death(record, begun, loading, receiving)
        self._count()
        if blamed or max(loading, receiving) > record.answered:
            self._prove(record)
        elif not record.proven and not expired:
            self.start_failed()
        self._requeue(record.take_until(record.dispatched))
        return blamed

    # Revocations

    def revocable(self, *, patient: bool) -> tuple[LaneT, int] | None:
        """Return a lane to revoke tasks from, and how many, so that an idle one has work.

        While `patient`, only if it has so much work that waiting makes no sense.
        """
        best, most = None, 1  # the task that runs cannot be revoked
        for lane, record in self.lanes.items():
            if len(record.tasks) > most and not record.dry:
                best, most = lane, len(record.tasks)
        waiting = most - 1
        if best is None or (patient and waiting * self.sizing.mean_seconds < _WORTHWHILE_SECONDS):
            return None
        return best, ceil(waiting / 2)

    def revoked(self, lane: LaneT, serials: tuple[int, ...]) -> None:
        """Queue again what the lane will not start; no numbers: it has nothing that could be."""
        record = self.lanes[lane]
        record.dry = not serials
        self._requeue(record.take_out(set(serials)))

    # For tests and inspection

    def state_of(self, task: int) -> Literal["queued", "suspect", "sent", "elsewhere"]:
        """Return the state of a task; "elsewhere" if the caller has it, or has settled it."""
        if task in self._queue:
            return "queued"
        if task in self._suspected():
            return "suspect"
        return "elsewhere" if self.holder(task) is None else "sent"

    def validate(self) -> None:
        """Raise `AssertionError` if the schedule contradicts itself; for tests."""
        held = [task for record in self.lanes.values() for task in record.tasks]
        everywhere = [*self._queue, *self._suspected(), *held]
        if len(set(everywhere)) != len(everywhere):
            raise AssertionError("a task is in two places")
        if any(not 0 <= task < self._submitted for task in everywhere):
            raise AssertionError("a task was not submitted")
        if self.queued != len(self._queue) + len(self._suspected()):
            raise AssertionError(f"{self.queued} queued tasks, but not by count")
        if self.may_start_lanes != (self._failed_starts < MAX_FAILED_STARTS):
            raise AssertionError("failed starts are not counted")
        for record in self.lanes.values():
            record.validate()
