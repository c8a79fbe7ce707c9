"""What one lane was sent and has not answered for: tasks, and their serial numbers there."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from attrs import define, field

__all__ = ["LaneRecord"]


@define
class LaneRecord:
    """What a schedule knows of one lane.

    Attributes:
        proven: Whether its worker has shown that it can do work.
        dispatched: The last serial number that was sent.
        answered: The last serial number that was answered for.
        serials, tasks: What was sent and not answered for, in ascending order of the serial
            numbers, some of which may be left out.
        batches: The first and last serial numbers of batches that are not done.
        dry: Whether its last revocation got nothing, and nothing was answered since.
    """

    proven: bool
    dispatched: int
    answered: int
    # Two lists of numbers, since a pair for each task would be one more object for
    # the garbage collector; and no dict, since finding the first key of one takes
    # longer with each key that was removed before it. They are short: many are taken
    # out of a list at once in a tenth of the time that popping each from a deque takes.
    serials: list[int] = field(factory=list)
    tasks: list[int] = field(factory=list)
    batches: deque[tuple[int, int]] = field(factory=deque)
    dry: bool = False

    def take(self, serials: range) -> list[int]:
        """Take the tasks with these consecutive numbers, the first ones that are there: the lane
        has answered for them. They end where there is no such task.
        """
        if not self.tasks or self.serials[0] != serials.start:
            return []
        count = min(len(serials), len(self.tasks))
        # Both ascend: if the last one is there, so are all before it.
        while self.serials[count - 1] != serials[count - 1]:
            count -= 1
        taken = self.tasks[:count]
        last = serials[count - 1]
        del self.serials[:count], self.tasks[:count]
        batches = self.batches
        while batches and batches[0][1] <= last:
            batches.popleft()
        self.answered, self.dry = last, False
        return taken

    def take_until(self, last: int) -> list[int]:
        """Take all tasks up to this number."""
        count = 0
        for serial in self.serials:
            if serial > last:
                break
            count += 1
        taken = self.tasks[:count]
        del self.serials[:count], self.tasks[:count]
        return taken

    def take_out(self, serials: Collection[int]) -> list[int]:
        """Take the tasks with these numbers, wherever they are."""
        numbered = list(zip(self.serials, self.tasks, strict=True))
        taken = [task for serial, task in numbered if serial in serials]
        self.tasks = [task for serial, task in numbered if serial not in serials]
        self.serials = [serial for serial in self.serials if serial not in serials]
        return taken

    def take_batch(self, last: int) -> tuple[bool, list[int]]:
        """Take the remaining tasks of the batch that ends with this number.

        Returns:
            Whether it was sent as a single task, and the tasks.
        """
        first = next((first for first, end in self.batches if end == last), last)
        return first == last, self.take_out(range(first, last + 1))

    def answer(self, serial: int) -> list[int]:
        """Note that the lane is done with all numbers up to this one.

        Returns:
            The tasks that are left of them, which were neither run nor revoked: something has
            taken their permits out of the pipe. They have not started.
        """
        self.dry = False
        batches = self.batches
        while batches and batches[0][1] <= serial:
            batches.popleft()
        if serial > self.answered:
            self.answered = serial
        serials = self.serials
        return self.take_until(serial) if serials and serials[0] <= serial else []

    def find(self, serial: int) -> int | None:
        """Return the task with this number; None if it is not there."""
        return next((t for s, t in zip(self.serials, self.tasks, strict=True) if s == serial), None)

    def serial_of(self, task: int) -> int | None:
        """Return the serial number of a task; None if it is not there."""
        return next((s for s, t in zip(self.serials, self.tasks, strict=True) if t == task), None)

    def validate(self) -> None:
        """Raise `AssertionError` if the record contradicts itself; for tests."""
        if len(self.serials) != len(self.tasks) or sorted(set(self.serials)) != self.serials:
            raise AssertionError(f"serial numbers {self.serials} of tasks {self.tasks}")
        if self.serials and not self.answered < self.serials[0] <= self.serials[-1]:
            raise AssertionError(f"{self.serials[0]} is held, and {self.answered} answered")
        if self.serials and self.serials[-1] > self.dispatched:
            raise AssertionError(f"{self.serials[-1]} is held, and was not dispatched")
