"""What callables print, in a file in memory for each stream: how much is kept, and of what.

A callable may print more than anyone wants to have. The first and the last half MiB
of each stream are kept, and a line between them says how much was left out. A
file may be larger while its callable runs; on Linux what is left out of it takes no
memory for long: see `trim`.

Callables reach these files, and may open, lock or empty them (`> /dev/stdout` in a shell
does), and what they leave running prints on. So nobody waits for a lock here, and a file
is not emptied when it was read: what was told of it is a number of bytes, which the worker
notes, and to which nothing that is printed meanwhile belongs. A mark at its beginning is
missing when a callable has emptied it: then all of it is new.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
from collections.abc import Callable, Sequence

from enact_pool._system.descriptors import create_file, out_of_reach
from enact_pool._system.mapping import punch_hole

__all__ = ["STREAMS", "OutputFile", "read", "trim"]

# The descriptors that programs print to.
STREAMS = 1, 2

_HALF_BYTES = 1 << 19
_KEPT_BYTES = 2 * _HALF_BYTES
# Below this it is not worth the trouble.
_TRIMMED_BYTES = 4 * _KEPT_BYTES

# Takes the place of what was told. No text begins with it in UTF-8.
_MARK = b"\xff\0enact_pool told\xff"

# Bound here: a callable may clear or patch the modules they come from.
_dup2, _fstat, _truncate = os.dup2, os.fstat, os.ftruncate
_lseek, _pread, _pwrite = os.lseek, os.pread, os.pwrite
_fcntl, _get_limits = fcntl.fcntl, resource.getrlimit
_SET_FLAGS, _APPEND, _END = fcntl.F_SETFL, os.O_APPEND, os.SEEK_END


class OutputFile:
    """What is printed to 1 or 2, in its worker."""

    def __init__(self, stream: int) -> None:
        """Makes the file. Raises `OSError`."""
        self.descriptor = out_of_reach(create_file(_label(os.getpid(), stream), sealable=False))
        # How many bytes of the file were told.
        self.told = 0
        self._stream = stream
        self._inode = _fstat(self.descriptor).st_ino
        # What was there at the last look, and is not told.
        self._start = self._end = 0
        # How many bytes of what was told take no memory any more.
        self._freed = 0

    def put_in_place(self) -> None:
        """Have its stream printed here. Raises `OSError` if a callable has closed the file."""
        if _fstat(self.descriptor).st_ino != self._inode:
            raise OSError(errno.EBADF, "a callable has put another file in its place")
        _dup2(self.descriptor, self._stream)
        # Whoever writes, child processes too, writes behind what is there.
        _fcntl(self.descriptor, _SET_FLAGS, _APPEND)

    def look(self) -> bool:
        """Whether something was printed that is not told. Raises `OSError`."""
        self._end = _lseek(self.descriptor, 0, _END)
        self._start = _start(self.descriptor, self._end, self.told)
        return self._start != self._end

    def read(self) -> bytes:
        """What is kept of what was there at the last look. Raises `OSError`."""
        return _kept(self.descriptor, self._start, self._end)

    def forget(self) -> None:
        """What was there at the last look is told. Raises `OSError`."""
        if self._start == self._end:
            return
        if self._start < len(_MARK):
            # On Linux all that is written with this flag is written at the end.
            _fcntl(self.descriptor, _SET_FLAGS, 0)
            _pwrite(self.descriptor, _MARK[: self._end], 0)
            _fcntl(self.descriptor, _SET_FLAGS, _APPEND)
            self._freed = 0
        self.told = self._start = self._end
        if self.told - self._freed > _KEPT_BYTES:
            self._free()

    def _free(self) -> None:
        """Give back the memory of what was told."""
        limit, _ = _get_limits(resource.RLIMIT_FSIZE)
        try:
            if limit != resource.RLIM_INFINITY:
                raise OSError(errno.EFBIG, "holes count, too")
            punch_hole(self.descriptor, len(_MARK), self.told - len(_MARK))
            self._freed = self.told
        except OSError:
            # What is printed at this very moment is lost, but not the room for all else.
            _truncate(self.descriptor, 0)
            self.told = self._start = self._end = self._freed = 0


def _label(pid: int, stream: int) -> str:
    return f"enact_pool-printed-{pid}-{stream}"


def _start(descriptor: int, size: int, told: int) -> int:
    """Where that begins which is not told."""
    if not told or told > size:
        return 0
    mark = _MARK[:told]
    return told if _pread(descriptor, len(mark), 0) == mark else 0


def read(descriptors: Sequence[int], told: Sequence[int]) -> tuple[bytes, bytes] | None:
    """What is kept of these two files beside what was told; None if nothing is, or of none.

    For the parent of a worker that is dead. Raises `OSError`.
    """
    if not descriptors:
        return None
    sizes = [os.fstat(descriptor).st_size for descriptor in descriptors]
    starts = list(map(_start, descriptors, sizes, told))
    if starts == sizes:
        return None
    one, two = map(_kept, descriptors, starts, sizes)
    return one, two


def _kept(descriptor: int, start: int, end: int) -> bytes:
    size = end - start
    if size <= _KEPT_BYTES:
        return _pread(descriptor, size, start)
    first = _pread(descriptor, _HALF_BYTES, start)
    last = _pread(descriptor, _HALF_BYTES, end - _HALF_BYTES)
    # Whole lines, if there are any.
    first = first[: first.rfind(b"\n") + 1] or first
    last = last[last.find(b"\n") + 1 :] or last
    left_out = size - len(first) - len(last)
    return b"%s\n[%d bytes are left out here]\n%s" % (first.removesuffix(b"\n"), left_out, last)


def trim(pid: int, told: Callable[[], Sequence[int]]) -> bool:
    """Give back the memory of what is left out of a worker's files, as far as that is possible.

    `told` gives how many bytes of each were told by now. Gives whether there was any. For
    its parent. That needs /proc, and a file in memory: elsewhere it is on disk, and takes
    what it takes until its callable has ended.
    """
    trimmed = False
    for index, stream in enumerate(STREAMS):
        path, label = f"/proc/{pid}/fd/{stream}", _label(pid, stream)
        try:
            # A callable may have put a file of its own in the place of ours.
            if _takes_much(os.stat(path)) and _has_label(path, label):
                _trim(path, label, index, told)
                trimmed = True
        except OSError:
            continue  # there is none now, or no descriptor to be had
    return trimmed


def _takes_much(status: os.stat_result) -> bool:
    return status.st_blocks * 512 > _TRIMMED_BYTES


def _has_label(path: str, label: str) -> bool:
    return os.readlink(path).startswith(f"/memfd:{label} ")


def _trim(path: str, label: str, index: int, told: Callable[[], Sequence[int]]) -> None:
    # It may be a named pipe by now, or leased: nothing is waited for.
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if _takes_much(status) and _has_label(f"/proc/self/fd/{descriptor}", label):
            # In this order: when the next callable prints meanwhile, it is behind this size.
            end = status.st_size
            start = _start(descriptor, end, told()[index])
            if end - start > _KEPT_BYTES:
                punch_hole(descriptor, start + _HALF_BYTES, end - start - _KEPT_BYTES)
    finally:
        os.close(descriptor)
