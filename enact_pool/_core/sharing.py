"""How runs share the lanes of a pool: which has too many, and which is next."""

from __future__ import annotations

from collections import deque
from typing import Generic, Literal, TypeVar

from attrs import define, field

from enact_pool._core.timing import AWAY_SECONDS, TURN_SECONDS

__all__ = ["Lease", "LeaseHolder", "LeaseState", "Sharing"]

LeaseState = Literal["leased", "offered", "idle", "draining", "doomed"]


class LeaseHolder:
    """What leases lanes: a run."""

    # Whether it is over, and tried in vain to release what it has.
    is_lost = False
    # Since when user code runs, so that it can release nothing; 0.0: it can.
    away_since = 0.0
    # Why it is to end with the outcomes it has; empty: it is not.
    cancel_reason = ""

    def disband(self) -> None:
        """Release what it has; can be called again if an interrupt comes in between."""
        raise NotImplementedError


LaneT = TypeVar("LaneT")
RunT = TypeVar("RunT", bound=LeaseHolder)


@define
class Lease(Generic[RunT]):
    """The lease of one lane: see `leasing` for its states.

    Attributes:
        number: The place of the lane in the pool.
        state: Its state.
        run: The run that has it, if it is leased or offered, or had it when it was drained.
        since: Since when it is leased, or was leased last, on the monotonic clock.
    """

    number: int
    state: LeaseState
    run: RunT | None
    since: float


@define
class Sharing(Generic[LaneT, RunT]):
    """The lanes and runs of a pool, and what follows from them for sharing.

    Attributes:
        limit: How many lanes there may be.
        closed: Whether no run may begin any more.
        runs: The runs that have begun and not ended, each with its thread. A thread may be in
            several: an emitter may begin one.
        waiting: Runs that wait for a lane, in the order in which they began to.
    """

    limit: int
    closed: bool = False
    _leases: dict[LaneT, Lease[RunT]] = field(factory=dict, init=False)
    runs: dict[RunT, int] = field(factory=dict, init=False)
    waiting: deque[RunT] = field(factory=deque, init=False)

    def has_to_share(self, held: int, now: float) -> bool:
        """Return whether a run that has so many lanes should release one."""
        # May be called without the lock: a run that learns this a moment late releases its
        # lane a batch later.
        return self._someone_waits(now) and held > max(1, self.limit // max(1, len(self.runs)))

    def is_due(self, lane: LaneT, held: int, now: float) -> bool:
        """Return whether a run that has so many lanes should release this one when it is idle.

        With more runs than lanes, each may have one for a while.
        """
        if not self.waiting or not self._someone_waits(now):
            return False
        if self.has_to_share(held, now):
            return True
        lease = self._leases.get(lane)
        return (
            lease is not None and len(self.runs) > self.limit and now - lease.since > TURN_SECONDS
        )

    def _someone_waits(self, now: float) -> bool:
        # Most often no run does, and this is asked for each batch.
        return bool(self.waiting) and any(not self._is_away(run, now) for run in list(self.waiting))

    def _is_away(self, run: RunT | None, now: float) -> bool:
        return run is not None and 0.0 < run.away_since < now - AWAY_SECONDS

    def _present(self, now: float) -> int:
        """Return how many lanes there are that a run can release, or has released.

        A run that is away may wait for the very run that waits for a lane here.
        """
        return sum(
            lease.state == "idle" or not self._is_away(lease.run, now)
            for lease in self._leases.values()
            if lease.state != "draining"
        )

    def _has_more_than(self, number: int) -> bool:
        """Return whether there are more lanes than that, without those that are about to end."""
        return number < sum(lease.state != "draining" for lease in self._leases.values())

    def _must_start(self, run: RunT) -> bool:
        """Return whether a run waits for its own thread: an outer run there has the lanes.

        Then it is given one lane above the limit, or it would wait forever.
        """
        return self._is_nested(self.runs.get(run)) and not any(
            lease.run is run for lease in self._leases.values()
        )

    def _is_nested(self, thread: int | None) -> bool:
        """Return whether this thread is in a nested run."""
        return sum(of == thread for of in self.runs.values()) > 1
