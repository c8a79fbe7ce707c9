"""Permits: the right to start one task, as bytes in a pipe of their own.

Before the parent sends a batch, it writes the serial numbers of its tasks to this pipe. The
worker takes the permit of a task out of the pipe before it starts the task. The parent, which
keeps a reading end, can take permits out as well, which revokes them: the worker will not start
such a task, and another worker can. The kernel gives each permit to one of the two, even if both
read at the same moment.
"""

from __future__ import annotations

from struct import pack, unpack

from enact_pool._wire.frames import FrameError

__all__ = ["PERMIT_BYTES", "pack_permits", "unpack_permit", "unpack_permits"]

PERMIT_BYTES = 8

# The lower bits of a permit, below its serial number: they mark it as a permit. (In the lower
# bits they keep the number small, with which Python counts faster.)
_MARK = 0xE7A9
_MARK_BITS = 16
_LOWEST, _SECOND = bytes([_MARK & 0xFF]), bytes([_MARK >> 8])


def pack_permits(serials: range) -> bytes:
    """Return permits to start these tasks, `PERMIT_BYTES` each."""
    first, stop = serials.start << _MARK_BITS | _MARK, serials.stop << _MARK_BITS
    return pack(f"<{len(serials)}Q", *range(first, stop, 1 << _MARK_BITS))


def unpack_permits(permits: bytes) -> tuple[int, ...]:
    """Return the serial numbers of the tasks that may be started.

    Raises `FrameError` if these are not permits.
    """
    if len(permits) % PERMIT_BYTES:
        raise FrameError("a part of a permit")
    count = len(permits) // PERMIT_BYTES
    if permits[::PERMIT_BYTES] != _LOWEST * count or permits[1::PERMIT_BYTES] != _SECOND * count:
        raise FrameError("not a permit")
    return tuple([number >> _MARK_BITS for number in unpack(f"<{count}Q", permits)])


def unpack_permit(permit: bytes) -> int:
    """Return the serial number of a single permit. Raises `FrameError` if it is not one."""
    number = int.from_bytes(permit, "little")
    if number & 0xFFFF != _MARK or len(permit) != PERMIT_BYTES:
        raise FrameError("not a permit")
    return number >> _MARK_BITS
