"""The lanes that one run leases: how it leases and releases them.

The state of each is kept in `LaneStates`; the schedule knows those that are "working".
"""

from __future__ import annotations

import time
from collections.abc import Callable

from enact_pool._core.lane_states import LaneStates
from enact_pool._core.observer import Hooks
from enact_pool._core.schedule import Schedule
from enact_pool._core.sharing import LeaseHolder
from enact_pool._core.timing import AWAY_SECONDS, EXIT_GRACE_SECONDS
from enact_pool._engine.poller import LanePoller
from enact_pool._ipc.doorbell import Doorbell
from enact_pool._lanes.base import Lane, StartError
from enact_pool._lanes.lane_pool import LanePool
from enact_pool._lanes.limit_enforcer import LimitEnforcer
from enact_pool._model.limits import Limits
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.tracebacks import describe

__all__ = ["RunLanes"]


class RunLanes(LeaseHolder):
    """At most `limit` lanes of a pool.

    Attributes:
        states: The state of each lane.
        pool_book: Who has which lane of the pool; for reading.
        enforcer: What enforces limits; None if there are none.
        unseen_since_ns: Since when deaths may go unseen, since code of the user's runs or has
            run, on the monotonic clock; 0 if they are seen at once.
        start_error: Why the last worker that did not start failed.
        error: Why the run had to be cancelled, if limits could not be enforced any more.
    """

    def __init__(
        self,
        pool: LanePool,
        schedule: Schedule[Lane],
        limit: int,
        limits: Limits,
        hooks: Hooks,
        poller: LanePoller,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._schedule = schedule
        self.pool_book = pool.book
        self._poller = poller
        self._clock = clock
        self.states: LaneStates[Lane] = LaneStates(schedule, limit, limits.max_tasks_per_worker)
        self.enforcer: LimitEnforcer | None = None
        # Captured output is kept from taking too much memory by the same thread.
        trims = bool(hooks.output_received)
        if trims or limits.timeout is not None or limits.max_memory is not None:
            self.enforcer = LimitEnforcer(limits, self._limits_failed, trims=trims)
        self._reads_side = bool(hooks.log_received)
        self.error: Exception | None = None
        self.unseen_since_ns = 0
        self.start_error = StartError("")
        self._doorbell: Doorbell | None = None

    def _limits_failed(self, cause: BaseException) -> None:
        text = f"limits could not be enforced any more: {describe(cause)[0]}"
        self.error = RuntimeError(text)
        self.error.__cause__ = cause
        self.cancel_reason = text

    # Lanes come

    def complete(self) -> None:
        """Lease as many lanes as there is work for, as far as there are any."""
        states, pool, schedule = self.states, self._pool, self._schedule
        while schedule.queued > len(states.hungry) + len(states.starting):
            if not states.wants_lane(self._clock()):
                return
            size = len(states.working) + len(states.starting)
            if size and pool.has_to_share(size + 1):
                return
            try:
                lane = pool.acquire(self)
                if lane is None and self._doorbell is None:
                    self._doorbell = pool.doorbell_of(self)
                    self._poller.add_doorbell(self._doorbell.fileno())
                    lane = pool.acquire(self)
            except OSError as error:
                raise_interrupt(error)
                self.start_failed(StartError(f"{type(error).__name__}: {error}"))
                states.start_failed(self._clock())
                continue
            if lane is None:
                return
            self._add(lane)

    def start_failed(self, error: StartError) -> None:
        """Note that a worker could not be started, or did not come up."""
        self.start_error = error
        self._schedule.start_failed()

    def _add(self, lane: Lane) -> None:
        self._poller.add(lane)
        if self._reads_side:
            self._poller.add_side(lane)
        if self.enforcer is not None:
            self.enforcer.watch(lane)
        if lane.ready:
            self.activate(lane)
        else:
            self.states.starting.add(lane)

    def activate(self, lane: Lane) -> None:
        """Let a lane work whose worker is ready."""
        self._schedule.add_lane(lane, proven=not lane.is_new, serial=lane.sent)
        self.states.activate(lane)

    def collect_offered(self) -> None:
        """Lease the lanes that other runs have left for this one."""
        if self._doorbell is not None:
            self._doorbell.clear()
            for lane in self._pool.collect(self):
                self._add(lane)

    # How they are

    def quiescent(self) -> list[Lane]:
        """Return the lanes with nothing to do, of whose worker no message was lost.

        (An interrupt may have come after a batch was sent and before that was noted, or in the
        middle of writing.)
        """
        lanes, states = self._schedule.lanes, self.states
        # The last one that is released is the first one that is leased: one that is ready.
        quiet = [lane for lane in states.starting if not lane.has_spoken]
        for lane in states.working:
            record = lanes[lane]
            if not record.tasks and record.dispatched == lane.sent and not lane.outbox:
                quiet.append(lane)
        return quiet

    def wait_seconds(self) -> float:
        """Return after how long something may have changed that no descriptor signals."""
        states = self.states
        if states.working or states.starting:
            return float("inf") if self.enforcer is None else self.enforcer.delay
        if self.cancel_reason:
            return 0.0
        pause = states.pause_ends - self._clock()
        if pause > 0:
            return pause
        if self._schedule.queued and not self._pool.knows(self):
            # It released its last lane after it had asked for more.
            return 0.0
        # There is no lane yet. It may have a right to one then.
        return AWAY_SECONDS

    def has_to_share(self) -> bool:
        """Return whether other runs have a right to one of these lanes."""
        return self._pool.has_to_share(len(self.states.working) + len(self.states.starting))

    def is_due(self, lane: Lane) -> bool:
        """Return whether to release this lane as soon as it is idle: other runs wait for one."""
        return self._pool.is_due(lane, len(self.states.working) + len(self.states.starting))

    def keep_limits(self, *, now: bool = False) -> None:
        """Have limits enforced, unless the run may be over before that is due.

        Args:
            now: The run will be busy with something else.

        Raises:
            RuntimeError: No thread can be started for that.
        """
        enforcer = self.enforcer
        if (
            enforcer is not None
            and (self.states.working or self.states.starting)
            and (now or not enforcer.delay)
        ):
            enforcer.start()

    # Lanes go

    def release(self, lane: Lane) -> None:
        """Release a lane that is idle, or has never worked: another run can have it."""
        has_worked = lane in self.states.working
        # First: the schedule knows each lane among the working, whenever an interrupt comes.
        self.remove(lane)
        if has_worked:
            self._schedule.remove_lane(lane)
        self._pool.release(lane)

    def drain(self, lane: Lane) -> None:
        """Let an idle lane end that has done all that it may, while another takes its place."""
        self.remove(lane)
        self._schedule.remove_lane(lane)
        self._poller.add_exit(lane)
        self.states.drain(lane)
        lane.drain()
        self._pool.drained(lane)

    def end_drained(self, lane: Lane) -> None:
        """End a draining lane whose worker has exited."""
        self.remove(lane)
        lane.end()
        self._pool.discard(lane)

    def kill_lingering(self) -> None:
        """Kill workers of draining lanes that something keeps from exiting."""
        for lane in self.states.draining:
            if self._clock() > lane.drained_at + EXIT_GRACE_SECONDS:
                lane.kill()

    def discard(self, lane: Lane) -> None:
        """Return a lane to the pool that was removed, and whose worker was reaped."""
        self._pool.discard(lane)

    def remove(self, lane: Lane) -> None:
        """Remove a lane that is about to go. When this returns, nothing looks at it."""
        self._poller.remove(lane)
        if self.enforcer is not None:
            self.enforcer.forget(lane)
        self.states.remove(lane)

    def disband(self) -> None:
        """End: kill the workers of lanes that were not released.

        If an interrupt comes in between, it can be called again.
        """
        try:
            if self.enforcer is not None:
                self.enforcer.stop()
        finally:
            self._pool.leave(self)
