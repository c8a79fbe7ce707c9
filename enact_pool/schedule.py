"""The core: what goes to which lane, who is blamed for a death, what may be released.

Two rules:

* Everything that is decided about the order and the fate of tasks is decided here.
* Nothing here knows what a task, an outcome or a lane is. Tasks are numbers,
  counted from 0 in the order they were submitted; outcomes and lanes are the
  caller's objects. No process, pipe, clock or thread is imported.

Theory of operation. The caller submits tasks, adds lanes, asks `next_batch`
what to send to a lane, and tells `dispatched` what it has sent. A lane works
through its batches in the order they were sent, and through each in its own
order; so the caller need only say *that* a lane finished something, and the
schedule knows what. When a lane dies, the caller says what it was doing:

    doing      the lane's first batch                  the lane's other tasks
    -------    ------------------------------------    ----------------------
    running    its first unfinished task is blamed     go back to the queue
    loading    one task: that is blamed                go back to the queue
               several: each is sent again, alone
    nothing    goes back to the queue                  go back to the queue

A task that has been blamed or finished is never sent again, and what goes back
to the queue had not started: so each task starts at most once.

Every task is settled once, with an outcome, by the caller; outcomes are
released in the order of the tasks, each as soon as all before it are settled.

Batches adapt. What a batch costs in messages is the same for one task as for
a thousand, so quick tasks travel together: as many as should take
`BATCH_SECONDS`, but never more than have been measured, than a fair share of
what is left, or than `BATCH_BYTES` of pickles. A lane with a batch at work is
given a second one to find in its pipe when it is done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, Literal, TypeVar

from attrs import define, field

__all__ = ["BATCH_BYTES", "BATCH_SECONDS", "MAX_FAILED_STARTS", "Doing", "Schedule"]

# What a lane was doing when it died; "loading" is unpickling a batch.
Doing = Literal["nothing", "loading", "running"]

LaneT = TypeVar("LaneT")
OutcomeT = TypeVar("OutcomeT")

# A batch of this length makes the 100 microseconds of a round trip cost 5 %,
# and those are spent while the lane works on the batch before.
BATCH_SECONDS = 0.002
# A batch is pickled in one go, while no lane can be served.
BATCH_BYTES = 1 << 20
# Above this mean duration, the second batch in a lane's pipe saves less than
# one percent and may wait behind a task that takes long.
_AHEAD_SECONDS = 0.02
# What a task costs a lane beside its own run: unpickling, pickling, a frame.
_OVERHEAD_SECONDS = 5e-6
# The weight of the newest duration in the running mean.
_NEWEST = 0.05

MAX_FAILED_STARTS = 3


@define
class _Lane:
    # Of each batch, what has not finished; the first is the one at work.
    batches: deque[deque[int]] = field(factory=deque)
    # Whether its worker has shown that it can do work.
    proven: bool = False


@define
class Schedule(Generic[LaneT, OutcomeT]):
    """The state of some tasks, their lanes and their outcomes."""

    _queue: deque[int] = field(factory=deque, init=False)
    # Tasks whose batch killed a lane while it was unpickled: to be sent alone.
    _suspects: deque[int] = field(factory=deque, init=False)
    _lanes: dict[LaneT, _Lane] = field(factory=dict, init=False)
    _settled: dict[int, OutcomeT] = field(factory=dict, init=False)
    _submitted: int = field(default=0, init=False)
    _released: int = field(default=0, init=False)
    _finished: int = field(default=0, init=False)
    _mean_seconds: float = field(default=0.0, init=False)
    _single_bytes: int = field(default=0, init=False)
    _extra_bytes: float = field(default=0.0, init=False)
    _failed_starts: int = field(default=0, init=False)

    # Tasks

    def submit(self, count: int) -> range:
        """Take `count` new tasks, last in the queue."""
        tasks = range(self._submitted, self._submitted + count)
        self._submitted += count
        self._queue.extend(tasks)
        return tasks

    @property
    def queued(self) -> int:
        """How many tasks wait for a lane."""
        return len(self._queue) + len(self._suspects)

    @property
    def done(self) -> bool:
        """Whether every task has been released."""
        return self._released == self._submitted

    # Lanes

    def add_lane(self, lane: LaneT, proven: bool) -> None:
        """A lane has come that can be given batches; `proven` if it has worked before."""
        self._lanes[lane] = _Lane(proven=proven)

    def remove_lane(self, lane: LaneT) -> None:
        """An idle lane leaves."""
        assert not self._lanes[lane].batches, "a lane cannot leave with work"
        del self._lanes[lane]

    def is_idle(self, lane: LaneT) -> bool:
        """Whether the lane has nothing to do."""
        return not self._lanes[lane].batches

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

    def next_batch(self, lane: LaneT) -> list[int]:
        """Take the tasks to send to this lane now; none if it has enough.

        The caller sends them and says so with `dispatched`, or settles them.
        """
        ahead = len(self._lanes[lane].batches)
        if ahead and (
            ahead > 1
            or not self._finished
            or self._mean_seconds > _AHEAD_SECONDS
            or self.queued <= len(self._lanes)
        ):
            return []
        if self._suspects:
            return [self._suspects.popleft()]
        size = min(self._batch_size(), len(self._queue))
        return [self._queue.popleft() for _ in range(size)]

    def _batch_size(self) -> int:
        if not self._finished:
            return 1
        by_time = BATCH_SECONDS / (self._mean_seconds + _OVERHEAD_SECONDS)
        by_share = len(self._queue) / (2 * len(self._lanes))
        by_bytes = (BATCH_BYTES - self._single_bytes) / (self._extra_bytes or 1)
        return max(1, int(min(by_time, by_share, by_bytes, self._finished)))

    def dispatched(self, lane: LaneT, tasks: list[int], size: int) -> None:
        """These tasks were sent to the lane, as one batch of `size` bytes."""
        self._lanes[lane].batches.append(deque(tasks))
        # What the tasks share is in every pickle once, however many they are:
        # only what each adds to it limits how many may travel together.
        if len(tasks) == 1:
            self._single_bytes = size
        else:
            self._extra_bytes = max(0, size - self._single_bytes) / (len(tasks) - 1)

    # What lanes do

    def finished(self, lane: LaneT, seconds: float) -> int:
        """The lane finished the task it ran, which took `seconds`; gives the task."""
        state = self._lanes[lane]
        if not state.proven:
            self._prove(state)
        batch = state.batches[0]
        task = batch.popleft()
        if not batch:
            state.batches.popleft()
        if self._finished:
            self._mean_seconds += _NEWEST * (seconds - self._mean_seconds)
        else:
            self._mean_seconds = seconds
        self._finished += 1
        return task

    def returned(self, lane: LaneT) -> None:
        """The lane gives back what it had not started of the batch at work."""
        self._requeue(self._lanes[lane].batches.popleft())

    def unloadable(self, lane: LaneT) -> int | None:
        """The lane could not unpickle a batch; gives the task that is to blame, if known."""
        state = self._lanes[lane]
        self._prove(state)
        return self._blame_for_loading(state.batches.popleft())

    def lane_died(self, lane: LaneT, doing: Doing) -> int | None:
        """The lane is gone; gives the task that is to blame, if any."""
        state = self._lanes.pop(lane)
        batches = list(state.batches)
        blamed = None
        if batches and doing == "running":
            blamed = batches[0].popleft()
            self._prove(state)
        elif batches and doing == "loading":
            blamed = self._blame_for_loading(batches.pop(0))
            self._prove(state)
        elif not state.proven:
            self._failed_starts += 1
        for batch in reversed(batches):
            self._requeue(batch)
        return blamed

    def _prove(self, lane: _Lane) -> None:
        lane.proven = True
        self._failed_starts = 0

    def _blame_for_loading(self, batch: deque[int]) -> int | None:
        if len(batch) == 1:
            return batch[0]
        self._suspects.extendleft(reversed(batch))
        return None

    def _requeue(self, batch: deque[int]) -> None:
        # First in the queue: its outcomes hold up those of all later tasks.
        self._queue.extendleft(reversed(batch))

    # Outcomes

    def settle(self, task: int, outcome: OutcomeT) -> None:
        """The task's fate is known."""
        assert task >= self._released, "a task is settled once"
        assert task not in self._settled, "a task is settled once"
        self._settled[task] = outcome

    def release(self) -> Iterator[OutcomeT]:
        """The outcomes whose turn has come since the last call, in order."""
        settled = self._settled
        while self._released in settled:
            outcome = settled.pop(self._released)
            self._released += 1
            yield outcome
