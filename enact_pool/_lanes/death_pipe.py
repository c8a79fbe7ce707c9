"""The lifeline: a pipe that closes when this process ends, in any way.

Every worker holds the other end, and is killed when it closes: see
`_worker.main`. There is one lifeline for all workers of a process.
"""

from __future__ import annotations

import os
import threading

__all__ = ["lifeline"]


class _Lifeline:
    def __init__(self) -> None:
        # Re-entrant: a finalizer may start a worker.
        self._lock = threading.RLock()
        self._ends: tuple[int, int] | None = None
        os.register_at_fork(after_in_child=self._drop)

    def read_end(self) -> int:
        with self._lock:
            if self._ends is None:
                self._ends = os.pipe()
            return self._ends[0]

    def _drop(self) -> None:
        # A forked child that kept the ends would keep its parent's workers
        # alive. And another thread may have held the lock at the fork.
        self._lock = threading.RLock()
        if self._ends is not None:
            for end in self._ends:
                os.close(end)
            self._ends = None


# Of this process.
lifeline = _Lifeline()
