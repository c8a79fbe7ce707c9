"""What observers and sources can ask a run about its tasks, and have it do with them."""

from __future__ import annotations

from enact_pool._core.schedule import Schedule
from enact_pool._engine.outcomes import Outcomes
from enact_pool._engine.run_lanes import RunLanes
from enact_pool._engine.task_source import TaskSource
from enact_pool._lanes.base import Lane

__all__ = ["RunControl"]


class RunControl:
    """One run, for its observers: in the thread of the run, or while it shares itself.

    Attributes:
        max_lanes: How many lanes the run may have at once.
    """

    def __init__(
        self,
        schedule: Schedule[Lane],
        outcomes: Outcomes,
        lanes: RunLanes,
        source: TaskSource,
        max_lanes: int,
    ) -> None:
        self._schedule = schedule
        self._outcomes = outcomes
        self._lanes = lanes
        self._source = source
        self.max_lanes = max_lanes

    def total(self) -> int | None:
        """Return how many tasks there are in all; None if that is not known."""
        return self._source.total

    def name_of(self, task: int) -> str:
        """Return the name of the callable of a task that is not settled."""
        return self._source.name(task)

    def id_of(self, task: int) -> int:
        """Return the number of the execution id of a task that is not settled."""
        return self._outcomes.id_of(task)

    def withdraw(self, task: int) -> bool:
        """Withdraw a task that has not started; return whether it was withdrawn."""
        schedule = self._schedule
        held = schedule.holder(task)
        if held is not None:
            lane, _ = held
            schedule.revoked(lane, lane.revoke())
            self._lanes.states.hungry.add(lane)
        if not schedule.withdraw(task):
            return False
        self._outcomes.withdrawn(task)
        return True

    def is_running(self, task: int) -> bool:
        """Return whether a worker is at work on a task."""
        held = self._schedule.holder(task)
        if held is None:
            return False
        lane, serial = held
        notes = lane.notes
        return notes.begun == serial and notes.activity is not None

    def kill(self, task: int) -> bool:
        """Kill the worker that is at work on a task; return whether one was.

        A worker that is loading it is killed too; but if it does so for others as well, all of
        these are sent again.
        """
        held = self._schedule.holder(task)
        if held is None:
            return False
        lane, serial = held
        runs = False

        def is_at_work() -> bool:
            nonlocal runs
            activity = lane.notes.activity
            if activity is None:
                return False
            begun, loading, _ = activity
            runs = not loading and begun == serial
            return runs or loading >= serial

        lane.kill_if(is_at_work)
        return runs
