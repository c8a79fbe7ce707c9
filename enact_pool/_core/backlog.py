"""What a lane was sent and has not answered for: tasks, and the serial numbers they have there."""

from __future__ import annotations

from collections.abc import Collection

from attrs import define, field

__all__ = ["Backlog"]


@define
class Backlog:
    """Tasks in the ascending order of their serial numbers, some of which may be left out."""

    # Two lists of numbers, since a pair for each task would be one more object for
    # the garbage collector; and no dict, since finding the first key of one takes
    # longer with each key that was removed before it. They are short: many are taken
    # out of a list at once in a tenth of the time that popping each from a deque takes.
    _serials: list[int] = field(factory=list, init=False)
    _tasks: list[int] = field(factory=list, init=False)

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def first(self) -> int:
        """The lowest serial number; there must be one."""
        return self._serials[0]

    def add(self, first: int, tasks: list[int]) -> None:
        """Add tasks with consecutive serial numbers, which begin with `first`."""
        self._serials.extend(range(first, first + len(tasks)))
        self._tasks.extend(tasks)

    def take(self, serials: range) -> list[int]:
        """Take the tasks with these consecutive numbers, the first ones that are there.

        They end where there is no such task.
        """
        if not self._tasks or self._serials[0] != serials.start:
            return []
        count = min(len(serials), len(self._tasks))
        # Both ascend: if the last one is there, so are all before it.
        while self._serials[count - 1] != serials[count - 1]:
            count -= 1
        return self._take(count)

    def take_until(self, last: int) -> list[int]:
        """Take all tasks up to this number."""
        count = 0
        for serial in self._serials:
            if serial > last:
                break
            count += 1
        return self._take(count) if count else []

    def take_out(self, serials: Collection[int]) -> list[int]:
        """Take the tasks with these numbers, wherever they are."""
        numbered = list(zip(self._serials, self._tasks, strict=True))
        taken = [task for serial, task in numbered if serial in serials]
        self._tasks = [task for serial, task in numbered if serial not in serials]
        self._serials = [serial for serial in self._serials if serial not in serials]
        return taken

    def find(self, serial: int) -> int | None:
        """The task with this number; None if it is not there."""
        return next(
            (t for s, t in zip(self._serials, self._tasks, strict=True) if s == serial), None
        )

    def serial_of(self, task: int) -> int | None:
        """The serial number of this task; None if it is not there."""
        return next((s for s, t in zip(self._serials, self._tasks, strict=True) if t == task), None)

    def _take(self, count: int) -> list[int]:
        taken = self._tasks[:count]
        del self._serials[:count], self._tasks[:count]
        return taken
