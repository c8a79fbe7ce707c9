"""The injector: a thread that kills and stops workers, and takes descriptors from its process.

It takes as workers the children of this process that run enact_pool's `boot`, signals
them through a pidfd, and enters what it does into the faults before it does it.
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

from benchmarks.chaos.injected_faults import FaultLog
from benchmarks.chaos.tasks import identity, start_ticks

__all__ = ["FaultInjector", "workers"]

_STEP_S = 0.005
# How often something is done, how long workers are stopped, and descriptors taken.
_PAUSE_S = 0.07
# Out of so many pauses, one is so long: what takes its time is done then.
_CALM_ONE_IN = 12
_CALM_S = (0.5, 3.0)
_STOPS_S = (0.001, 0.005, 0.02, 0.1, 0.1, 0.5, 2.5)
_SQUEEZES_S = (0.002, 0.02, 0.1, 0.2, 0.6)
_MOST_LEFT = 12
# Out of so many things that are done, one is to squeeze.
_SQUEEZE_ONE_IN = 15
# Workers that are younger are spared for the most part: who has to start three in
# vain gives up, and does nothing of what is to be watched.
_YOUNG_S = 0.5
_SPARED = 0.9


def workers() -> list[int]:
    """The process ids of enact_pool's workers that are children of this process, and alive.

    Raises `OSError` if there is no descriptor to look with.
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
    """How long ago a process began; 0.0 if it is gone."""
    try:
        ticks = start_ticks(identity(pid))
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


class FaultInjector:
    """Does its work from `start` to `stop`, but for pauses."""

    def __init__(self, seed: int, faults: FaultLog) -> None:
        self._random = Random(f"{seed} injector")
        self._faults = faults
        # Held while something is done, and by who makes it pause.
        self._turn = threading.Lock()
        # What is to be undone, and when.
        self._undo: list[tuple[float, Callable[[], object]]] = []
        self._next = 0.0
        self._may_exhaust = False
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="injector")

    def start(self) -> None:
        """Begin, in a pause."""
        self._turn.acquire()
        self._thread.start()

    def resume(self, *, squeeze: bool) -> None:
        """Go on, without squeezing at first if need be."""
        self._may_exhaust = squeeze
        self._turn.release()

    def pause(self) -> None:
        """Undo everything, and do nothing more. Returns when that is so."""
        self._turn.acquire()
        self._undo_until(float("inf"))

    def stop(self) -> None:
        """End, in a pause."""
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
                    self._disturb()
                except OSError:
                    self._faults.count("disturbances without a descriptor")

    def _pause_s(self) -> float:
        if self._random.randrange(_CALM_ONE_IN) == 0:
            return self._random.uniform(*_CALM_S)
        return self._random.expovariate(1 / _PAUSE_S)

    def _undo_until(self, now: float) -> None:
        due = [undo for at, undo in self._undo if at <= now]
        self._undo = [(at, undo) for at, undo in self._undo if at > now]
        for undo in due:
            undo()

    def _disturb(self) -> None:
        found = workers()
        if self._random.random() < _SPARED:
            found = [pid for pid in found if _age_s(pid) > _YOUNG_S]
        if self._may_exhaust and self._random.randrange(_SQUEEZE_ONE_IN) == 0:
            # What is killed now cannot be replaced.
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
            who, pidfd = worker
            if not self._faults.record_kill(who):
                return
            try:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            except ProcessLookupError:
                self._faults.withdraw_kill(who)

    def _stop(self, pid: int) -> None:
        with ExitStack() as stack:
            worker = self._open_worker(pid, stack)
            if worker is None:
                return
            who, pidfd = worker
            stack.enter_context(self._faults.during("stop", who))
            try:
                signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
            except ProcessLookupError:
                return
            undo = stack.pop_all()
            undo.callback(_continue, pidfd)
            seconds = self._random.choice(_STOPS_S) * self._random.uniform(0.5, 1.0)
            self._undo.append((time.monotonic() + seconds, undo.close))

    def _open_worker(self, pid: int, stack: ExitStack) -> tuple[int, int] | None:
        """Who a worker is, and a pidfd that the stack closes; None if it is gone."""
        try:
            pidfd = os.pidfd_open(pid)
            stack.callback(os.close, pidfd)
            # The number may be another's since, but is nobody's but the pidfd's now.
            return (identity(pid), pidfd) if _is_worker(pid) else None
        except (FileNotFoundError, ProcessLookupError):
            return None

    def _exhaust_descriptors(self) -> None:
        """Leave few descriptors to be had: take them, or say that there may be no more."""
        undo = ExitStack()
        undo.enter_context(self._faults.during("squeeze"))
        left = self._random.randint(0, _MOST_LEFT)
        taken: list[int] = []
        undo.callback(_close_all, taken)
        if self._random.random() < 0.5:
            undo.callback(partial(_limit, _soft_limit()))
            _limit(max(map(int, os.listdir("/proc/self/fd"))) + left)
        else:
            try:
                while True:
                    taken.append(os.dup(0))
            except OSError:
                _close_all(taken, left)
        seconds = self._random.choice(_SQUEEZES_S) * self._random.uniform(0.5, 1.0)
        self._undo.append((time.monotonic() + seconds, undo.close))


def _continue(pidfd: int) -> None:
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGCONT)
    except ProcessLookupError:
        return


def _close_all(descriptors: list[int], most: int | None = None) -> None:
    """Close these, or the last ones only."""
    for _ in range(len(descriptors) if most is None else min(most, len(descriptors))):
        os.close(descriptors.pop())


def _soft_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _limit(soft: int) -> None:
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )
