"""The lanes of a pool: runs lease them, and release them.

A run drives its lanes alone, in its own thread. So runs of several threads share a pool by
leasing lanes from here. When all lanes are leased and a run waits for one, the others release
what is above a fair share; and with more runs than lanes, they take turns.

Who has which lane is decided by a `LeaseBook`, under the lock. What follows from that (starting,
killing, waiting, ringing) is done outside the lock.

The lock is never re-entered. Signal handlers, finalizers and the garbage collector can close or
cancel a pool, end a run or begin one, while the thread that they interrupt is in here. What
arrives so is put into a queue, and carried out by the same thread when it leaves.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import evolve

from enact_pool._core.batch_sizing import Pace
from enact_pool._core.leasing import LeaseBook, Left
from enact_pool._core.sharing import LeaseHolder
from enact_pool._core.timing import EXIT_GRACE_SECONDS
from enact_pool._ipc.doorbell import Doorbell
from enact_pool._lanes.base import Lane
from enact_pool._lanes.local_lane import LocalLane
from enact_pool._lanes.spawn import WorkerSpec
from enact_pool._python.loading import check_not_imported, loading_now

__all__ = ["LanePool", "PoolClosed", "end_idle_workers", "worker_pids"]


class PoolClosed(RuntimeError):
    """No run can begin: the pool is closed."""

    def __init__(self) -> None:
        super().__init__("the pool is closed")


class LanePool:
    """The lanes of a pool, started when asked for and kept for the next run.

    Attributes:
        book: Who has which lane, and how many lanes there may be. Changed under the lock only.
        spins: Whether to poll for a moment before waiting: there are CPUs for all lanes.
        pace: How long the callables of recent runs took.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        limit: int,
        cpus: int,
        *,
        make_lane: Callable[[int], Lane] = LocalLane,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cpus = cpus
        self._spec = spec
        self._make_lane = make_lane
        self.spins = False
        self._clock = clock
        self._is_terminated = False
        self.book: LeaseBook[Lane, LeaseHolder] = LeaseBook(0)
        self._begin_anew()
        self.grow(limit)
        _pools.add(self)

    def _begin_anew(self) -> None:
        self.book = LeaseBook(self.book.limit, self.book.closed)
        # Re-entrant only for the moments in which it is held and `_inside` is not set: nothing
        # has begun to change then, or all of it has been done.
        self._lock = threading.RLock()
        # The thread that is about to change the book; 0 if none is.
        self._inside = 0
        # What arrived while its own thread was inside.
        self._queue: deque[Callable[[], object]] = deque()
        self._doorbells: dict[LeaseHolder, Doorbell] = {}
        # How long the callables of recent runs took.
        self.pace = Pace()

    # `enter`, `acquire`, `release` and `leave` do by hand what `_locked` does: each run calls
    # them, and a generator costs more than what they do (the row "1 no-op").

    @contextmanager
    def _locked(self) -> Iterator[LeaseBook[Lane, LeaseHolder]]:
        """Hold the lock, and yield the book. This thread must not be inside already."""
        try:
            with self._lock:
                self._inside = threading.get_ident()
                try:
                    yield self.book
                finally:
                    self._inside = 0
        finally:
            self._carry_out()

    def _carry_out(self) -> None:
        # A handler can add to it at any moment, also in here.
        while self._queue:
            self._queue.popleft()()

    def _postpones(self, operation: Callable[[], object]) -> bool:
        """Return whether this thread is inside; then the operation is carried out later."""
        if self._inside != threading.get_ident():
            return False
        self._queue.append(operation)
        return True

    @property
    def terminated(self) -> bool:
        """Whether the interpreter is exiting, or the pool is garbage."""
        return self._is_terminated

    def grow(self, limit: int) -> None:
        """Raise the limit of lanes to `limit`, if that is more than before."""
        if limit <= self.book.limit or self._postpones(lambda: self.grow(limit)):
            return
        with self._locked() as book:
            if limit > book.limit:
                book.limit = limit
                share = max(1, self._cpus // limit)
                self.spins = limit <= self._cpus
                self._spec = evolve(self._spec, cpus=share, spin=self.spins)

    # Runs

    def enter(self, run: LeaseHolder) -> None:
        """Begin a run in this thread.

        Raises:
            PoolClosed: The pool is closed.
            RuntimeError: See `check_not_imported`.
        """
        if loading_now.thread:
            check_not_imported()
        thread = threading.get_ident()
        # Runs that repeated interrupts have kept from leaving.
        if self.book.runs:
            for other, of in list(self.book.runs.items()):
                if of == thread and other.is_lost:
                    other.disband()
        if self.book.closed:
            raise PoolClosed
        if self._inside == thread:
            self._queue.append(lambda: self.book.runs.__setitem__(run, thread))
            return
        with self._lock:
            self._inside = thread
            try:
                has_begun = not self.book.closed
                if has_begun:
                    self.book.runs[run] = thread
            finally:
                self._inside = 0
        if self._queue:
            self._carry_out()
        if not has_begun:
            raise PoolClosed

    def leave(self, run: LeaseHolder) -> None:
        """End a run, and kill the workers of lanes that it has not released.

        These lanes are at work, or were lost to an interrupt. Can be called again if an
        interrupt comes in between.
        """
        thread = threading.get_ident()
        if self._inside == thread:
            self._queue.append(lambda: self.leave(run))
            return
        now = self._clock()
        with self._lock:
            self._inside = thread
            try:
                left = self.book.leave(run, now)
                doorbell = self._doorbells.pop(run, None)
            finally:
                self._inside = 0
        if self._queue:
            self._carry_out()
        if doorbell is not None:
            doorbell.close()
        if left is not None:
            self._clean_up(run, left)

    def _clean_up(self, run: LeaseHolder, left: Left[Lane, LeaseHolder]) -> None:
        """End or release the lanes that a run has left."""
        self._ring(left.next_waiting)
        for lane in left.held:
            if not lane.drained_at:
                lane.kill()
        for lane in left.held:
            if lane.drained_at:
                seconds = lane.drained_at + EXIT_GRACE_SECONDS - self._clock()
                lane.wait_for_exit(max(0.0, seconds))
            lane.end()
            self.discard(lane)
        if left.surplus:
            self._end(left.surplus)
        for lane in left.offered:
            self.release(lane)
        # Last: nothing else touches what a run has.
        with self._locked() as book:
            book.forget(run)

    # Lanes

    def acquire(self, run: LeaseHolder) -> Lane | None:
        """Lease an idle lane to a run, or a new one.

        Returns:
            None if there are as many as there may be, or the run is cancelled. Then the doorbell
            of the run is rung when it is worth asking again: see `doorbell_of`.

        Raises:
            OSError: A worker cannot be started.
            RuntimeError: The interpreter is exiting.
        """
        if self._is_terminated:
            raise RuntimeError("the pool is gone: the interpreter is exiting")
        if run.cancel_reason:
            return None
        thread, now, book = threading.get_ident(), self._clock(), self.book
        if self._inside == thread:
            # The interrupted thread would never release a lane: start another one.
            number = book.next_number()
            lane = self._make_lane(number)
            self._queue.append(lambda: book.start(lane, number, run, now))
        else:
            with self._lock:
                self._inside = thread
                try:
                    found = book.acquire(run, now)
                    if found == "wait":
                        if run in self._doorbells:
                            book.wait(run)
                    elif found == "start":
                        lane = self._make_lane(number := book.next_number())
                        # Before it is started: `leave` finds what an interrupt leaves of it.
                        book.start(lane, number, run, now)
                finally:
                    self._inside = 0
            if self._queue:
                self._carry_out()
            if found == "wait":
                return None
            if found != "start":
                return found
        # Outside the lock: this takes a millisecond or two.
        try:
            lane.start(self._spec)
        except OSError:
            self.discard(lane)
            raise
        return lane

    def doorbell_of(self, run: LeaseHolder) -> Doorbell:
        """Return the doorbell that is rung when a run may have a lane. Raises `OSError`.

        It is closed when the run leaves.
        """
        doorbell = self._doorbells.get(run)
        if doorbell is None:
            doorbell = self._doorbells[run] = Doorbell()
        return doorbell

    def collect(self, run: LeaseHolder) -> list[Lane]:
        """Lease to a run the lanes that were offered to it; return them."""
        if self._inside == threading.get_ident():
            return []
        with self._locked() as book:
            return book.collect(run, self._clock())

    def release(self, lane: Lane) -> None:
        """Take back a lane that has nothing to do."""
        thread = threading.get_ident()
        if self._inside == thread:
            self._queue.append(lambda: self.release(lane))
            return
        lane.is_new = False
        with self._lock:
            self._inside = thread
            try:
                to = self.book.release(lane, thread, self._clock())
            finally:
                self._inside = 0
        if self._queue:
            self._carry_out()
        if to == "drain":
            self._end([lane])
        elif to != "idle":
            self._ring(to)

    def drained(self, lane: Lane) -> None:
        """Note that a run has drained a lane: its worker is about to exit."""
        if not self._postpones(lambda: self.drained(lane)):
            with self._locked() as book:
                book.drained(lane)

    def discard(self, lane: Lane) -> None:
        """Forget a lane whose worker is gone: there may be another in its place."""
        if self._postpones(lambda: self.discard(lane)):
            return
        with self._locked() as book:
            next_waiting = book.discard(lane, self._clock())
        self._ring(next_waiting)

    def _ring(self, run: LeaseHolder | None) -> None:
        doorbell = None if run is None else self._doorbells.get(run)
        if doorbell is not None:
            doorbell.ring()

    # Sharing

    def knows(self, run: LeaseHolder) -> bool:
        """Return whether the doorbell of a run will be rung when there is a lane for it."""
        if self._inside == threading.get_ident():
            return True  # its queued operation decides
        with self._locked() as book:
            return book.knows(run)

    def has_to_share(self, held: int) -> bool:
        """Return whether a run that has so many lanes should release one."""
        # Without the lock: a run that learns this a moment late releases a lane a batch later.
        return self.book.has_to_share(held, self._clock())

    def is_due(self, lane: Lane, held: int) -> bool:
        """Return whether a run that has so many lanes should release this one when it is idle."""
        return self.book.is_due(lane, held, self._clock())

    # The end

    def close(self) -> None:
        """Refuse new runs, and end the idle workers.

        Those that runs have end when these release them.
        """
        if not self._postpones(self.close):
            with self._locked() as book:
                unused = book.close()
            self._end(unused)

    def end_idle(self) -> None:
        """End the idle workers; the next run starts others."""
        if not self._postpones(self.end_idle):
            with self._locked() as book:
                idle = book.drain_idle()
            self._end(idle)

    def terminate(self) -> None:
        """End all workers; those that are at work are killed."""
        self.close()
        self._is_terminated = True
        # Their runs, in daemon threads, will not wait for them.
        self.kill_workers()

    def terminate_workers(self) -> None:
        """Ask all workers to exit (SIGTERM), busy or not."""
        for lane in self.book.lanes():
            lane.terminate()

    def kill_workers(self) -> None:
        """Kill all workers, busy or not, and all that they have started."""
        if not self._postpones(self.kill_workers):
            with self._locked() as book:
                doomed = book.doom()
            for lane in doomed:
                lane.kill()

    def cancel(self, reason: str) -> None:
        """End all runs, for this reason, with the outcomes they have; their workers are killed."""
        if self._postpones(lambda: self.cancel(reason)):
            return
        with self._locked() as book:
            for run in book.runs:
                run.cancel_reason = reason
            # No lane is leased to such a run any more, and no doomed lane to any run.
            doomed = book.doom(only_leased=True)
            doorbells = list(self._doorbells.values())
        for doorbell in doorbells:
            doorbell.ring()
        # A killed worker wakes its run up, wherever that waits.
        for lane in doomed:
            lane.kill()

    def _end(self, lanes: list[Lane]) -> None:
        for lane in lanes:
            if lane.ready:
                lane.drain()
            else:
                lane.kill()  # it has not begun to do anything
        deadline = self._clock() + EXIT_GRACE_SECONDS
        for lane in lanes:
            lane.wait_for_exit(max(0.0, deadline - self._clock()))
            lane.end()
            self.discard(lane)

    def abandon(self) -> None:
        """In a forked child: the lanes are the parent's, and their locks may be held."""
        for lane in self.book.lanes():
            lane.abandon()
        for doorbell in self._doorbells.values():
            doorbell.abandon()
        self._begin_anew()

    def lanes(self) -> list[Lane]:
        """Return all lanes."""
        return self.book.lanes()


_pools: weakref.WeakSet[LanePool] = weakref.WeakSet()


def worker_pids() -> set[int]:
    """Return the process ids of all workers that this process has."""
    return {lane.pid for pool in list(_pools) for lane in pool.lanes() if lane.is_there}


def end_idle_workers() -> None:
    """End those workers of this process that are idle: they print where it did when they began."""
    for pool in list(_pools):
        pool.end_idle()


def _abandon_all() -> None:
    for pool in list(_pools):
        pool.abandon()


os.register_at_fork(after_in_child=_abandon_all)
