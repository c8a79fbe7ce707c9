"""The core: what goes to which lane, who is blamed for a death, what may be released.

Two rules:

* Everything that is decided about the order and the fate of tasks is decided here.
* Nothing here knows what a task, an outcome or a lane is. Tasks are numbers,
  counted from 0 in the order they were submitted; outcomes and lanes are the
  caller's objects. No process, pipe, clock or thread is imported.

Theory of operation. The caller submits tasks, adds lanes, asks `next_batch`
what to send to a lane, and tells `dispatched` what it has sent. A lane numbers
what it is sent, from 1 on; these serial numbers are what lanes and the caller
talk about. A lane works through them in ascending order. So an answer for one
number says that the lane is done with all lower ones as well.

What a lane has not started can be recalled, and given to a lane that is idle:
no task waits behind a long one for long.

When a lane dies, the caller says what the lane had noted last:

    noted                        then
    -------------------------    -----------------------------------------
    it began a task that has     that task is blamed
    not been answered for        (and any before it whose answer was lost)
    it was loading a batch       a batch of one task: that is blamed;
                                 of several: each is sent again, alone
    a part of a batch had come   each of its tasks is sent again, alone; one
                                 of which a second lane dies so is blamed
    neither                      nobody is blamed

and what is not blamed goes back to the queue. It had not started, and a task
that was blamed or finished is never sent again: so each starts at most once.

Every task is settled once, with an outcome, by the caller; outcomes are
released in the order of the tasks, each as soon as all before it are settled.

How many tasks make a batch is asked of `sizing`. A lane with a batch at work
is given a second one, to find in its pipe when it is done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import ceil
from typing import Generic, TypeVar

from attrs import define, field

from enact_pool._core.backlog import Backlog
from enact_pool._core.batch_sizing import BATCH_TASKS, Sizing
from enact_pool._core.leasing import IllegalTransition

__all__ = ["MAX_FAILED_STARTS", "MAX_HELD", "Schedule"]

LaneT = TypeVar("LaneT")
OutcomeT = TypeVar("OutcomeT")

MAX_FAILED_STARTS = 3
# How many outcomes may wait for their turn before no more tasks are wanted.
MAX_HELD = 10_000

# Sending less work than this to another lane takes longer than it saves.
_WORTHWHILE_SECONDS = 0.001


@define
class _Lane:
    # Whether its worker has shown that it can do work.
    proven: bool
    # The last serial numbers that were dispatched, and that were answered for.
    dispatched: int
    answered: int
    tasks: Backlog = field(factory=Backlog)
    # The first and last serial numbers of its batches that are not done with.
    batches: deque[tuple[int, int]] = field(factory=deque)
    # Whether its last recall gave nothing, and nothing has been answered since.
    dry: bool = False


@define
class Schedule(Generic[LaneT, OutcomeT]):
    """The state of some tasks, their lanes and their outcomes."""

    # Whether outcomes are released in the order of the tasks, or as they come.
    _ordered: bool = True
    # How long such tasks took in an earlier run, in seconds on average; None: not known.
    _expected_seconds: float | None = None
    _queue: deque[int] = field(factory=deque, init=False)
    # Tasks whose batch could not be loaded, or killed its lane then: to be sent alone.
    _suspects: deque[int] = field(factory=deque, init=False)
    # Of these, those that were alone in a batch that a lane died of while it came.
    _received_once: set[int] = field(factory=set, init=False)
    _lanes: dict[LaneT, _Lane] = field(factory=dict, init=False)
    _settled: dict[int, OutcomeT] = field(factory=dict, init=False)
    _submitted: int = field(default=0, init=False)
    _released: int = field(default=0, init=False)
    _sizing: Sizing = field(init=False)
    _failed_starts: int = field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self._sizing = Sizing(self._expected_seconds)

    # Tasks

    def submit(self, count: int) -> range:
        """Take `count` new tasks, last in the queue."""
        tasks = range(self._submitted, self._submitted + count)
        self._submitted += count
        self._queue.extend(tasks)
        return tasks

    def wanted(self, lanes: int) -> int:
        """How many more tasks so many lanes could do with, for batches of the size they may have.

        For those who submit tasks as they are needed. None while very many
        outcomes wait for that of an earlier task.
        """
        if self._ordered and len(self._settled) >= MAX_HELD:
            return 0
        return max(0, 2 * lanes * self._sizing.largest() - self.queued)

    @property
    def queued(self) -> int:
        """How many tasks wait for a lane."""
        return len(self._queue) + len(self._suspects)

    @property
    def done(self) -> bool:
        """Whether every task has been released."""
        return self._released == self._submitted

    @property
    def unsettled(self) -> int:
        """How many tasks have no outcome yet."""
        return self._submitted - self._released - len(self._settled)

    # Lanes

    def add_lane(self, lane: LaneT, *, proven: bool, serial: int = 0) -> None:
        """A lane has come that can be given batches.

        `proven` if it has worked before; `serial` is the last number it was sent then.
        """
        self._lanes[lane] = _Lane(proven, serial, serial)

    def remove_lane(self, lane: LaneT) -> None:
        """An idle lane leaves."""
        if self._lanes[lane].tasks:
            raise IllegalTransition("a lane cannot leave with tasks")
        del self._lanes[lane]

    def is_idle(self, lane: LaneT) -> bool:
        """Whether the lane has nothing to do."""
        return not self._lanes[lane].tasks

    def is_quiescent(self, lane: LaneT, sent: int) -> bool:
        """Whether the lane has nothing to do, and was sent nothing that was not noted here.

        `sent` is the last serial number that it was sent.
        """
        state = self._lanes[lane]
        return not state.tasks and state.dispatched == sent

    def task_at(self, lane: LaneT, serial: int) -> int | None:
        """The task that has this number there, and was not answered for yet."""
        return self._lanes[lane].tasks.find(serial)

    def held(self, lane: LaneT) -> int:
        """How many tasks the lane was sent and has not answered for."""
        return len(self._lanes[lane].tasks)

    def answered(self, lane: LaneT) -> int:
        """The serial number up to which the lane is done, as far as it has said."""
        return self._lanes[lane].answered

    def forgive(self) -> None:
        """Starting workers is worth trying again."""
        self._failed_starts = 0

    def start_failed(self) -> None:
        """A worker could not be started, or died before it could take a batch."""
        self._failed_starts += 1

    @property
    def may_start_lanes(self) -> bool:
        """Whether starting another worker is worth trying.

        A lane that dies idle before it has done anything counts as a failed
        start too, or one that always does would be replaced for ever.
        """
        return self._failed_starts < MAX_FAILED_STARTS

    def abandon_queue(self) -> list[int]:
        """There will be no lane: take the tasks that wait, to settle them."""
        abandoned = sorted([*self._suspects, *self._queue])
        self._suspects.clear()
        self._queue.clear()
        return abandoned

    # Batches

    def next_batch(self, lane: LaneT, limit: int = BATCH_TASKS) -> list[int]:
        """Take the tasks to send to this lane now, at most `limit`; none if it has enough.

        The caller sends them and says so with `dispatched`, or settles them.
        """
        state = self._lanes[lane]
        if limit < 1:
            return []
        if state.tasks and (
            len(state.batches) > 1
            or self.queued <= len(self._lanes)
            or not self._sizing.wants_next_batch_waiting()
        ):
            return []
        if self._suspects:
            return [self._suspects.popleft()]
        if len(self._queue) < 2:
            return [self._queue.popleft()] if self._queue else []
        if self._sizing.is_measured:
            left = len(self._queue) + sum(len(other.tasks) for other in self._lanes.values())
            size = self._sizing.batch(left, len(state.tasks), len(self._lanes))
        else:
            idle = sum(not state.tasks for state in self._lanes.values())
            size = self._sizing.first_batch(len(self._queue), idle)
        return [self._queue.popleft() for _ in range(min(size, limit, len(self._queue)))]

    def put_back(self, tasks: list[int]) -> None:
        """Send these later: there was no room for them."""
        self._requeue(tasks)

    def send_alone(self, tasks: list[int]) -> None:
        """Send these one by one: they cannot be pickled together."""
        self._suspects.extendleft(reversed(tasks))

    def dispatched(self, lane: LaneT, tasks: list[int], size: int) -> None:
        """These tasks were sent to the lane, as one batch of `size` bytes."""
        state = self._lanes[lane]
        first = state.dispatched + 1
        state.dispatched += len(tasks)
        state.tasks.add(first, tasks)
        state.batches.append((first, state.dispatched))
        self._sizing.pickled(len(tasks), size)

    @property
    def has_backlog(self) -> bool:
        """Whether a lane has more tasks than the one that it works on."""
        return any(len(state.tasks) > 1 for state in self._lanes.values())

    @property
    def may_nap(self) -> bool:
        """Whether all lanes have more tasks than the one that they work on."""
        return all(len(state.tasks) > 1 for state in self._lanes.values())

    def quiet_seconds(self, room: int) -> float:
        """For how long all lanes have work, and room for their answers, as far as is known.

        What each works on does not count: it may end at any moment. Of the others
        half: they may be done, and their answers on the way. `room` is how many
        bytes of answers a lane may have left with us.
        """
        fewest = min((len(state.tasks) for state in self._lanes.values()), default=0)
        return self._sizing.quiet_seconds(max(0, fewest - 1) // 2, room)

    @property
    def measured_seconds(self) -> float | None:
        """How long tasks take on average, as far as they have run; None if none has."""
        return self._sizing.mean_seconds if self._sizing.is_measured else None

    def expects_answer_within(self, seconds: float) -> bool:
        """Whether tasks are so quick that a lane may well answer in this time, or not known."""
        return self._sizing.mean_seconds <= seconds

    # What lanes say

    def finished(self, lane: LaneT, serials: range, ran_ns: list[int], size: int) -> list[int]:
        """The lane has run the tasks with these numbers, each for so long; gives them.

        Their answers were `size` bytes in all. The tasks end where there is none
        with such a number: then it is not our worker that answers.
        """
        state = self._lanes[lane]
        if serials.stop > state.dispatched + 1:
            return []
        tasks = state.tasks.take(serials)
        if not tasks:
            # There may be some before them that it has not run.
            self._answered(state, serials.start - 1)
            tasks = state.tasks.take(serials)
        if tasks:
            self._answered(state, serials[len(tasks) - 1])
            self._sizing.measured(ran_ns[: len(tasks)], size)
        return tasks

    def skipped(self, lane: LaneT, serial: int) -> None:
        """The lane has found no permit for what it was sent, up to this number."""
        self._answered(self._lanes[lane], serial)

    def unloadable(self, lane: LaneT, serial: int) -> int | None:
        """The lane cannot unpickle its batch up to this number; gives who is to blame, if known."""
        state = self._lanes[lane]
        blamed = self._blame_for_loading(state, serial)
        self._answered(state, serial)
        return blamed

    def _answered(self, state: _Lane, serial: int) -> None:
        """The lane is done with all numbers up to this one."""
        state.dry = False
        if not state.proven:
            self._prove(state)
        while state.batches and state.batches[0][1] <= serial:
            state.batches.popleft()
        # What is left of them was neither run nor recalled: somebody has taken
        # its permit out of the pipe. It has not started, so it can be sent again.
        self._requeue(state.tasks.take_until(serial))
        state.answered = max(serial, state.answered)

    def _blame_for_loading(self, state: _Lane, last: int) -> int | None:
        """Take the batch that could not be loaded: a single task is blamed, others suspected."""
        first = next((first for first, end in state.batches if end == last), last)
        tasks = state.tasks.take_out(range(first, last + 1))
        if first == last and tasks:
            return tasks[0]
        self._suspects.extendleft(reversed(tasks))
        return None

    def lane_died(
        self,
        lane: LaneT,
        begun: int,
        loading: int = 0,
        receiving: int = 0,
        *,
        expired: bool = False,
    ) -> list[int]:
        """The lane is gone; gives the tasks that are to blame: none or one, as a rule.

        `begun` is the number of the task that it noted to have begun last,
        `loading` the last number of the batch it was unpickling, `receiving`
        that of the batch of which it had a part; 0 for none.
        More than one is given if answers were lost on the way: those tasks have
        run, or may have, so none of them may be sent again.

        `expired` says that it has ended because it was given nothing to do for so
        long: that is no failed start.
        """
        state = self._lanes.pop(lane)
        if begun > state.dispatched and state.tasks:
            # The worker has overwritten its notes. Something in it ran then,
            # and as far as we know that can only have been its first.
            begun = state.tasks.first
        blamed = state.tasks.take_until(begun)
        if not blamed and loading > state.answered:
            suspect = self._blame_for_loading(state, loading)
            blamed = [] if suspect is None else [suspect]
        elif not blamed and receiving > state.answered:
            blamed = self._blame_for_receiving(state, receiving)
        if blamed or max(loading, receiving) > state.answered:
            self._prove(state)
        elif not state.proven and not expired:
            self._failed_starts += 1
        self._requeue(state.tasks.take_until(state.dispatched))
        return blamed

    def _blame_for_receiving(self, state: _Lane, last: int) -> list[int]:
        """Take the batch that a lane has died of while it came, and may have been too large.

        Its tasks are sent again, alone: that may have been chance. Who is met
        a second time is blamed.
        """
        suspect = self._blame_for_loading(state, last)
        if suspect is None:
            return []
        if suspect in self._received_once:
            return [suspect]
        self._received_once.add(suspect)
        self._suspects.appendleft(suspect)
        return []

    def _prove(self, state: _Lane) -> None:
        state.proven = True
        self._failed_starts = 0

    def _requeue(self, tasks: list[int]) -> None:
        # First in the queue: their outcomes hold up those of all later tasks.
        self._queue.extendleft(reversed(tasks))

    # Recalls

    def revocable(self, *, patient: bool) -> tuple[LaneT, int] | None:
        """A lane to recall tasks from, and how many, so that an idle one has work.

        While `patient`, only if it has so much work that waiting makes no sense.
        """
        best, most = None, 1  # the one that runs cannot be recalled
        for lane, state in self._lanes.items():
            if len(state.tasks) > most and not state.dry:
                best, most = lane, len(state.tasks)
        waiting = most - 1
        if best is None or (patient and waiting * self._sizing.mean_seconds < _WORTHWHILE_SECONDS):
            return None
        return best, ceil(waiting / 2)

    def holder(self, task: int) -> tuple[LaneT, int] | None:
        """The lane that was sent this task and has not answered for it, and its number there."""
        for lane, state in self._lanes.items():
            serial = state.tasks.serial_of(task)
            if serial is not None:
                return lane, serial
        return None

    def withdraw(self, task: int) -> bool:
        """Let go of a task that waits for a lane, with no outcome; gives whether it does.

        For those whose outcomes are not released in order.
        """
        if self._ordered:
            raise IllegalTransition("later tasks would wait for one that was withdrawn")
        for waiting in (self._queue, self._suspects):
            if task in waiting:
                waiting.remove(task)
                self._released += 1
                return True
        return False

    def revoked(self, lane: LaneT, serials: tuple[int, ...]) -> None:
        """The lane will not start the tasks with these numbers; none: it has none to give."""
        state = self._lanes[lane]
        state.dry = not serials
        self._requeue(state.tasks.take_out(set(serials)))

    # Outcomes

    def settle(self, tasks: Sequence[int], outcomes: Sequence[OutcomeT]) -> None:
        """Note what these tasks have ended as."""
        before = len(self._settled)
        self._settled.update(zip(tasks, outcomes, strict=True))
        if len(self._settled) != before + len(tasks) or (
            self._ordered and min(tasks) < self._released
        ):
            raise IllegalTransition(f"one of the tasks {tasks} was settled before")

    def release(self) -> tuple[Sequence[int], list[OutcomeT]]:
        """The tasks whose turn has come since the last call, and their outcomes."""
        if not self._ordered:
            settled, self._settled = self._settled, {}
            self._released += len(settled)
            return list(settled), list(settled.values())
        settled, task = self._settled, self._released
        # All at once as far as they are there: most of this runs in C.
        while task in settled:
            task += 1
        tasks = range(self._released, task)
        self._released = task
        return tasks, list(map(settled.pop, tasks))
