"""Frames: the messages that a parent and its worker exchange over two of their pipes.

A frame is a fixed header, and a payload of the length that the header states:

    commands, parent to worker          answers, worker to parent
    ------------------------------      --------------------------------------------
    SETUP   the setup of a run: see     READY         the worker accepts commands
            `setup`                     START_FAILED  the initializer raised
    DEFINE  definitions for the next    RAN           tasks have returned or raised
            batch: see `_mirror`        UNLOADABLE    a batch could not be unpickled
    BATCH   callables, or inputs        SKIPPED       tasks without a permit were not started
                                        LEFT_BEHIND   threads or processes of a task
                                        OUTPUT        what a task has printed

The worker writes an answer at once, or stores it in the answer journal and
writes it some milliseconds later. Bytes in a pipe or in the journal outlive
their writer: that is why a death costs one result.

Tasks are numbered in each worker, from 1, in the order in which they are sent: that
is their serial number, and each answer has it. A third pipe carries `permits`.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from itertools import accumulate, pairwise
from struct import Struct, pack, unpack, unpack_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "ANSWER",
    "COMMAND",
    "COUNT",
    "ENTRY_BYTES",
    "KIND",
    "LARGE_BYTES",
    "LARGE_TAG_BITS",
    "LOST_PIPES",
    "MAGIC",
    "SERIAL",
    "Answer",
    "Command",
    "Ending",
    "FrameError",
    "FrameReader",
    "pack_answer",
    "pack_ran",
    "ran_parts",
    "unpack_begun",
    "unpack_ran",
    "NONE",
    "SHAREABLE",
]

# MAGIC, kind, number of the run, first serial number, number of callables,
# payload length in bytes
COMMAND = Struct("<IBIQIQ")
# MAGIC, kind, serial number (of the first), number of callables, payload length in bytes
ANSWER = Struct("<IBQIQ")

# The start of each header. A callable may write to the pipes of its worker, or read
# from them: the bytes that result are not a frame, and the next frame can be found.
MAGIC = 0x7E9AC7D1
_MAGIC_BYTES = MAGIC.to_bytes(4, "little")

# A large value on its way to a worker has a tag: the number of its run, and in these
# lower bits how many were sent in that run before.
LARGE_TAG_BITS = 24

# The fields of an answer's header.
KIND, SERIAL, COUNT = 1, 2, 3

# The bytes of each task in the payload of RAN besides its own payload: the nanoseconds
# it ran, the size of its payload, when it began by the monotonic clock, in nanoseconds
# (8 bytes each), and its ending. The first fields of all tasks are stored first, and so on.
ENTRY_BYTES = 25

# No payload can have this many bytes: a header that states it is not one of ours.
_ABSURD = 1 << 48

# Values of at least this size, in bytes, travel as large values, which is faster then.
LARGE_BYTES = 1 << 18

# The exit code of a worker that can no longer reach its parent (EX_IOERR).
LOST_PIPES = 74

# The pickle of what most callables return.
NONE = pickle.dumps(None, pickle.HIGHEST_PROTOCOL)
_SIZE_OF_NONE = len(NONE).to_bytes(8, "little")

# Types of immutable values: many callables can share one copy.
SHAREABLE = frozenset({str, bytes, int, float, complex, bool, type(None)})


class Command:
    """Kinds of frames from parent to worker."""

    # Plain numbers: looking up a member of an enum takes longer than all other
    # work on a frame.
    SETUP = 1
    BATCH = 2
    DEFINE = 3


class Answer:
    """Kinds of frames from worker to parent."""

    READY = 1
    START_FAILED = 2
    RAN = 3
    UNLOADABLE = 4
    SKIPPED = 5
    LEFT_BEHIND = 6
    OUTPUT = 7


class Ending:
    """Kinds of endings of a task: what its payload is."""

    VALUE = 1  # it returned: the pickled value
    SHOWN = 2  # it returned: a pair of the value and a text for events
    ERROR = 3  # it raised: a description
    # VALUE and SHOWN, with the layout of a large value instead of a pickle.
    LARGE_VALUE = 4
    LARGE_SHOWN = 5


_ENDINGS = bytes(range(Ending.VALUE, Ending.LARGE_SHOWN + 1))


class FrameError(Exception):
    """Bytes from a pipe are invalid: something else has written to it, or read from it."""


def pack_answer(kind: int, serial: int = 0, payload: bytes = b"") -> bytes:
    """Return an answer other than RAN."""
    return ANSWER.pack(MAGIC, kind, serial, 0, len(payload)) + payload


def pack_ran(first: int, count: int, parts: Iterable[bytes | memoryview]) -> bytes:
    """Return a RAN for `count` tasks with consecutive serial numbers, with these parts."""
    payload = b"".join(parts)
    return ANSWER.pack(MAGIC, Answer.RAN, first, count, len(payload)) + payload


def ran_parts(begun_ns: int, ran_ns: int, ending: int, payload: bytes) -> tuple[bytes, bytes]:
    """Return the parts of a RAN for a single task."""
    return pack("<QQQB", ran_ns, len(payload), begun_ns, ending), payload


def unpack_ran(count: int, payload: bytes) -> tuple[list[int], bytearray, list[Any]]:
    """Return the nanoseconds that tasks ran, their endings and their payloads.

    Raises `FrameError` if the payload is invalid.
    """
    payloads_at = count * ENTRY_BYTES
    if not 0 < payloads_at <= len(payload):
        raise FrameError("an answer for more tasks than its payload has room for")
    endings = bytearray(payload[payloads_at - count : payloads_at])
    if endings.translate(None, _ENDINGS):
        raise FrameError("an unknown kind of ending")
    ran_ns = list(unpack_from(f"<{count}Q", payload))
    sizes = payload[8 * count : 16 * count]
    if sizes == _SIZE_OF_NONE * count and payload[payloads_at:] == NONE * count:
        return ran_ns, endings, [NONE] * count
    ends = list(accumulate(unpack(f"<{count}Q", sizes), initial=payloads_at))
    if ends[-1] != len(payload):
        raise FrameError("an answer whose size differs from that of its parts")
    payloads = [payload[at:end] for at, end in pairwise(ends)]
    return ran_ns, endings, payloads


def unpack_begun(count: int, payload: bytes) -> list[int]:
    """Return when the tasks of a RAN began, in nanoseconds; `unpack_ran` must have checked it."""
    return list(unpack_from(f"<{count}Q", payload, 16 * count))


class FrameReader:
    """Cuts a stream of bytes into frames: pairs of the header's fields and the payload."""

    def __init__(self, header: Struct) -> None:
        self._header = header
        self._parts: list[bytes] = []
        # How many bytes of the next frame were received.
        self.have = 0
        self._need = header.size
        self._header_of_part: tuple[int, ...] | None = None

    @property
    def header(self) -> tuple[int, ...] | None:
        """The header of an incomplete frame, if it was received; else None."""
        return self._header_of_part if self._parts else None

    def feed(self, chunk: bytes) -> list[tuple[tuple[int, ...], bytes]]:
        """Accept the next bytes; return the frames that are complete now.

        Bytes that are not a frame are skipped, up to the next frame.
        """
        if self._parts:
            self._parts.append(chunk)
            self.have += len(chunk)
            if self.have < self._need:
                return []
            # Joined once per frame, not once per chunk: a frame may be gigabytes.
            chunk = b"".join(self._parts)
            self._parts.clear()
        frames: list[tuple[tuple[int, ...], bytes]] = []
        unpack, size = self._header.unpack_from, self._header.size
        at, end = 0, len(chunk)
        self._need = size
        while end - at >= size:
            header = unpack(chunk, at)
            length = header[-1]
            if header[0] != MAGIC or length > _ABSURD:
                found = chunk.find(_MAGIC_BYTES, at + 1)
                # The last bytes of the chunk may be its first ones.
                at = found if found >= 0 else end - len(_MAGIC_BYTES) + 1
                continue
            stop = at + size + length
            if stop > end:
                self._need = size + length
                break
            frames.append((header, chunk[at + size : stop]))
            at = stop
        self._header_of_part = None if self._need == size else header
        self.have = end - at
        if self.have:
            self._parts.append(chunk[at:])
        return frames
