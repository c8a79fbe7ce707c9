"""What callables print, in a file in memory for each stream: how much is kept, and of what.

A callable may print more than anyone wants to have. The first and the last half MiB
of each stream are kept, and a line between them says how much was left out. A
file may be larger while its callable runs; on Linux what is left out of it takes no
memory for long: see `trim`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence

from enact_pool.descriptors import create_file

__all__ = ["STREAMS", "create", "empty", "read", "trim"]

# The descriptors that programs print to.
STREAMS = 1, 2

_HALF_BYTES = 1 << 19
_KEPT_BYTES = 2 * _HALF_BYTES
# Below this it is not worth the trouble.
_TRIMMED_BYTES = 4 * _KEPT_BYTES


def create(stream: int) -> int:
    """A new file for what is printed to 1 or 2; gives its descriptor. Raises `OSError`."""
    descriptor = create_file(_label(os.getpid(), stream))
    # Whoever writes, child processes too, writes behind what is there.
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_APPEND)
    return descriptor


def _label(pid: int, stream: int) -> str:
    return f"enact_pool-printed-{pid}-{stream}"


def read(descriptors: Sequence[int]) -> tuple[bytes, bytes] | None:
    """What is kept of these two files; None if they are empty, or none. Raises `OSError`."""
    if not descriptors:
        return None
    sizes = [os.fstat(descriptor).st_size for descriptor in descriptors]
    if not any(sizes):
        return None
    one, two = map(_kept, descriptors, sizes)
    return one, two


def _kept(descriptor: int, size: int) -> bytes:
    if size <= _KEPT_BYTES:
        return os.pread(descriptor, size, 0)
    first = os.pread(descriptor, _HALF_BYTES, 0)
    last = os.pread(descriptor, _HALF_BYTES, size - _HALF_BYTES)
    # Whole lines, if there are any.
    first = first[: first.rfind(b"\n") + 1] or first
    last = last[last.find(b"\n") + 1 :] or last
    left_out = size - len(first) - len(last)
    return b"%s\n[%d bytes are left out here]\n%s" % (first.removesuffix(b"\n"), left_out, last)


def empty(descriptor: int) -> None:
    """Empty a file, if it is not. Raises `OSError`."""
    if not os.fstat(descriptor).st_size:
        return
    # Not while the parent, which may be behind, makes room in the middle.
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.ftruncate(descriptor, 0)
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def trim(pid: int) -> bool:
    """Give back the memory of what is left out of a worker's files, as far as that is possible.

    Gives whether there was any. For its parent. That needs /proc, and a file in memory:
    elsewhere it is on disk, and takes what it takes until its callable has ended.
    """
    trimmed = False
    for stream in STREAMS:
        path, label = f"/proc/{pid}/fd/{stream}", _label(pid, stream)
        try:
            # A callable may have put a file of its own in the place of ours.
            if _takes_much(os.stat(path)) and _has_label(path, label):
                _trim(path, label)
                trimmed = True
        except OSError:
            continue  # there is none now, or no descriptor to be had, or it is being emptied
    return trimmed


def _takes_much(status: os.stat_result) -> bool:
    return status.st_blocks * 512 > _TRIMMED_BYTES


def _has_label(path: str, label: str) -> bool:
    return os.readlink(path).startswith(f"/memfd:{label} ")


def _trim(path: str, label: str) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(descriptor)
        if _takes_much(status) and _has_label(f"/proc/self/fd/{descriptor}", label):
            from enact_pool.mapping import punch_hole  # workers do without

            punch_hole(descriptor, _HALF_BYTES, status.st_size - _KEPT_BYTES)
    finally:
        os.close(descriptor)
