"""The fault injector: a thread that kills and stops workers, and uses up descriptors.

Workers are the children of this process that run enact_pool's `boot`. The injector
signals them through a pidfd, and logs each fault before it injects the fault.
"""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from random import Random

from benchmarks.chaos.fault_log import FaultLog
from benchmarks.chaos.tasks import identity, start_ticks

__all__ = ["FaultInjector", "workers"]

_STEP_S = 0.005
# The mean pause between faults, how long workers are stopped, and descriptors used up.
_PAUSE_S = 0.07
# One in so many pauses is longer, so that slow work can finish.
_CALM_ONE_IN = 12
_CALM_S = (0.5, 3.0)
_STOPS_S = (0.001, 0.005, 0.02, 0.1, 0.1, 0.5, 2.5)
_EXHAUSTS_S = (0.002, 0.02, 0.1, 0.2, 0.6)
_MOST_LEFT = 12
# One in so many faults uses up descriptors.
_EXHAUST_ONE_IN = 15
# Younger workers are mostly spared: a run whose workers fail to start three times
# fails, and then tests nothing else.
_YOUNG_S = 0.5
_SPARED = 0.9


def workers() -> list[int]:
    """Return the process ids of enact_pool's living workers among this process's children.

    Raises `OSError` if there is no descriptor to read /proc with.
    """
    found = []
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/children", "rb", buffering=0) as file:
                children = list(map(int, file.read().split()))
        except FileNotFoundError:
            continue  # a thread that has ended
        found += [pid for pid in children if _is_worker(pid)]
    return found


def _is_worker(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
            return b"enact_pool._worker.boot" in file.read()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _age_s(pid: int) -> float:
    """Return the age of a process in seconds; 0.0 if it is gone."""
    try:
        ticks = start_ticks(identity(pid))
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


class FaultInjector:
    """Injects faults from `start` to `stop`, except while it is paused."""

    def __init__(self, seed: int, faults: FaultLog) -> None:
        self._random = Random(f"{seed} injector")
        self._faults = faults
        # Held while a fault is injected, and during a pause.
        self._turn = threading.Lock()
        # How to undo faults, and when.
        self._undo: list[tuple[float, Callable[[], object]]] = []
        self._next = 0.0
        self._may_exhaust = False
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="injector")

    def start(self) -> None:
        """Start, paused."""
        self._turn.acquire()
        self._thread.start()

    def resume(self, *, exhaust: bool) -> None:
        """Resume; `exhaust` allows to use up descriptors."""
        self._may_exhaust = exhaust
        self._turn.release()

    def pause(self) -> None:
        """Undo all faults, and inject no more until `resume`."""
        self._turn.acquire()
        self._undo_until(float("inf"))

    def stop(self) -> None:
        """Stop, while paused."""
        self._is_over.set()
        self._turn.release()
        self._thread.join()

    def _work(self) -> None:
        while not self._is_over.wait(_STEP_S):
            with self._turn:
                if self._is_over.is_set():
                    return
                now = time.monotonic()
                self._undo_until(now)
                if now < self._next:
                    continue
                self._next = now + self._pause_s()
                try:
                    self._inject()
                except OSError:
                    self._faults.count("faults without a descriptor")

    def _pause_s(self) -> float:
        if self._random.randrange(_CALM_ONE_IN) == 0:
            return self._random.uniform(*_CALM_S)
        return self._random.expovariate(1 / _PAUSE_S)

    def _undo_until(self, now: float) -> None:
        due = [undo for at, undo in self._undo if at <= now]
        self._undo = [(at, undo) for at, undo in self._undo if at > now]
        for undo in due:
            undo()

    def _inject(self) -> None:
        found = workers()
        if self._random.random() < _SPARED:
            found = [pid for pid in found if _age_s(pid) > _YOUNG_S]
        if self._may_exhaust and self._random.randrange(_EXHAUST_ONE_IN) == 0:
            # Workers that are killed now cannot be replaced.
            for pid in self._random.sample(found, self._random.randint(0, len(found))):
                self._kill(pid)
            self._exhaust_descriptors()
        elif found and self._random.random() < 0.5:
            self._kill(self._random.choice(found))
        elif found:
            self._stop(self._random.choice(found))

    def _kill(self, pid: int) -> None:
        with ExitStack() as stack:
            worker = self._open_worker(pid, stack)
            if worker is None:
                return
            identity, pidfd = worker
            if not self._faults.record_kill(identity):
                return
            try:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            except ProcessLookupError:
                self._faults.withdraw_kill(identity)

    def _stop(self, pid: int) -> None:
        with ExitStack() as stack:
            worker = self._open_worker(pid, stack)
            if worker is None:
                return
            identity, pidfd = worker
            stack.enter_context(self._faults.during("stop", identity))
            try:
                signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
            except ProcessLookupError:
                return
            undo = stack.pop_all()
            undo.callback(_continue, pidfd)
            seconds = self._random.choice(_STOPS_S) * self._random.uniform(0.5, 1.0)
            self._undo.append((time.monotonic() + seconds, undo.close))

    def _open_worker(self, pid: int, stack: ExitStack) -> tuple[int, int] | None:
        """Return a worker's identity, and a pidfd that the stack closes; None if it is gone."""
        try:
            pidfd = os.pidfd_open(pid)
            stack.callback(os.close, pidfd)
            # The pid may have been reused before; from now on, it belongs to the pidfd's process.
            return (identity(pid), pidfd) if _is_worker(pid) else None
        except (FileNotFoundError, ProcessLookupError):
            return None

    def _exhaust_descriptors(self) -> None:
        """Leave few free descriptors: use them up, or lower the limit."""
        undo = ExitStack()
        undo.enter_context(self._faults.during("exhaustion"))
        left = self._random.randint(0, _MOST_LEFT)
        opened: list[int] = []
        undo.callback(_close_all, opened)
        if self._random.random() < 0.5:
            undo.callback(partial(_limit, _soft_limit()))
            _limit(max(map(int, os.listdir("/proc/self/fd"))) + left)
        else:
            try:
                while True:
                    opened.append(os.dup(0))
            except OSError:
                _close_all(opened, left)
        seconds = self._random.choice(_EXHAUSTS_S) * self._random.uniform(0.5, 1.0)
        self._undo.append((time.monotonic() + seconds, undo.close))


def _continue(pidfd: int) -> None:
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGCONT)
    except ProcessLookupError:
        return


def _close_all(descriptors: list[int], most: int | None = None) -> None:
    """Close all of these, or at most the last `most`."""
    for _ in range(len(descriptors) if most is None else min(most, len(descriptors))):
        os.close(descriptors.pop())


def _soft_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _limit(soft: int) -> None:
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )
