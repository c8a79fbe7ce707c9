"""What a worker takes in: the commands of its parent, and permits to start callables."""

from __future__ import annotations

import os
import select
import sys
from collections import deque
from collections.abc import Iterator

from enact_pool._core.timing import FIRST_WAIT_MS
from enact_pool._ipc.flight_recorder import FlightRecorder
from enact_pool._system.spin_poll import poll
from enact_pool._wire.frames import (
    COMMAND,
    PERMIT_BYTES,
    FrameReader,
    pack_permits,
    unpack_permit,
    unpack_permits,
)

__all__ = ["Permits", "commands_from", "flush_output"]

# Those that are taken cannot be given to other workers any more.
_PERMITS_AT_ONCE = 8

_READ_BYTES = 1 << 16

_NO_HEADER = (0,) * 6

# Bound here: a callable may clear or patch the module it comes from.
_read = os.read


def commands_from(
    commands: int, idle_timeout: float | None, spin: bool, recorder: FlightRecorder
) -> Iterator[tuple[tuple[int, ...], bytes]]:
    """The parent's commands, until it has closed its end or been silent too long."""
    os.set_blocking(commands, False)
    poller = select.poll()
    poller.register(commands, select.POLLIN)
    timeout_ms = None if idle_timeout is None else min(max(1, int(idle_timeout * 1000)), 1 << 30)
    # Who has started this worker is about to send something, but may be kept from it.
    wait_ms = None if timeout_ms is None else max(timeout_ms, FIRST_WAIT_MS)
    reader = FrameReader(COMMAND)
    while True:
        try:
            # A callable may have made it blocking: then this waits.
            chunk = _read(commands, _READ_BYTES)
        except BlockingIOError:
            chunk = None
        if chunk is not None:
            if not chunk:
                return
            recorder.note_occupied(True)
            wait_ms = timeout_ms
            frames = reader.feed(chunk)
            recorder.note_occupied(False)
            # Before they are run: what is complete is not received any more.
            _, _, _, first, count, _ = reader.header or _NO_HEADER
            recorder.note_receiving(first + count - 1 if count else 0)
            yield from frames
            continue
        recorder.note_resting()
        # It lasts for ever if nobody reads that: see `AnswerReader.look_around`.
        recorder.note_flushing(True)
        flush_output()
        recorder.note_flushing(False)
        if not poll(poller, wait_ms, spin=spin):
            recorder.note_expired()
            return


def flush_output() -> None:
    """Show what callables have printed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            # A callable has closed or replaced it, or its reader is gone: what
            # it printed is its own affair, and the next one's work is not.
            continue


class Permits:
    """The permits of this worker: which of the callables that were sent it may start."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._taken: deque[int] = deque()
        # Whether to take several of a batch at once, which saves system calls.
        self.several = False

    def of(self, first: int, last: int) -> Iterator[int]:
        """The serial numbers from `first` to `last` that may be started, each taken when needed."""
        self.several = False
        taken = self._taken
        # The one that is likely to come next, and the permits of all, when they are needed.
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
                # Between two callables that are not quick, the less is run the better:
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
            # To compare takes a tenth of the time that it takes to unpack them.
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
            # A callable may have made it blocking: then this waits.
            return _read(self._descriptor, count * PERMIT_BYTES)
        except BlockingIOError:
            return b""
