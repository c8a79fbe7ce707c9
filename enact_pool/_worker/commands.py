"""What a worker reads from its pipes: commands of its parent, and permits to start callables."""

from __future__ import annotations

import os
import select
import sys
from collections import deque
from collections.abc import Iterator

from enact_pool._core.timing import FIRST_WAIT_MS
from enact_pool._ipc.flight_recorder import FlightRecorder
from enact_pool._system.spin_poll import poll
from enact_pool._wire.frames import COMMAND, FrameReader
from enact_pool._wire.permits import PERMIT_BYTES, pack_permits, unpack_permit, unpack_permits

__all__ = ["Permits", "flush_output", "read_commands"]

# Permits that are taken cannot be revoked for other workers any more.
_PERMITS_AT_ONCE = 8

_READ_BYTES = 1 << 16

_NO_HEADER = (0,) * 6

# Bound here: a callable may clear or patch the module it comes from.
_read = os.read


def read_commands(
    commands: int, idle_timeout: float | None, spin: bool, recorder: FlightRecorder
) -> Iterator[tuple[tuple[int, ...], bytes]]:
    """Generate the parent's commands, until it has closed its end or been silent too long."""
    os.set_blocking(commands, False)
    poller = select.poll()
    poller.register(commands, select.POLLIN)
    timeout_ms = None if idle_timeout is None else min(max(1, int(idle_timeout * 1000)), 1 << 30)
    # The run that started this worker is about to send a command, but may be delayed.
    wait_ms = None if timeout_ms is None else max(timeout_ms, FIRST_WAIT_MS)
    reader = FrameReader(COMMAND)
    while True:
        try:
            # A callable may have made the pipe blocking: then this waits.
            chunk = _read(commands, _READ_BYTES)
        except BlockingIOError:
            chunk = None
        if chunk is not None:
            if not chunk:
                return
            recorder.record_preparing(True)
            wait_ms = timeout_ms
            frames = reader.feed(chunk)
            recorder.record_preparing(False)
            # Before they are run: a complete batch is not being received any more.
            _, _, _, first, count, _ = reader.header or _NO_HEADER
            recorder.record_receiving(first + count - 1 if count else 0)
            yield from frames
            continue
        recorder.record_resting()
        # Flushing never ends if the output is not read: see `Waiter._replace_starved`.
        recorder.record_flushing(True)
        flush_output()
        recorder.record_flushing(False)
        if not poll(poller, wait_ms, spin=spin):
            recorder.record_expired()
            return


def flush_output() -> None:
    """Write what callables have printed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            # A callable has closed or replaced it, or its reader is gone. A failed flush
            # only affects the callable that printed, and must not affect the next one.
            continue


class Permits:
    """The permits of this worker: which of the callables that were sent it may start.

    Attributes:
        several: Whether to take several permits of a batch at once, which saves system calls.
    """

    def __init__(self, descriptor: int) -> None:
        """Read permits from this descriptor."""
        self.several = False
        self._descriptor = descriptor
        self._taken: deque[int] = deque()

    def take(self, first: int, last: int) -> Iterator[int]:
        """Generate the serial numbers from `first` to `last` that may be started.

        Each permit is taken when it is needed. Raises `FrameError`.
        """
        self.several = False
        taken = self._taken
        # The number that is likely to be next, and all expected permits, once they are needed.
        serial, expected = first, b""
        while True:
            while taken:
                found = taken[0]
                if found > last:
                    return
                taken.popleft()
                if found >= first:
                    yield found
                    if found == last:
                        return
                    serial = found + 1
            if not self.several:
                # Between two callables that are not quick, running less code is better:
                # little of it is in the CPU's caches then.
                permits = self._read(1)
                if not permits:
                    return
                taken.append(unpack_permit(permits))
                continue
            if not expected:
                expected = pack_permits(range(first, last + 1))
            at, stop = serial - first, min(serial + _PERMITS_AT_ONCE, last + 1)
            permits = self._read(stop - serial)
            # Comparing takes a tenth of the time that unpacking takes.
            if permits == expected[at * PERMIT_BYTES : (stop - first) * PERMIT_BYTES]:
                while serial < stop:
                    yield serial
                    serial += 1
                if serial > last:
                    return
            elif permits:
                taken.extend(unpack_permits(permits))
            else:
                return

    def _read(self, count: int) -> bytes:
        try:
            # A callable may have made the pipe blocking: then this waits.
            return _read(self._descriptor, count * PERMIT_BYTES)
        except BlockingIOError:
            return b""
