"""A doorbell: a descriptor that becomes readable when any thread rings it."""

from __future__ import annotations

import os
import threading

from enact_pool._python.interrupts import handlers_deferred

__all__ = ["Doorbell"]


class Doorbell:
    """Wakes up a thread that polls its descriptor. Can be rung from signal handlers."""

    def __init__(self) -> None:
        """Create the descriptors. Raises `OSError` if none is left."""
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(self._write_end, False)
        # Held while the bell is rung or closed: another file may have a closed descriptor's
        # number. Re-entrant: a signal handler may ring while its thread rings.
        self._lock = threading.RLock()
        self._is_open = True

    def fileno(self) -> int:
        """Return the descriptor, which is readable after a ring."""
        return self._read_end

    def ring(self) -> None:
        """Make the descriptor readable; do nothing if it is closed."""
        with self._lock:
            if self._is_open:
                try:
                    os.write(self._write_end, b"!")
                except BlockingIOError:
                    return  # a full pipe is readable

    def clear(self) -> None:
        """Clear pending rings; does not block."""
        try:
            os.read(self._read_end, 4096)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Close the descriptors; can be called again."""
        with handlers_deferred(), self._lock:
            if self._is_open:
                self._is_open = False
                os.close(self._read_end)
                os.close(self._write_end)

    def abandon(self) -> None:
        """Close the descriptors in a forked child, where another thread may hold the lock."""
        self._lock = threading.RLock()
        self.close()
