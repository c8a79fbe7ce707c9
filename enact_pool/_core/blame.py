"""Blame: which tasks of a dead lane are settled, and which are sent again.

When a lane dies, the caller passes what the lane had noted last:

    noted                        then
    -------------------------    -----------------------------------------
    it began a task that has     that task is blamed
    not been answered for        (and any before it whose answer was lost)
    it was loading a batch       a batch of one task: that is blamed;
                                 of several: each is sent again, alone
    a part of a batch had come   each of its tasks is sent again, alone; one
                                 of which a second lane dies so is blamed
    neither                      no task is blamed

What is not blamed goes back to the queue. It had not started, and a task that was blamed or
finished is never sent again: so each starts at most once.
"""

from __future__ import annotations

from collections import deque

from enact_pool._core.lane_record import LaneRecord

__all__ = ["Suspects"]


class Suspects:
    """Tasks that are to be sent alone: their batch could not be loaded, or killed its lane.

    Attributes:
        tasks: The suspects, in the order in which they are sent.
    """

    __slots__ = ("_received_once", "tasks")

    def __init__(self) -> None:
        self.tasks: deque[int] = deque()
        # Those that were alone in a batch that a lane died of while it came.
        self._received_once: set[int] = set()

    def add(self, tasks: list[int]) -> None:
        """Have these sent alone, before all others."""
        self.tasks.extendleft(reversed(tasks))

    def blame_for_loading(self, record: LaneRecord, last: int) -> int | None:
        """Take the batch up to this number, which could not be loaded.

        Returns:
            The task, if the batch had only one; else its tasks are suspects now.
        """
        is_single, tasks = record.take_batch(last)
        if is_single and tasks:
            return tasks[0]
        self.add(tasks)
        return None

    def blame_for_receiving(self, record: LaneRecord, last: int) -> int | None:
        """Take the batch that a lane has died of while it came, and may have been too large.

        Its tasks are sent again, alone: that may have been chance.

        Returns:
            The task, if the batch had only one, and it is met a second time.
        """
        suspect = self.blame_for_loading(record, last)
        if suspect is None or suspect in self._received_once:
            return suspect
        self._received_once.add(suspect)
        self.add([suspect])
        return None

    def blame_for_death(
        self, record: LaneRecord, begun: int, loading: int, receiving: int
    ) -> list[int]:
        """Take the tasks of a dead lane that are to blame; see `Schedule.lane_died`."""
        if begun > record.dispatched and record.tasks:
            # The worker has overwritten its notes. A callable in it ran then, and as far as
            # is known that can only have been its first.
            begun = record.serials[0]
        blamed = record.take_until(begun)
        if not blamed:
            suspect = None
            if loading > record.answered:
                suspect = self.blame_for_loading(record, loading)
            elif receiving > record.answered:
                suspect = self.blame_for_receiving(record, receiving)
            if suspect is not None:
                blamed = [suspect]
        return blamed
