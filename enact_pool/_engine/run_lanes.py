"""A crew: the lanes that one run has, how it comes by them, and what each is up to."""

from __future__ import annotations

import time
from typing import Any

from enact_pool._core.schedule import Schedule
from enact_pool._engine.options import Options
from enact_pool._engine.poller import LanePoller
from enact_pool._lanes.lane import Lane, LeaseHolder
from enact_pool._lanes.lane_pool import AWAY_SECONDS, GRACE_SECONDS, Doorbell, LanePool
from enact_pool._lanes.limit_enforcer import LimitEnforcer
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.texts import describe

__all__ = ["RunLanes"]

# How long to wait after a worker could not be started: there may be room for
# processes again in a moment.
_PAUSE_SECONDS = 0.1


class RunLanes(LeaseHolder):
    """At most `limit` lanes of a supply. Who can work is told to the schedule."""

    def __init__(
        self, supply: LanePool, schedule: Schedule[Lane, Any], limit: int, options: Options
    ) -> None:
        self._lane_pool = supply
        self._schedule = schedule
        self._limit = limit
        self.watch = LanePoller()
        self._watchdog: LimitEnforcer | None = None
        if options.limits.need_watching or options.capture_output:
            self._watchdog = LimitEnforcer(
                options.limits, self._limits_failed, trims=options.capture_output
            )
        # Why the run had to be cancelled, if the watchdog has failed.
        self.error: Exception | None = None
        self._most_tasks = options.limits.max_tasks_per_worker
        self._forwards_logs = options.forward_logs
        # Since when nobody looks who has died, by the monotonic clock in nanoseconds: code
        # of the caller's runs, or has run. 0: deaths are seen at once.
        self.unseen_since_ns = 0
        self.starting: set[Lane] = set()
        self.working: set[Lane] = set()
        # Of the working ones: those that may take a batch, and those that have nothing to do.
        self.hungry: set[Lane] = set()
        self.idle: set[Lane] = set()
        # Those that have done all that they may, and are about to end.
        self.retired: set[Lane] = set()
        # Why the last start failed, and when to try again.
        self.start_error = ""
        self._pause_ends = 0.0
        self._doorbell: Doorbell | None = None

    def _limits_failed(self, cause: BaseException) -> None:
        text = f"limits could not be enforced any more: {describe(cause)[0]}"
        self.error = RuntimeError(text)
        self.error.__cause__ = cause
        self.cancel_reason = text

    def enter(self) -> None:
        """The run begins. Raises `RuntimeError` if the supply is closed."""
        self._lane_pool.enter(self)

    # Lanes come

    def complete(self) -> None:
        """Get as many lanes as there is work for, as far as there are any."""
        schedule = self._schedule
        while (
            schedule.queued > len(self.hungry) + len(self.starting)
            and (size := self._size) < self._limit
            and schedule.may_start_lanes
            and not self._lane_pool.has_to_share(size + 1)
            and time.monotonic() >= self._pause_ends
        ):
            try:
                lane = self._acquire()
            except OSError as error:
                raise_interrupt(error)
                self.start_failed(f"{type(error).__name__}: {error}")
                self._pause_ends = time.monotonic() + _PAUSE_SECONDS
                continue
            if lane is None:
                return
            self._add(lane)

    @property
    def is_hopeless(self) -> bool:
        """Whether there is no lane, and none can be started."""
        return not (self._schedule.may_start_lanes or self._size)

    def start_failed(self, reason: str) -> None:
        """A worker could not be started, or did not come up."""
        self.start_error = reason
        self._schedule.start_failed()

    def employ(self, lane: Lane) -> None:
        """A lane that was starting is ready, or was before."""
        self.starting.discard(lane)
        self._schedule.add_lane(lane, proven=not lane.is_new, serial=lane.sent)
        self.working.add(lane)
        self.hungry.add(lane)

    def look_for_lanes(self) -> None:
        """Take the lanes that others have left for this run."""
        if self._doorbell is not None:
            self._doorbell.quiet()
            for lane in self._lane_pool.collect(self):
                self._add(lane)

    def _acquire(self) -> Lane | None:
        lane = self._lane_pool.acquire(self, self._doorbell)
        if lane is None and self._doorbell is None:
            self._doorbell = Doorbell(self)
            self.watch.add_doorbell(self._doorbell.fileno())
            lane = self._lane_pool.acquire(self, self._doorbell)
        return lane

    def _add(self, lane: Lane) -> None:
        self.watch.add(lane)
        if self._forwards_logs:
            self.watch.add_mail(lane)
        if self._watchdog is not None:
            self._watchdog.watch(lane)
        if lane.ready:
            self.employ(lane)
        else:
            self.starting.add(lane)

    @property
    def _size(self) -> int:
        return len(self.working) + len(self.starting)

    # How they are

    @property
    def busy(self) -> list[Lane]:
        """Those that have something to do."""
        return [lane for lane in self.working if not self._schedule.is_idle(lane)]

    @property
    def unoccupied(self) -> list[Lane]:
        """Those that have nothing to do, and have said nothing that got lost in an interrupt."""
        schedule = self._schedule
        return [
            *(lane for lane in self.starting if not lane.has_spoken),
            *(
                lane
                for lane in self.working
                if schedule.is_idle(lane) and schedule.dispatched_to(lane) == lane.sent
            ),
        ]

    @property
    def wait_seconds(self) -> float:
        """After how long something may have changed that no descriptor tells of."""
        if self._size:
            return float("inf") if self._watchdog is None else self._watchdog.delay
        if self.cancel_reason:
            return 0.0
        pause = self._pause_ends - time.monotonic()
        if pause > 0:
            return pause
        if self._schedule.queued and not self._lane_pool.knows(self, self._doorbell):
            # It has given back its last lane after it had asked for more.
            return 0.0
        # There is no lane yet. It may have a right to one then.
        return AWAY_SECONDS

    @property
    def may_spin(self) -> bool:
        """Whether there are CPUs for all lanes, and for who waits for them."""
        return self._lane_pool.spin

    @property
    def has_to_share(self) -> bool:
        """Whether other runs have a right to one of these lanes."""
        return self._lane_pool.has_to_share(self._size)

    def is_due(self, lane: Lane) -> bool:
        """Whether this lane is to be given back as soon as it is idle: others wait for one."""
        return self._lane_pool.is_due(lane, self._size)

    def keep_limits(self, *, now: bool = False) -> None:
        """Have somebody look after the limits, unless the run may be over before that is due.

        `now` if it will be busy with something else. Raises `RuntimeError` if no
        thread can be started for that.
        """
        if self._watchdog is not None and self._size and (now or not self._watchdog.delay):
            self._watchdog.start()

    def tasks_left(self, lane: Lane) -> int:
        """How many more tasks this lane may be sent."""
        if self._most_tasks is None:
            return lane.batch_limit
        return min(lane.batch_limit, self._most_tasks - lane.ran - self._schedule.held(lane))

    # Lanes go

    def give_back(self, lane: Lane) -> None:
        """A lane that is idle, or has never worked, can be another run's."""
        has_worked = lane in self.working
        # First: whoever is among the working is known to the schedule, whenever an interrupt comes.
        self.forget(lane)
        if has_worked:
            self._schedule.remove_lane(lane)
        self._lane_pool.release(lane)

    def leave(self, lane: Lane) -> None:
        """The same, at the end of the run: nothing is waited for any more, and no lane fed."""
        if self._watchdog is not None:
            self._watchdog.forget(lane)
        self._lane_pool.release(lane)

    def retire(self, lane: Lane) -> None:
        """A lane that is idle has done all that it may: it ends, while another takes its place."""
        self.forget(lane)
        self._schedule.remove_lane(lane)
        self.watch.add_exit(lane)
        self.retired.add(lane)
        lane.hang_up()

    def part_with(self, lane: Lane) -> None:
        """A retired lane has ended."""
        self.retired.discard(lane)
        self.watch.remove(lane)
        lane.end()
        self._lane_pool.discard(lane)

    def end_lingerers(self) -> None:
        """Kill the retired ones that something keeps from ending."""
        for lane in self.retired:
            if time.monotonic() > lane.hung_up_at + GRACE_SECONDS:
                lane.kill()

    def lose(self, lane: Lane) -> None:
        """A lane is buried, and was forgotten before."""
        self._lane_pool.discard(lane)

    def forget(self, lane: Lane) -> None:
        """It is about to go. When this returns, nobody looks at it."""
        self.watch.remove(lane)
        if self._watchdog is not None:
            self._watchdog.forget(lane)
        for lanes in (self.starting, self.working, self.hungry, self.idle):
            lanes.discard(lane)

    def abandon(self) -> None:
        """In a forked child: let go of what is the parent's."""
        if self._doorbell is not None:
            self._doorbell.close()

    def disband(self) -> None:
        """There is no run any more. Kills the lanes that were not given back.

        If an interrupt comes in between, it can be called again.
        """
        try:
            if self._watchdog is not None:
                self._watchdog.stop()
        finally:
            self._lane_pool.leave(self, self._doorbell)
