"""Frames: how a parent and its worker talk over their three pipes.

Everything is a frame, a fixed header and a payload of the length it names:

    commands, parent to worker          answers, worker to parent
    ------------------------------      --------------------------------------------
    SETUP   to all of a run: its        READY         the worker can take commands
            input, or its function      START_FAILED  the initializer raised
    DEFINE  what the next batch         RAN           callables have returned or raised
            refers to: see `mirror`
    BATCH   callables, or inputs        UNLOADABLE    a batch could not be unpickled
                                        SKIPPED       what had no permit was not started
                                        LEFT_BEHIND   threads or processes of a callable
                                        OUTPUT        what a callable has printed

An answer is written as soon as there is one, or noted in the journal and
written some milliseconds later. What is in a pipe or in the journal
outlives its writer: that is why a death costs one result.

Callables are numbered in each worker, from 1, in the order they are sent: that
is their serial number, and each answer carries it. Before a batch is sent, the
serial numbers in it are written to a third pipe, as permits. The worker takes
the permit of a callable out of that pipe before it starts it. So can the
parent, which keeps a reading end: a callable whose permit it has got back will
not be started there, and can be given to another worker. The kernel gives each
permit to one of the two, whatever they do at the same moment.

Nothing here reads or writes: see `lane` and `worker` for that.
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
    "PERMIT_BYTES",
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
    "pack_permits",
    "pack_ran",
    "ran_parts",
    "unpack_began",
    "unpack_permit",
    "unpack_permits",
    "unpack_ran",
    "NONE",
    "SHAREABLE",
]

# MAGIC, kind, number of the run, first serial number, number of callables,
# payload length in bytes
COMMAND = Struct("<IBIQIQ")
# MAGIC, kind, serial number (of the first), number of callables, payload length in bytes
ANSWER = Struct("<IBQIQ")

# What each header begins with. A callable may write to the pipes of its worker,
# or read from them: what comes of it is no frame, and the next frame can be found.
MAGIC = 0x7E9AC7D1
_MAGIC_BYTES = MAGIC.to_bytes(4, "little")

PERMIT_BYTES = 8

# A large value on its way to a worker has a number: that of the run it is sent in, and in
# these lower bits how many were sent in that run before.
LARGE_TAG_BITS = 24

# The fields of an answer's header.
KIND, SERIAL, COUNT = 1, 2, 3

# What each callable takes in the payload of RAN beside its own payload: the
# nanoseconds it ran, the size of its payload, when it began by the monotonic clock,
# in nanoseconds (8 bytes each), and its ending. All of the first come first, and so on.
ENTRY_BYTES = 25

# The lower bits of a permit, below its serial number, to know one by. (There they keep
# it a small number, with which Python counts faster.)
_PERMIT = 0xE7A9
_PERMIT_BITS = 16
_LOWEST, _SECOND = bytes([_PERMIT & 0xFF]), bytes([_PERMIT >> 8])

# No payload of this many bytes can exist: a header that says so is not one of ours.
_ABSURD = 1 << 48

# From this size on, in bytes, values travel in parcels, which takes less time then.
LARGE_BYTES = 1 << 18

# The exit code of a worker that can no longer talk to its parent (EX_IOERR).
LOST_PIPES = 74

# What most callables return: as a pickle, ready made.
NONE = pickle.dumps(None, pickle.HIGHEST_PROTOCOL)
_SIZE_OF_NONE = len(NONE).to_bytes(8, "little")

# Types whose values cannot be changed, so that one copy will do for many callables.
SHAREABLE = frozenset({str, bytes, int, float, complex, bool, type(None)})


class Command:
    """Kinds of frames from parent to worker."""

    # Plain numbers: looking up a member of an enum takes longer than all else
    # that is done with a frame.
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
    """How a callable has ended, and what its payload is."""

    VALUE = 1  # it returned: the pickled value
    SHOWN = 2  # the same, in a pair with a text for events
    ERROR = 3  # it raised: a description
    # VALUE and SHOWN, with the layout of a parcel instead of a pickle.
    LARGE_VALUE = 4
    LARGE_SHOWN = 5


_ENDINGS = bytes(range(Ending.VALUE, Ending.LARGE_SHOWN + 1))


class FrameError(Exception):
    """What came out of a pipe cannot be: something else has written to it, or read from it."""


def pack_permits(serials: range) -> bytes:
    """Permits to start these callables, `PERMIT_BYTES` each."""
    first, stop = serials.start << _PERMIT_BITS | _PERMIT, serials.stop << _PERMIT_BITS
    return pack(f"<{len(serials)}Q", *range(first, stop, 1 << _PERMIT_BITS))


def unpack_permits(permits: bytes) -> tuple[int, ...]:
    """The serial numbers of the callables that may be started.

    Raises `FrameError` for what is no permit.
    """
    if len(permits) % PERMIT_BYTES:
        raise FrameError("a part of a permit")
    count = len(permits) // PERMIT_BYTES
    if permits[::PERMIT_BYTES] != _LOWEST * count or permits[1::PERMIT_BYTES] != _SECOND * count:
        raise FrameError("not a permit")
    return tuple([number >> _PERMIT_BITS for number in unpack(f"<{count}Q", permits)])


def unpack_permit(permit: bytes) -> int:
    """The serial number of the callable that may be started; raises `FrameError`, likewise."""
    number = int.from_bytes(permit, "little")
    if number & 0xFFFF != _PERMIT or len(permit) != PERMIT_BYTES:
        raise FrameError("not a permit")
    return number >> _PERMIT_BITS


def pack_answer(kind: int, serial: int = 0, payload: bytes = b"") -> bytes:
    """An answer other than RAN."""
    return ANSWER.pack(MAGIC, kind, serial, 0, len(payload)) + payload


def pack_ran(first: int, count: int, parts: Iterable[bytes | memoryview]) -> bytes:
    """RAN for so many callables with consecutive serial numbers; the parts make its payload."""
    payload = b"".join(parts)
    return ANSWER.pack(MAGIC, Answer.RAN, first, count, len(payload)) + payload


def ran_parts(begun_ns: int, ran_ns: int, ending: int, payload: bytes) -> tuple[bytes, bytes]:
    """The parts of a RAN for a single callable."""
    return pack("<QQQB", ran_ns, len(payload), begun_ns, ending), payload


def unpack_ran(count: int, payload: bytes) -> tuple[list[int], bytearray, list[Any]]:
    """The nanoseconds that callables ran, their endings and their payloads.

    Raises `FrameError` for what cannot be.
    """
    payloads_at = count * ENTRY_BYTES
    if not 0 < payloads_at <= len(payload):
        raise FrameError("an answer for more callables than there is room for")
    endings = bytearray(payload[payloads_at - count : payloads_at])
    if endings.translate(None, _ENDINGS):
        raise FrameError("an ending that is none")
    ran_ns = list(unpack_from(f"<{count}Q", payload))
    sizes = payload[8 * count : 16 * count]
    if sizes == _SIZE_OF_NONE * count and payload[payloads_at:] == NONE * count:
        return ran_ns, endings, [NONE] * count
    ends = list(accumulate(unpack(f"<{count}Q", sizes), initial=payloads_at))
    if ends[-1] != len(payload):
        raise FrameError("an answer of another size than its parts")
    payloads = [payload[at:end] for at, end in pairwise(ends)]
    return ran_ns, endings, payloads


def unpack_began(count: int, payload: bytes) -> list[int]:
    """When the callables of a RAN began, which few want to know; `unpack_ran` has checked it."""
    return list(unpack_from(f"<{count}Q", payload, 16 * count))


class FrameReader:
    """Cuts a stream of bytes into frames, each a tuple of the header's fields and the payload."""

    def __init__(self, header: Struct) -> None:
        self._header = header
        self._parts: list[bytes] = []
        # How many bytes of the next frame have come; not 0 if it has begun to come.
        self.have = 0
        self._need = header.size
        self._header_of_part: tuple[int, ...] | None = None

    @property
    def header(self) -> tuple[int, ...] | None:
        """The header of the frame of which a part has come, if that is there."""
        return self._header_of_part if self._parts else None

    def feed(self, chunk: bytes) -> list[tuple[tuple[int, ...], bytes]]:
        """Take the next bytes; give the frames that are complete now.

        What is no frame is skipped, up to the next one.
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
                # It may have begun with the last bytes that are here.
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
