"""A watchdog: a thread that looks whether callables break a limit, and kills the worker then.

It does not depend on what the thread of the run is doing, which may be in an
emitter, or in the caller's loop over results. It is there only while a run with
such a limit has lanes. What it looks at is in memory that it shares with the
workers, or in the kernel; they do nothing for it.

For a time limit it wakes up when the first callable could have broken it. Memory has
to be looked at again and again: every 50 ms, or as rarely as it takes to spend no
more than a hundredth of the time on it.

It also keeps what callables print from taking too much memory, where that is captured.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from enact_pool._core.timing import (
    LIMIT_LOOK_SECONDS,
    LOADING_SECONDS,
    SHORT_RUN_SECONDS,
    SMALL_SHARE,
)
from enact_pool._ipc.flight_recorder import Activity
from enact_pool._ipc.output_file import trim
from enact_pool._lanes.base import Lane
from enact_pool._model.limits import Limits, LimitViolation
from enact_pool._python.interrupts import handlers_deferred
from enact_pool._system.process_tree import own_bytes

__all__ = ["LimitEnforcer"]


class LimitEnforcer:
    """Watches the lanes of one run."""

    def __init__(
        self, limits: Limits, on_failure: Callable[[BaseException], object], *, trims: bool = False
    ) -> None:
        """`on_failure` is called if limits cannot be kept any more, before the lanes are killed."""
        self._on_failure = on_failure
        self._timeout = limits.timeout
        self._max_memory = limits.max_memory
        # Whether what callables print is captured, and is not to take too much memory.
        self._trims = trims
        # Held with signal handlers deferred: one that raises could leave it locked.
        self._changed = threading.Condition(threading.Lock())
        self._lanes: set[Lane] = set()
        self._next_weighing = self._next_trimming = 0.0
        self._thread: threading.Thread | None = None
        self._due_at = time.monotonic() + min(SHORT_RUN_SECONDS, (limits.timeout or 1.0) / 4)
        self._is_over = False

    def watch(self, lane: Lane) -> None:
        """Watch this lane, too."""
        with handlers_deferred(), self._changed:
            self._lanes.add(lane)
            self._changed.notify()

    def forget(self, lane: Lane) -> None:
        """Stop watching this lane. After the return, nothing inspects it."""
        with handlers_deferred(), self._changed:
            self._lanes.discard(lane)

    @property
    def delay(self) -> float:
        """After how many seconds it has to be started."""
        return float("inf") if self._thread else max(0.0, self._due_at - time.monotonic())

    def start(self) -> None:
        """Start the thread, if it is not there. Most short runs are over before they need one.

        Raises `RuntimeError` if it cannot be started.
        """
        if self._thread is None:
            with handlers_deferred():
                thread = threading.Thread(
                    target=self._watch, name="enact_pool-watchdog", daemon=True
                )
                thread.start()
                self._thread = thread

    def stop(self) -> None:
        """Watch nothing any more; can be called again."""
        with handlers_deferred():
            with self._changed:
                self._is_over = True
                self._lanes.clear()
                self._changed.notify()
            if self._thread is not None:
                self._thread.join()
                self._thread = None

    def _watch(self) -> None:
        with self._changed:
            try:
                while not self._is_over:
                    # Waiting releases the lock; everything else holds it, so that no
                    # lane is reaped while it is inspected.
                    self._changed.wait(self._look())
            except BaseException as error:
                # Nobody would notice that limits are not kept any more.
                self._on_failure(error)
                for lane in self._lanes:
                    lane.kill()

    def _look(self) -> float | None:
        """Kill workers that broke a limit; return after how many seconds to look again."""
        waits: list[float] = []
        if self._timeout is not None:
            waits.append(self._look_at_times(self._timeout))
        if self._max_memory is not None:
            now = time.monotonic()
            if now >= self._next_weighing:
                begun = time.thread_time()
                self._look_at_memory(self._max_memory)
                pause = (time.thread_time() - begun) / SMALL_SHARE
                self._next_weighing = now + max(LIMIT_LOOK_SECONDS, pause)
            waits.append(self._next_weighing - time.monotonic())
        if self._trims:
            now = time.monotonic()
            if now >= self._next_trimming:
                begun = time.thread_time()
                trimmed = self._trim()
                # A callable that prints so much is checked again soon, at any cost.
                pause = 0.0 if trimmed else (time.thread_time() - begun) / SMALL_SHARE
                self._next_trimming = now + max(LIMIT_LOOK_SECONDS, pause)
            waits.append(self._next_trimming - time.monotonic())
        if not self._lanes:
            return None
        return max(0.0, min(*waits, threading.TIMEOUT_MAX))

    def _look_at_times(self, timeout: float) -> float:
        """Return after how many seconds a callable may first exceed the time limit."""
        first = timeout
        for lane in list(self._lanes):
            activity = lane.notes.activity if lane.ready else None
            if activity is None:
                continue
            _, loading, since_ns = activity
            most = timeout + LOADING_SECONDS if loading else timeout
            left = most - (time.monotonic_ns() - since_ns) / 1e9
            if left <= 0:
                self._punish(lane, activity, LimitViolation.of_time(most))
            else:
                first = min(first, left)
        return first

    def _look_at_memory(self, most: int) -> None:
        for lane in list(self._lanes):
            activity = lane.notes.activity if lane.ready else None
            if activity is None:
                continue
            size = own_bytes(lane.pid, most)
            if size > most:
                self._punish(lane, activity, LimitViolation.of_memory(most, size))

    def _trim(self) -> bool:
        """Trim output files; return whether any was trimmed."""
        busy = [lane for lane in self._lanes if lane.ready and lane.notes.activity is not None]
        trimmed = [trim(lane.pid, lane.notes.reported) for lane in busy]
        return any(trimmed)

    def _punish(self, lane: Lane, activity: Activity, violation: LimitViolation) -> None:
        if lane.kill_for_violation(activity, violation):
            self._lanes.discard(lane)  # the run will see its end
