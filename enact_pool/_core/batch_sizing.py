"""How many tasks travel to a lane in one batch: measured, not set.

What a batch costs in messages is the same for one task as for a thousand, so
quick tasks travel together and slow ones alone. As many as should take
`BATCH_SECONDS`, but not many more than have been measured, no more than make a
lane's work an even share of all that is left, and no more than `BATCH_BYTES` of
pickles.

Like the schedule that asks it, this has no clock: the caller reports how long tasks took.
"""

from __future__ import annotations

from math import ceil

from attrs import define, field

__all__ = ["BATCH_BYTES", "BATCH_SECONDS", "BATCH_TASKS", "Pace", "Sizing"]

# Long enough for the parent to wake up rarely: where the workers keep all CPUs busy, each time
# costs one of them a tenth of a millisecond. What waits behind a slow task can be revoked.
BATCH_SECONDS = 0.06
# With many lanes a batch lasts longer: so long, times their number.
_LANE_SECONDS = 0.003
# A batch is pickled in one go, while no lane can be served.
BATCH_BYTES = 1 << 20
# More would not save anything, and a lane's pipe for permits must take a batch.
BATCH_TASKS = 1000
# What is sent before anything has been measured. It can be revoked.
_FIRST_TASKS = 4
# How long it takes to wake another lane up and to receive its answer: less work than
# this is not divided.
_WAKING_SECONDS = 1e-4
# What a task costs a lane beside its own run: unpickling, pickling, a frame.
_OVERHEAD_SECONDS = 5e-6
# The weight of the newest duration in the running mean.
_NEWEST = 0.05


@define
class Sizing:
    """What is known of the tasks so far. `mean_seconds` is that of their recent durations.

    `expected_seconds` is how long such tasks took on an earlier occasion; None:
    that is not known.
    """

    _expected_seconds: float | None = None
    mean_seconds: float = field(default=0.0, init=False)
    # How many tasks were measured; 0: nothing is known of them.
    measured_tasks: int = field(default=0, init=False)
    _single_bytes: int = field(default=0, init=False)
    _extra_bytes: float = field(default=0.0, init=False)

    def measured(self, ran_ns: list[int]) -> None:
        """Note how many nanoseconds each task took."""
        tasks = len(ran_ns)
        weight = 1 - (1 - _NEWEST) ** tasks if self.measured_tasks else 1.0
        self.mean_seconds += weight * (sum(ran_ns) / 1e9 / tasks - self.mean_seconds)
        self.measured_tasks += tasks

    def pickled(self, tasks: int, size: int) -> None:
        """Note that a batch of so many tasks was `size` bytes.

        What they share is in every pickle once, however many they are: only
        what each adds to it limits how many may travel together.
        """
        if tasks == 1:
            self._single_bytes = size
        else:
            self._extra_bytes = max(0, size - self._single_bytes) / (tasks - 1)

    def first_batch(self, queued: int, idle_lanes: int) -> int:
        """Return how many of the queued tasks to send to one of so many idle lanes at first."""
        if self._expected_seconds is not None:
            seconds = queued * (self._expected_seconds + _OVERHEAD_SECONDS)
            if seconds <= _WAKING_SECONDS:
                return queued
        return min(_FIRST_TASKS, ceil(queued / max(1, idle_lanes)))

    def batch(self, left: int, lanes: int) -> int:
        """Return how many tasks to send to one of so many lanes.

        Args:
            left: How many tasks are not done, with those that other lanes have.
            lanes: How many lanes there are.
        """
        return max(1, min(self.largest(lanes), left // lanes))

    def largest(self, lanes: int = 1) -> int:
        """Return how many tasks may travel in one batch when there are any number of them.

        `lanes` is among how many they are divided.
        """
        if not self.measured_tasks:
            return _FIRST_TASKS
        seconds = max(BATCH_SECONDS, lanes * _LANE_SECONDS)
        by_time = seconds / (self.mean_seconds + _OVERHEAD_SECONDS)
        by_bytes = (BATCH_BYTES - self._single_bytes) / (self._extra_bytes or 1)
        return max(1, int(min(BATCH_TASKS, by_time, by_bytes, 2 * self.measured_tasks)))


class Pace:
    """How long the callables of the runs took that were over lately, by what they are.

    Read and written by several threads: each method works on one value, which is replaced.
    """

    def __init__(self) -> None:
        # What was run last, and how long that took then and the time before, in seconds.
        self._last: tuple[frozenset[int] | None, float, float] = None, 0.0, 0.0

    def expected_seconds(self, key: frozenset[int] | None) -> float | None:
        """Return how long such callables took on average; None if that is not known.

        It is the smaller one of two values: quick callables take long now and then, when they
        are preempted.
        """
        known, seconds, before = self._last
        return min(seconds, before) if key is not None and key == known else None

    def remember(self, key: frozenset[int] | None, seconds: float | None) -> None:
        """Note that such callables took so many seconds on average."""
        if key is not None and seconds is not None:
            known, last, _ = self._last
            self._last = key, seconds, last if key == known else seconds
