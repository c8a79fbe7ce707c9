"""The cache of executors, which keeps workers warm for the next `Parallel`, as loky does."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable

from attrs import define, field

from enact_pool._api.executor import PoolExecutor

__all__ = ["ExecutorCache", "executor_cache"]

_LINGER_SECONDS = 1.0


@define(eq=False)
class _Entry:
    # What the executor was made from.
    key: object
    executor: PoolExecutor
    # The number of `Parallel` objects that use it; they share its workers.
    users: int = 0


@define(eq=False)
class ExecutorCache:
    """One executor per key: all that are in use, and the one that was used last."""

    # Threads of calls that were cut short; they go on for a moment.
    lingering: weakref.WeakSet[threading.Thread] = field(factory=weakref.WeakSet, init=False)
    _entries: list[_Entry] = field(factory=list)
    _lock: threading.Lock = field(factory=threading.Lock)

    def acquire(self, key: object, make: Callable[[], PoolExecutor]) -> PoolExecutor:
        """Return the executor of this key, or a new one; shut down others that are not in use."""
        with self._lock:
            entry = next((entry for entry in self._entries if entry.key == key), None)
            if entry is None:
                entry = _Entry(key, make())
            entry.users += 1
            unused = [each.executor for each in self._entries if not each.users]
            others = [each for each in self._entries if each.users and each is not entry]
            self._entries = [*others, entry]
        for executor in unused:
            executor.shutdown(wait=False)
        return entry.executor

    def release(self, executor: PoolExecutor) -> None:
        """Note that one user has finished with this executor."""
        with self._lock:
            for entry in self._entries:
                if entry.executor is executor:
                    entry.users -= 1

    def shutdown(self) -> None:
        """Shut down all executors after their submitted calls are done."""
        with self._lock:
            executors = [entry.executor for entry in self._entries]
            self._entries = []
        for executor in executors:
            executor.shutdown()
        for thread in list(self.lingering):
            if thread is not threading.current_thread():
                # It may run a user's iterable, which cannot be interrupted.
                thread.join(_LINGER_SECONDS)

    def after_fork(self) -> None:
        """Reset in a forked child: it has no users yet, and another thread may hold the lock."""
        self._lock = threading.Lock()
        for entry in self._entries:
            entry.users = 0


executor_cache = ExecutorCache()
os.register_at_fork(after_in_child=executor_cache.after_fork)
