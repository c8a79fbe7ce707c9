"""The lanes that one run leases: how it comes by them, and what each is up to.

A lane of a run is in one of these states. `RunLanes` keeps a set for each, and moves lanes
between them; the schedule knows of those that are "working".

    state       what it means                               next
    --------    -----------------------------------------   --------------------------
    starting    its worker was not ready yet                working, gone
    working     it can be sent batches                      draining, gone
      hungry      ... and may want one
      idle        ... and has nothing to do
    draining    it was told that nothing more is sent       gone
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from enact_pool._core.observer import Hooks
from enact_pool._core.schedule import Schedule
from enact_pool._core.timing import (
    AWAY_SECONDS,
    EXIT_GRACE_SECONDS,
    START_PAUSE_SECONDS,
)
from enact_pool._engine.poller import LanePoller
from enact_pool._ipc.doorbell import Doorbell
from enact_pool._lanes.base import Lane, LeaseHolder
from enact_pool._lanes.lane_pool import LanePool
from enact_pool._lanes.limit_enforcer import LimitEnforcer
from enact_pool._model.limits import Limits
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.tracebacks import describe

__all__ = ["RunLanes"]


class RunLanes(LeaseHolder):
    """At most `limit` lanes of a pool. The schedule is told of those that can work.

    Attributes:
        starting, working, hungry, idle, draining: The lanes in each state.
        unseen_since_ns: Since when deaths may go unseen, since code of the user's runs or has
            run, on the monotonic clock; 0 if they are seen at once.
        start_error: Why the last worker that did not start failed.
        error: Why the run had to be cancelled, if limits could not be enforced any more.
    """

    def __init__(
        self,
        pool: LanePool,
        schedule: Schedule[Lane, Any],
        limit: int,
        limits: Limits,
        hooks: Hooks,
        poller: LanePoller,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._schedule = schedule
        self._limit = limit
        self._poller = poller
        self._clock = clock
        self._enforcer: LimitEnforcer | None = None
        # Captured output is kept from taking too much memory by the same thread.
        trims = bool(hooks.output_received)
        if trims or limits.timeout is not None or limits.max_memory is not None:
            self._enforcer = LimitEnforcer(limits, self._limits_failed, trims=trims)
        self._most_tasks = limits.max_tasks_per_worker
        self._reads_side = bool(hooks.log_received)
        self.error: Exception | None = None
        self.unseen_since_ns = 0
        self.starting: set[Lane] = set()
        self.working: set[Lane] = set()
        self.hungry: set[Lane] = set()
        self.idle: set[Lane] = set()
        self.draining: set[Lane] = set()
        self.start_error = ""
        # When to try again to start a worker.
        self._pause_ends = 0.0
        self._doorbell: Doorbell | None = None

    def _limits_failed(self, cause: BaseException) -> None:
        text = f"limits could not be enforced any more: {describe(cause)[0]}"
        self.error = RuntimeError(text)
        self.error.__cause__ = cause
        self.cancel_reason = text

    def enter(self) -> None:
        """Begin. Raises `RuntimeError` if the pool is closed."""
        self._pool.enter(self)

    # Lanes come

    def complete(self) -> None:
        """Lease as many lanes as there is work for, as far as there are any."""
        schedule, pool = self._schedule, self._pool
        while schedule.queued > len(self.hungry) + len(self.starting):
            size = len(self.working) + len(self.starting)
            if (
                size >= self._limit
                or not schedule.may_start_lanes
                or (size and pool.has_to_share(size + 1))
                or (self._pause_ends and self._clock() < self._pause_ends)
            ):
                return
            try:
                lane = self._acquire()
            except OSError as error:
                raise_interrupt(error)
                self.start_failed(f"{type(error).__name__}: {error}")
                self._pause_ends = self._clock() + START_PAUSE_SECONDS
                continue
            if lane is None:
                return
            self._add(lane)

    @property
    def is_hopeless(self) -> bool:
        """Whether there is no lane, and none can be started."""
        return not (self.working or self.starting or self._schedule.may_start_lanes)

    def start_failed(self, reason: str) -> None:
        """Note that a worker could not be started, or did not come up."""
        self.start_error = reason
        self._schedule.start_failed()

    def activate(self, lane: Lane) -> None:
        """Let a lane work whose worker is ready."""
        self.starting.discard(lane)
        self._schedule.add_lane(lane, proven=not lane.is_new, serial=lane.sent)
        self.working.add(lane)
        self.hungry.add(lane)

    def collect_offered(self) -> None:
        """Lease the lanes that other runs have left for this one."""
        if self._doorbell is not None:
            self._doorbell.clear()
            for lane in self._pool.collect(self):
                self._add(lane)

    def _acquire(self) -> Lane | None:
        lane = self._pool.acquire(self)
        if lane is None and self._doorbell is None:
            self._doorbell = self._pool.doorbell_of(self)
            self._poller.add_doorbell(self._doorbell.fileno())
            lane = self._pool.acquire(self)
        return lane

    def _add(self, lane: Lane) -> None:
        self._poller.add(lane)
        if self._reads_side:
            self._poller.add_side(lane)
        if self._enforcer is not None:
            self._enforcer.watch(lane)
        if lane.ready:
            self.activate(lane)
        else:
            self.starting.add(lane)

    # How they are

    @property
    def busy(self) -> list[Lane]:
        """The lanes that have something to do."""
        return [lane for lane in self.working if not self._schedule.is_idle(lane)]

    @property
    def quiescent(self) -> list[Lane]:
        """The lanes with nothing to do, whose worker has said nothing that an interrupt lost."""
        schedule = self._schedule
        quiet = [lane for lane in self.working if schedule.is_quiescent(lane, lane.sent)]
        if self.starting:
            quiet += [lane for lane in self.starting if not lane.has_spoken]
        return quiet

    @property
    def wait_seconds(self) -> float:
        """After how long something may have changed that no descriptor signals."""
        if self.working or self.starting:
            return float("inf") if self._enforcer is None else self._enforcer.delay
        if self.cancel_reason:
            return 0.0
        pause = self._pause_ends - self._clock()
        if pause > 0:
            return pause
        if self._schedule.queued and not self._pool.knows(self):
            # It released its last lane after it had asked for more.
            return 0.0
        # There is no lane yet. It may have a right to one then.
        return AWAY_SECONDS

    @property
    def may_spin(self) -> bool:
        """Whether there are CPUs for all lanes, and for what waits for them."""
        return self._pool.spin

    @property
    def has_to_share(self) -> bool:
        """Whether other runs have a right to one of these lanes."""
        return self._pool.has_to_share(len(self.working) + len(self.starting))

    def is_due(self, lane: Lane) -> bool:
        """Whether this lane is to be released as soon as it is idle: other runs wait for one."""
        return self._pool.is_due(lane, len(self.working) + len(self.starting))

    def keep_limits(self, *, now: bool = False) -> None:
        """Have limits enforced, unless the run may be over before that is due.

        Args:
            now: The run will be busy with something else.

        Raises:
            RuntimeError: No thread can be started for that.
        """
        enforcer = self._enforcer
        if enforcer is not None and (self.working or self.starting) and (now or not enforcer.delay):
            enforcer.start()

    def tasks_left(self, lane: Lane) -> int:
        """Return how many more tasks this lane may be sent in a batch."""
        if self._most_tasks is None:
            return lane.batch_limit
        return min(lane.batch_limit, self._most_tasks - lane.ran - self._schedule.held(lane))

    # Lanes go

    def release(self, lane: Lane) -> None:
        """Release a lane that is idle, or has never worked: another run can have it."""
        has_worked = lane in self.working
        # First: the schedule knows each lane among the working, whenever an interrupt comes.
        self.remove(lane)
        if has_worked:
            self._schedule.remove_lane(lane)
        self._pool.release(lane)

    def release_at_end(self, lane: Lane) -> None:
        """Do the same at the end of the run: nothing is polled any more, and no lane fed."""
        if self._enforcer is not None:
            self._enforcer.forget(lane)
        self._pool.release(lane)

    def drain(self, lane: Lane) -> None:
        """Let an idle lane end that has done all that it may, while another takes its place."""
        self.remove(lane)
        self._schedule.remove_lane(lane)
        self._poller.add_exit(lane)
        self.draining.add(lane)
        lane.drain()
        self._pool.drained(lane)

    def has_drained(self, lane: Lane) -> None:
        """Let go of a draining lane whose worker has exited."""
        self.draining.discard(lane)
        self._poller.remove(lane)
        lane.end()
        self._pool.discard(lane)

    def kill_lingering(self) -> None:
        """Kill workers of draining lanes that something keeps from exiting."""
        for lane in self.draining:
            if self._clock() > lane.drained_at + EXIT_GRACE_SECONDS:
                lane.kill()

    def discard(self, lane: Lane) -> None:
        """Let go of a lane that was removed, and whose worker was waited for."""
        self._pool.discard(lane)

    def remove(self, lane: Lane) -> None:
        """Remove a lane that is about to go. When this returns, nothing looks at it."""
        self._poller.remove(lane)
        if self._enforcer is not None:
            self._enforcer.forget(lane)
        for lanes in (self.starting, self.working, self.hungry, self.idle):
            lanes.discard(lane)

    def disband(self) -> None:
        """End: kill the workers of lanes that were not released.

        If an interrupt comes in between, it can be called again.
        """
        try:
            if self._enforcer is not None:
                self._enforcer.stop()
        finally:
            self._pool.leave(self)
