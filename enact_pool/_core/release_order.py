"""The order in which results are released: that of the tasks, or of the outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from enact_pool._core.states import IllegalTransition

__all__ = ["MAX_HELD", "ReleaseOrder"]

OutcomeT = TypeVar("OutcomeT")

# How many outcomes may be held before no more tasks are taken.
MAX_HELD = 10_000


class ReleaseOrder(Generic[OutcomeT]):
    """Holds outcomes until they can be released.

    Attributes:
        is_ordered: Whether outcomes are released in the order of the tasks.
        submitted: How many tasks there are, numbered from 0.
        unsettled: How many of them have no outcome yet.
        held: How many outcomes there are that were not released.
        released: How many tasks were released, or withdrawn.
    """

    __slots__ = ("_settled", "held", "is_ordered", "released", "submitted", "unsettled")

    def __init__(self, is_ordered: bool = True) -> None:
        self.is_ordered = is_ordered
        self.submitted = self.unsettled = self.held = self.released = 0
        self._settled: dict[int, OutcomeT] = {}

    def submit(self, count: int) -> None:
        """Note that there are `count` more tasks."""
        self.submitted += count
        self.unsettled += count

    def settle(self, tasks: Sequence[int], outcomes: Sequence[OutcomeT]) -> None:
        """Take the outcomes of these tasks. Raises `IllegalTransition` if one has an outcome."""
        before = len(self._settled)
        self._settled.update(zip(tasks, outcomes, strict=True))
        if len(self._settled) != before + len(tasks) or (
            self.is_ordered and min(tasks) < self.released
        ):
            raise IllegalTransition(f"one of the tasks {tasks} was settled before")
        self.held += len(tasks)
        self.unsettled -= len(tasks)

    def release(self) -> tuple[Sequence[int], list[OutcomeT]]:
        """Return the tasks that can be released now, and their outcomes."""
        settled = self._settled
        if not self.is_ordered:
            self._settled = {}
            self.released += len(settled)
            self.held = 0
            return list(settled), list(settled.values())
        task = self.released
        # All at once as far as they are there: most of this runs in C.
        while task in settled:
            task += 1
        tasks = range(self.released, task)
        self.released = task
        self.held -= len(tasks)
        return tasks, list(map(settled.pop, tasks))

    def withdraw(self) -> None:
        """Note that one task will have no outcome."""
        if self.is_ordered:
            raise IllegalTransition("later tasks would wait for one that was withdrawn")
        self.released += 1
        self.unsettled -= 1

    @property
    def is_full(self) -> bool:
        """Whether too many outcomes wait for that of an earlier task."""
        return self.is_ordered and self.held >= MAX_HELD

    def validate(self) -> None:
        """Raise `AssertionError` if the numbers contradict each other; for tests."""
        if self.held != len(self._settled):
            raise AssertionError(f"{self.held} outcomes held, and {len(self._settled)} there")
        if self.submitted != self.unsettled + self.held + self.released:
            raise AssertionError("a task is in two states, or in none")
