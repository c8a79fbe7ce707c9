"""A re-entrant lock for process-wide tables, which a forked child replaces.

A thread that the child does not have may hold the lock at the fork. The modules that share this
class must not import each other, so it has a module of its own.
"""

from __future__ import annotations

import os
import threading

__all__ = ["ForkSafeLock"]


class ForkSafeLock:
    """A lock that is free in a forked child. It must live as long as its process."""

    def __init__(self) -> None:
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
