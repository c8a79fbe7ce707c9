"""The executors that are kept for the next `Parallel` call: as loky does, as many as are in use."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable

from attrs import define, field

from enact_pool._api.executor import PoolExecutor

__all__ = ["KeptExecutors", "kept_executors"]

_LINGER_SECONDS = 1.0


@define(eq=False)
class _Kept:
    # What it was made from.
    key: object
    executor: PoolExecutor
    # How many `Parallel` calls have it; they share its workers.
    users: int = 0


@define(eq=False)
class KeptExecutors:
    """One executor for each way of making one that is in use, and the last that was."""

    # Threads of calls that were cut short, which go on for a moment.
    lingering: weakref.WeakSet[threading.Thread] = field(factory=weakref.WeakSet, init=False)
    _kept: list[_Kept] = field(factory=list)
    _lock: threading.Lock = field(factory=threading.Lock)

    def acquire(self, key: object, make: Callable[[], PoolExecutor]) -> PoolExecutor:
        """The executor that this key has made, or a new one; others that are not used are ended."""
        with self._lock:
            ours = next((kept for kept in self._kept if kept.key == key), None)
            if ours is None:
                ours = _Kept(key, make())
            ours.users += 1
            unused = [kept.executor for kept in self._kept if not kept.users]
            self._kept = [kept for kept in (*self._kept, ours) if kept.users and kept is not ours]
            self._kept.append(ours)
        for executor in unused:
            executor.shutdown(wait=False)
        return ours.executor

    def release(self, executor: PoolExecutor) -> None:
        """One of those who have it needs it no more."""
        with self._lock:
            for kept in self._kept:
                if kept.executor is executor:
                    kept.users -= 1

    def shutdown(self) -> None:
        """End them all, when what was submitted has been done."""
        with self._lock:
            executors = [kept.executor for kept in self._kept]
            self._kept = []
        for executor in executors:
            executor.shutdown()
        for thread in list(self.lingering):
            if thread is not threading.current_thread():
                # It may be in a user's iterable, which nobody can end.
                thread.join(_LINGER_SECONDS)

    def after_fork(self) -> None:
        """In a forked child: nobody uses them yet, and another thread may have held the lock."""
        self._lock = threading.Lock()
        for kept in self._kept:
            kept.users = 0


kept_executors = KeptExecutors()
os.register_at_fork(after_in_child=kept_executors.after_fork)
