"""Which thread may use a run.

This is a module of its own because its rules are subtle, and can be read without the queue.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Turn"]


class Turn:
    """Whose turn it is to use a run: that of its own thread, or of a thread that asks about it.

    The run's thread, which no signal handler interrupts, takes and releases it. Other threads
    hold the guard. Finalizers run in any thread at any moment, in the one that has the turn as
    well: these must neither wait for it, nor change the run as it is then. So the guard is
    re-entrant, and what finds the turn taken behind the guard is in the thread that took it.
    """

    def __init__(self) -> None:
        self.guard = threading.RLock()
        self.is_taken = False

    @contextmanager
    def borrowed(self) -> Iterator[None]:
        """Have the turn in a thread that asks about the run."""
        with self.guard:
            was_taken, self.is_taken = self.is_taken, True
            try:
                yield
            finally:
                self.is_taken = was_taken

    def take(self) -> None:
        """Take the turn; do nothing if this thread has it. For the run's thread."""
        self.guard.acquire()
        if self.is_taken:
            self.guard.release()
        self.is_taken = True

    def give_up(self) -> None:
        """Release the turn, if this thread has it. For the run's thread."""
        if self.is_taken and self.guard.acquire(blocking=False):
            self.guard.release()
            self.is_taken = False
            self.guard.release()
