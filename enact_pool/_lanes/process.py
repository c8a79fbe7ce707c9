"""A worker's process, as its parent has it: started, watched, stopped, killed, waited for.

Its process id is its own until somebody has waited for its end. So whoever signals
it by that, and whoever waits for it, holds the same lock.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait
from typing import Any, Literal

from enact_pool._core.states import IllegalTransition
from enact_pool._core.timing import STOP_LOOK_SECONDS, STOP_SECONDS
from enact_pool._lanes.spawn import Popen, WorkerSpec, spawn
from enact_pool._python.interrupts import handlers_deferred
from enact_pool._system.oom import oom_kills
from enact_pool._system.process_tree import is_stopped, kill_session, kill_tree

__all__ = ["WorkerProcess"]


_waitid: Any = getattr(os, "waitid", None)  # on macOS from Python 3.13 on


class WorkerProcess:
    """One process, from its start to its end. Used by one thread at a time; but any may kill it."""

    def __init__(self) -> None:
        self._popen: Popen | None = None
        # A pidfd, which can be read when it has ended; None where there are none.
        self.exit: int | None = None
        # Held with signal handlers deferred: one may want the lock of a lane pool, which
        # others hold when they want this one.
        self._lock = threading.RLock()
        self._kills_before: tuple[int, ...] = ()

    def _start_process(
        self, spec: WorkerSpec, descriptors: Sequence[int], definitions: bytes
    ) -> None:
        """Start it, with these descriptors and definitions. Raises `OSError`."""
        self._kills_before = oom_kills()
        self._popen = spawn(spec, descriptors, definitions)
        # A process that the worker has forked inherits its pipes and loky's
        # sentinel, so their closing may come long after the worker's death.
        # A pidfd signals it at once. Without one (macOS), poll `has_exited`.
        if hasattr(os, "pidfd_open"):
            try:
                self.exit = os.pidfd_open(self.pid)
            except OSError:
                return  # an old kernel, or a sandbox that refuses it

    @property
    def pid(self) -> int:
        """The process id."""
        return int(self._started().pid)

    def _started(self) -> Popen:
        if self._popen is None:
            raise IllegalTransition("the worker was not started, or was released")
        return self._popen

    @property
    def is_there(self) -> bool:
        """Whether the process id is its own still: nobody has waited for its end."""
        if self._popen is None or self._popen.returncode is not None:
            return False
        # A pidfd identifies this process; a number may be another's by now.
        return self._signal(0) if self.exit is not None else self._look() != "gone"

    def has_exited(self) -> bool:
        """Return whether it has ended; then it can be reaped."""
        with self._lock, handlers_deferred():
            return self._look() != "alive"

    def _look(self) -> Literal["alive", "ended", "gone"]:
        """Return what has become of it; "gone" if it was waited for.

        That may be the system, if SIGCHLD is ignored, or a handler of SIGCHLD that waits for
        all children. The lock must be held.
        """
        popen = self._popen
        if popen is None or popen.returncode is not None:
            return "gone"
        try:
            if _waitid is not None:
                ended = _waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                return "alive" if ended is None else "ended"
            pid, status = os.waitpid(popen.pid, os.WNOHANG)
        except ChildProcessError:
            return "gone"
        if not pid:
            return "alive"
        popen.returncode = os.waitstatus_to_exitcode(status)
        # At once: as long as its session has members, its number is not given to another.
        kill_session(pid)
        return "gone"

    def wait_for_exit(self, seconds: float) -> None:
        """Give it, if it is still there, some time to end."""
        if self._popen is None:
            return
        wait([self._popen.sentinel if self.exit is None else self.exit], seconds)

    def kill(self) -> None:
        """Kill it, if it is still there, and all that it has started."""
        with self._lock, handlers_deferred():
            if self.is_there:
                kill_tree(self.pid)

    def terminate(self) -> None:
        """Ask it to end, if it is still there."""
        with self._lock, handlers_deferred():
            if self.is_there:
                self._signal(signal.SIGTERM)

    def resume(self) -> None:
        """Let it go on, if it was stopped."""
        with self._lock, handlers_deferred():
            if self.is_there:
                self._signal(signal.SIGCONT)

    def kill_if(self, condition: Callable[[], bool]) -> bool:
        """Kill it, and all that it has started, if this holds while it stands still.

        Returns:
            Whether it is gone, for this reason or another.
        """
        with self._lock:
            if not self.is_there:
                return True
            goes_on = not is_stopped(self.pid)
            try:
                self._signal(signal.SIGSTOP)
                until = time.monotonic() + STOP_SECONDS
                # It may be in a system call that nothing interrupts; then it begins nothing either.
                while not is_stopped(self.pid) and time.monotonic() < until:
                    time.sleep(STOP_LOOK_SECONDS)
                if condition():
                    kill_tree(self.pid)
                    return True
                return False
            finally:
                if goes_on:
                    self._signal(signal.SIGCONT)  # if it was killed, that changes nothing

    def _signal(self, number: int) -> bool:
        """Send it a signal; return whether it was there, as far as that is known."""
        try:
            if self.exit is not None:
                signal.pidfd_send_signal(self.exit, number)
            else:
                os.kill(self.pid, number)
        except ProcessLookupError:
            return False  # something else in this process has waited for it
        return True

    def wait(self) -> None:
        """Wait for it, when it has ended or been killed; what it has started ends with it."""
        with self._lock, handlers_deferred():
            popen = self._started()
            if self.is_there:
                kill_session(self.pid)
            popen.wait()

    def _renew_lock(self) -> None:
        """In a forked child: another thread may have held it at the fork."""
        self._lock = threading.RLock()

    def _close_process(self) -> None:
        """Release it, as it is. Signal handlers must be deferred."""
        with self._lock:
            if self.exit is not None:
                os.close(self.exit)
            # Its number may soon be another's.
            self.exit = None
            # Its finalizer closes loky's sentinel.
            self._popen = None
