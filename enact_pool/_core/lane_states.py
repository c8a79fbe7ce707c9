"""The state of each lane of one run, and what the run does about it.

    state       what it means                               next
    --------    -----------------------------------------   --------------------------
    starting    its worker was not ready yet                working, gone
    working     it can be sent batches                      draining, gone
      hungry      ... and may want one
      idle        ... and has nothing to do
    draining    its worker gets no more tasks, and ends     gone

Nothing here waits or acts. The time is an argument, in seconds on the monotonic clock.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from enact_pool._core.schedule import Schedule
from enact_pool._core.states import IllegalTransition
from enact_pool._core.timing import (
    LOOK_SECONDS,
    LOST_ROUNDS,
    PATIENCE_SECONDS,
    ROUND_SECONDS,
    START_PAUSE_SECONDS,
    STARVED_ROUNDS,
)

__all__ = ["LaneStates", "Starvation"]

LaneT = TypeVar("LaneT")


class LaneStates(Generic[LaneT]):
    """The states of a run's lanes.

    Attributes:
        starting, working, hungry, idle, draining: The lanes in each state.
        most_tasks: After how many tasks a worker is replaced; None for never.
        pause_ends: When it is worth trying again to start a worker; 0.0 if it is now.
    """

    __slots__ = (
        "_limit",
        "_patience_ends",
        "_schedule",
        "draining",
        "hungry",
        "idle",
        "most_tasks",
        "pause_ends",
        "starting",
        "working",
    )

    def __init__(
        self, schedule: Schedule[LaneT], limit: int, most_tasks: int | None = None
    ) -> None:
        """`limit` is for lanes; a worker is replaced after `most_tasks` tasks."""
        self._schedule = schedule
        self._limit = limit
        self.most_tasks = most_tasks
        self._patience_ends = 0.0
        self.pause_ends = 0.0
        self.starting: set[LaneT] = set()
        self.working: set[LaneT] = set()
        self.hungry: set[LaneT] = set()
        self.idle: set[LaneT] = set()
        self.draining: set[LaneT] = set()

    # Changes

    def activate(self, lane: LaneT) -> None:
        """Let a lane work, whose worker is ready."""
        self.starting.discard(lane)
        self.working.add(lane)
        self.hungry.add(lane)

    def become_idle(self, lane: LaneT, now: float) -> None:
        """Note that a working lane has nothing to do."""
        if lane not in self.working:
            raise IllegalTransition("only a lane that works can be idle")
        if not self.idle:
            self._patience_ends = now + PATIENCE_SECONDS
        self.idle.add(lane)

    def drain(self, lane: LaneT) -> None:
        """Note that a lane that was removed is drained: it is sent nothing more."""
        if lane in self.working or lane in self.starting:
            raise IllegalTransition("a lane that works cannot be drained")
        self.draining.add(lane)

    def remove(self, lane: LaneT) -> None:
        """Forget a lane, whatever its state."""
        self.starting.discard(lane)
        self.working.discard(lane)
        self.hungry.discard(lane)
        self.idle.discard(lane)
        self.draining.discard(lane)

    def start_failed(self, now: float) -> None:
        """Note that a worker could not be started."""
        self.pause_ends = now + START_PAUSE_SECONDS

    # Decisions

    def wants_lane(self, now: float) -> bool:
        """Return whether to lease another lane for tasks that no hungry lane will take."""
        schedule = self._schedule
        return (
            len(self.working) + len(self.starting) < self._limit
            and schedule.may_start_lanes
            and not (self.pause_ends and now < self.pause_ends)
        )

    def tasks_left(self, lane: LaneT, ran: int, batch_limit: int) -> int:
        """Return how many more tasks a lane may be sent in a batch.

        Args:
            lane: The lane.
            ran: How many tasks its worker has run.
            batch_limit: How many tasks there may be in a batch.
        """
        if self.most_tasks is None:
            return batch_limit
        return min(batch_limit, self.most_tasks - ran - len(self._schedule.lanes[lane].tasks))

    def revocation(self, now: float) -> tuple[LaneT, int] | None:
        """Return from which lane to revoke how many tasks for the idle lanes; None for nothing."""
        return self._schedule.revocable(patient=now < self._patience_ends)

    def may_release_idle(self, now: float) -> bool:
        """Return whether idle lanes need not wait for tasks that others were sent."""
        return now >= self._patience_ends or self._schedule.revocable(patient=False) is None

    def busy(self) -> list[LaneT]:
        """Return the lanes that have something to do."""
        lanes = self._schedule.lanes
        return [lane for lane in self.working if lanes[lane].tasks]

    # Waiting

    def time_out(self, *, exhausted: bool, prompt: bool) -> float:
        """Return after how many seconds something is to be looked at that nothing signals.

        Args:
            exhausted: Whether there will be no more tasks.
            prompt: Whether observers want to know at once what begins.
        """
        if self.idle and exhausted:
            return PATIENCE_SECONDS
        if prompt or any(len(record.tasks) > 1 for record in self._schedule.lanes.values()):
            # What a lane has answered may be in its journal, while it does the next task.
            return LOOK_SECONDS
        return ROUND_SECONDS


class Starvation(Generic[LaneT]):
    """Which workers have lost what they were sent.

    A callable that reads from any descriptor can take batches out of its worker's
    pipe. The worker then waits for them, and the run for the worker.
    """

    def __init__(self) -> None:
        # What lanes at rest had answered in the last round, and in how many rounds before.
        self._rested: dict[LaneT, tuple[int, int]] = {}
        self._before: dict[LaneT, tuple[int, int]] = {}

    def begin_round(self) -> None:
        """Begin to look at all lanes that have something to do."""
        self._before, self._rested = self._rested, {}

    def is_starved(self, lane: LaneT, answered: int, *, at_rest: bool, may_go_on: bool) -> bool:
        """Return whether to replace a worker.

        Args:
            lane: Its lane.
            answered: The serial number up to which it has answered.
            at_rest: Whether it does nothing that is known.
            may_go_on: Whether there is something left for it to read.
        """
        before, rounds = self._before.get(lane, (-1, 0))
        rounds = rounds + 1 if at_rest and answered == before else 0
        if rounds > (STARVED_ROUNDS if may_go_on else LOST_ROUNDS):
            return True
        if at_rest:
            self._rested[lane] = (answered, rounds)
        return False
