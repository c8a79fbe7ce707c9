"""The lanes of a pool: which are idle, which are out with a run, who waits for one.

A run drives its lanes alone, in its own thread. So runs of several threads
share a pool by taking lanes from here and giving them back. When they are all
out and a run waits for one, the others give back what is above a fair share;
and with more runs than lanes, they take turns.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from itertools import count

from attrs import evolve

from enact_pool._lanes.lane import Lane, LeaseHolder
from enact_pool._lanes.spawn import WorkerSpec
from enact_pool._python.interrupts import handlers_deferred
from enact_pool._python.loading import check_not_imported

__all__ = [
    "AWAY_SECONDS",
    "GRACE_SECONDS",
    "Doorbell",
    "LanePool",
    "PoolClosed",
    "end_idle_workers",
    "worker_pids",
]

# How long workers may take to end by themselves, running exit handlers and
# flushing their output, before they are killed.
GRACE_SECONDS = 0.5

# How long a run may keep its last lane while runs without any wait for one.
_TURN_SECONDS = 0.1


# How long a run may keep its lanes while its caller's code runs, in an emitter or
# in a loop over results, before others may start lanes in their place.
AWAY_SECONDS = 0.5


class PoolClosed(RuntimeError):
    """No run may begin: the pool is closed."""

    def __init__(self) -> None:
        super().__init__("the pool is closed")


class Doorbell:
    """How a run that waits for a lane is told: a descriptor that turns readable."""

    def __init__(self, run: LeaseHolder | None = None) -> None:
        # Who waits for a lane, if it is that.
        self.run = run
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(self._write_end, False)
        self._is_open = True

    def fileno(self) -> int:
        return self._read_end

    def ring(self) -> None:
        try:
            os.write(self._write_end, b"!")
        except BlockingIOError:
            return  # a full pipe is as readable as can be

    def quiet(self) -> None:
        """Wait for the next ring."""
        try:
            os.read(self._read_end, 4096)
        except BlockingIOError:
            return

    def close(self) -> None:
        with handlers_deferred():
            if self._is_open:
                self._is_open = False
                os.close(self._read_end)
                os.close(self._write_end)


def _is_away(run: LeaseHolder | None) -> bool:
    """Whether code of a run's caller has run for so long that nobody is to wait for it."""
    return run is not None and 0.0 < run.away_since < time.monotonic() - AWAY_SECONDS


