"""A doorbell: a descriptor that turns readable when any thread rings it."""

from __future__ import annotations

import os
import threading

from enact_pool._python.interrupts import handlers_deferred

__all__ = ["Doorbell"]


class Doorbell:
    """Wakes up a thread that polls its descriptor. Can be rung from signal handlers."""

    def __init__(self) -> None:
        """Raises `OSError` if no descriptor is left."""
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(self._write_end, False)
        # Held while it is rung or closed: another file may get a closed descriptor's number.
        # Re-entrant: a signal handler may ring while its thread does.
        self._lock = threading.RLock()
        self._is_open = True

    def fileno(self) -> int:
        """Return the descriptor that can be read after a ring."""
        return self._read_end

    def ring(self) -> None:
        """Let the descriptor be readable; do nothing if it is closed."""
        with self._lock:
            if self._is_open:
                try:
                    os.write(self._write_end, b"!")
                except BlockingIOError:
                    return  # a full pipe can be read, too

    def clear(self) -> None:
        """Take note of all rings so far; does not wait."""
        try:
            os.read(self._read_end, 4096)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Close it; can be called again."""
        with handlers_deferred(), self._lock:
            if self._is_open:
                self._is_open = False
                os.close(self._read_end)
                os.close(self._write_end)

    def abandon(self) -> None:
        """Close it in a forked child, where another thread may have held the lock."""
        self._lock = threading.RLock()
        self.close()