class LanePool:
    """At most `limit` lanes, started when asked for and kept for the next run.

    They share `cpus` CPUs.
    """

    def __init__(self, spec: WorkerSpec, limit: int, cpus: int) -> None:
        self.limit = 0
        self._cpus = cpus
        self._spec = spec
        self._forget_everything()
        self.grow(limit)
        self._closed = False
        self._terminated = False
        _supplies.add(self)

    def _forget_everything(self) -> None:
        # Re-entrant: a signal handler may close the pool while its thread is in here.
        self._lock = threading.RLock()
        self._lanes: set[Lane] = set()
        self._idle: list[Lane] = []
        self._waiting: deque[Doorbell] = deque()
        # What the callables of a run were that was over lately, and how long they
        # took then and the time before, in seconds on average.
        self._pace: tuple[frozenset[int] | None, float, float] = None, 0.0, 0.0
        # The thread of each run. A thread may be in several: an emitter may begin one.
        self._runs: dict[LeaseHolder, int] = {}

    @property
    def closed(self) -> bool:
        """Whether no run may begin any more."""
        return self._closed

    @property
    def terminated(self) -> bool:
        """Whether the interpreter is exiting, or the pool is garbage."""
        return self._terminated

    def grow(self, limit: int) -> None:
        """Let there be `limit` lanes, if that is more than before."""
        with self._lock:
            if limit > self.limit:
                self.limit = limit
                share = max(1, self._cpus // limit)
                self._spec = evolve(self._spec, cpus=share, spin=limit <= self._cpus)

    @property
    def spin(self) -> bool:
        """Whether to be awake for a moment before waiting: there are CPUs for all lanes."""
        return self._spec.spin

    # Runs

    def enter(self, run: LeaseHolder) -> None:
        """A run begins, in this thread.

        Raises `PoolClosed` if the supply is closed, and what `check_not_imported` raises.
        """
        check_not_imported()
        thread = threading.get_ident()
        # Those that one interrupt after another has kept from leaving.
        for other, of in list(self._runs.items()):
            if of == thread and other.is_lost:
                other.disband()
        with self._lock:
            if self._closed:
                raise PoolClosed
            self._runs[run] = thread

    def leave(self, run: LeaseHolder, doorbell: Doorbell | None) -> None:
        """A run ends. Lanes that it has not given back are at work, or have been
        lost to an interrupt: they are killed.

        If an interrupt comes in between, it can be called again.
        """
        with self._lock:
            if doorbell is not None:
                if doorbell in self._waiting:
                    self._waiting.remove(doorbell)
                doorbell.close()
            held = [
                lane
                for lane in self._lanes
                if lane.holder is run and not lane.is_left and lane not in self._idle
            ]
            left = self._left_for(run)
            # It may have been rung, and not have asked any more.
            if self._waiting and (self._idle or not self._has_more_than(self.limit - 1)):
                self._ring()
            # What was needed above the limit is not, when the run that was in the way is gone.
            surplus: list[Lane] = []
            if not self._is_nested(self._runs.get(run)):
                while self._idle and self._has_more_than(self.limit + len(held) + len(surplus)):
                    surplus.append(self._take_idle(run))
        for lane in held:
            if not lane.hung_up_at:
                lane.kill()
        for lane in held:
            if lane.hung_up_at:
                lane.wait_for_exit(max(0.0, lane.hung_up_at + GRACE_SECONDS - time.monotonic()))
            lane.end()
            self.discard(lane)
        if surplus:
            self._end(surplus)
        for lane in left:
            self.release(lane)
        # Last: what a run has, nobody else touches.
        with self._lock:
            self._runs.pop(run, None)

    def expected_seconds(self, kinds: frozenset[int] | None) -> float | None:
        """How long such callables took lately, in seconds on average; None if that is not known.

        The less of two times: quick ones take long now and then, when they are preempted.
        """
        known, seconds, before = self._pace
        return min(seconds, before) if kinds is not None and kinds == known else None

    def remember(self, kinds: frozenset[int] | None, seconds: float | None) -> None:
        """Such callables have taken so long."""
        # All in one step, so that no thread reads half of it; the last one counts.
        if kinds is not None and seconds is not None:
            known, last, _ = self._pace
            self._pace = kinds, seconds, last if kinds == known else seconds

    def has_to_share(self, held: int) -> bool:
        """Whether a run that holds so many lanes should give one back."""
        # Read without the lock: a run that finds this out a moment late gives
        # back its lane a batch later.
        return self._someone_waits() and held > max(1, self.limit // max(1, len(self._runs)))

    def is_due(self, lane: Lane, held: int) -> bool:
        """Whether a run that holds so many lanes should give back this one when it is idle.

        With more runs than lanes, each may have one for a while.
        """
        return self._someone_waits() and (
            self.has_to_share(held)
            or (len(self._runs) > self.limit and time.monotonic() - lane.held_since > _TURN_SECONDS)
        )

    # Lanes

    def acquire(self, run: LeaseHolder, doorbell: Doorbell | None) -> Lane | None:
        """An idle lane, or a new one, for a run; None if there are as many as may be.

        Then the doorbell, if given, is rung when it is worth asking again.
        Raises `OSError` if a worker cannot be started.
        """
        with self._lock:
            if self._terminated:
                raise RuntimeError("the pool is gone: the interpreter is exiting")
            if run.cancel_reason:
                return None
            if self._idle:
                return self._take_idle(run)
            if self._present() >= self.limit and not self._must_start(run):
                if doorbell is not None and doorbell not in self._waiting:
                    self._waiting.append(doorbell)
                return None
            taken = {lane.number for lane in self._lanes if not lane.hung_up_at}
            lane = Lane(next(number for number in count() if number not in taken))
            lane.hold(run)
            # Before it is started: what an interrupt leaves of it, `leave` finds.
            self._lanes.add(lane)
        # Outside the lock: this takes a millisecond or two.
        try:
            lane.start(self._spec)
        except OSError:
            self.discard(lane)
            raise
        return lane

    def _take_idle(self, run: LeaseHolder) -> Lane:
        # The last one used: its worker's memory is in the caches.
        self._idle[-1].hold(run)
        return self._idle.pop()

    def _present(self) -> int:
        """How many lanes there are that somebody can give back.

        Whoever is away may wait for the very run that waits for a lane here.
        """
        return sum(
            lane.holder is None or not _is_away(lane.holder)
            for lane in self._lanes
            if not lane.hung_up_at
        )

    def _has_more_than(self, number: int) -> bool:
        """Whether there are more lanes than that, without those that are about to end."""
        above = len(self._lanes) - number
        return above > 0 and above > sum(lane.hung_up_at > 0 for lane in self._lanes)

    def knows(self, run: LeaseHolder, doorbell: Doorbell | None) -> bool:
        """Whether a run will be told when there is a lane for it."""
        with self._lock:
            return doorbell in self._waiting or bool(self._left_for(run))

    def _someone_waits(self) -> bool:
        # Most often nobody does, and the question is asked for each batch.
        return bool(self._waiting) and any(
            not _is_away(doorbell.run) for doorbell in list(self._waiting)
        )

    def _must_start(self, run: object) -> bool:
        """Whether a run waits for its own thread: another run of it, further out, has the lanes.

        Then it is given one lane above the limit, or it would wait for ever.
        """
        return self._is_nested(threading.get_ident()) and not any(
            lane.holder is run for lane in self._lanes
        )

    def _is_nested(self, thread: int | None) -> bool:
        """Whether this thread is in a run that another run of it has begun."""
        runs = self._runs
        return len(runs) > 1 and sum(other == thread for other in runs.values()) > 1

    def collect(self, run: LeaseHolder) -> list[Lane]:
        """Take the lanes that have been left for a run; none if it was rung for another reason."""
        with self._lock:
            lanes = self._left_for(run)
            for lane in lanes:
                lane.hold(run)
        return lanes

    def _left_for(self, run: LeaseHolder) -> list[Lane]:
        return [lane for lane in self._lanes if lane.holder is run and lane.is_left]

    def release(self, lane: Lane) -> None:
        """Give back a lane that has nothing to do."""
        lane.is_new = False
        with self._lock:
            doorbell = self._ring()
            if doorbell is not None and doorbell.run is not None:
                # Handed over, not put back: the run that gives it up would
                # often be the first to take it again.
                lane.leave_for(doorbell.run)
                return
            # One above the limit is kept for the next nested run.
            if not self._closed and (
                not self._has_more_than(self.limit) or self._is_nested(threading.get_ident())
            ):
                self._idle.append(lane)
                lane.holder = None
                return
        self._end([lane])

    def discard(self, lane: Lane) -> None:
        """A lane is buried: there may be another in its place."""
        with self._lock:
            self._lanes.discard(lane)
            self._ring()

    def _ring(self) -> Doorbell | None:
        """Tell the first run that waits, and can listen; gives its doorbell."""
        # With the lock held: a run cannot leave, and close its doorbell, meanwhile.
        for doorbell in self._waiting:
            if not _is_away(doorbell.run):
                self._waiting.remove(doorbell)
                doorbell.ring()
                return doorbell
        return None

    # The end

    def close(self) -> None:
        """Let no run begin any more, and end the idle workers.

        Those that are out with a run end when it gives them back.
        """
        with self._lock:
            self._closed = True
            self._idle.clear()
            unused = [lane for lane in self._lanes if lane.holder not in self._runs]
        self._end(unused)

    def end_idle(self) -> None:
        """End the idle workers; the next run starts others."""
        with self._lock:
            idle, self._idle = self._idle, []
        self._end(idle)

    def terminate(self) -> None:
        """End all workers; those that are at work are killed."""
        self.close()
        with self._lock:
            self._terminated = True
            # Their runs, in daemon threads, will not come to bury them.
            for lane in self._lanes:
                lane.kill()

    def terminate_workers(self) -> None:
        """Ask all workers to end (SIGTERM), whatever they do."""
        with self._lock:
            for lane in self._lanes:
                lane.terminate()

    def kill_workers(self) -> None:
        """Kill all workers, whatever they do, and all that they have started."""
        with self._lock:
            for lane in self._lanes:
                lane.kill()

    def cancel(self, reason: str) -> None:
        """End all runs, for this reason, with the outcomes they have; their workers are killed."""
        with self._lock:
            for run in self._runs:
                run.cancel_reason = reason
            for doorbell in self._waiting:
                doorbell.ring()
            # None is given to such a run any more. A killed one tells its run, wherever that
            # waits. With the lock held: another run could have got it by then.
            for lane in self._lanes:
                if lane.holder in self._runs:
                    lane.kill()

    def _end(self, lanes: list[Lane]) -> None:
        for lane in lanes:
            if lane.ready:
                lane.hang_up()
            else:
                lane.kill()  # it has not begun to do anything
        deadline = time.monotonic() + GRACE_SECONDS
        for lane in lanes:
            lane.wait_for_exit(max(0.0, deadline - time.monotonic()))
            lane.end()
            self.discard(lane)

    def abandon(self) -> None:
        """In a forked child: the lanes are the parent's, and their locks may be held."""
        for lane in self._lanes:
            lane.abandon()
        self._forget_everything()


_supplies: weakref.WeakSet[LanePool] = weakref.WeakSet()


def worker_pids() -> set[int]:
    """The process ids of all workers that this process has."""
    return {lane.pid for supply in list(_supplies) for lane in list(supply._lanes) if lane.is_there}


def end_idle_workers() -> None:
    """End those workers of this process that are idle: they print where it did when they began."""
    for supply in list(_supplies):
        supply.end_idle()


def _abandon_all() -> None:
    for supply in list(_supplies):
        supply.abandon()


os.register_at_fork(after_in_child=_abandon_all)
