"""Output files: what callables print, in a file in memory for each stream.

A callable may print any amount. The first and the last half MiB of each stream
are kept, with a line between them that says how much was left out. A file may be
larger while its callable runs; on Linux the left-out part does not occupy memory for
long: see `trim`.

Callables can reach these files, and may open, lock or truncate them (as `> /dev/stdout`
in a shell does), and processes that they leave running go on printing. So this code never
waits for a lock, and does not truncate a file after reading it. Instead, the worker records
how many bytes were reported; text that is printed meanwhile is behind them. A mark at the
start of a file is missing after a callable has truncated it: then all content is new.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
from collections.abc import Callable, Sequence

from enact_pool._system.descriptors import create_file, move_out_of_reach
from enact_pool._system.mapping import punch_hole

__all__ = ["STREAMS", "OutputFile", "read", "trim"]

# The descriptors that programs print to.
STREAMS = 1, 2

_HALF_BYTES = 1 << 19
_KEPT_BYTES = 2 * _HALF_BYTES
# Below this size trimming does not pay.
_TRIMMED_BYTES = 4 * _KEPT_BYTES

# Replaces the start of the reported bytes. No text in UTF-8 starts with it.
_MARK = b"\xff\0enact_pool reported\xff"

# Bound here: a callable may clear or patch the modules they come from.
_dup2, _fstat, _truncate = os.dup2, os.fstat, os.ftruncate
_lseek, _pread, _pwrite = os.lseek, os.pread, os.pwrite
_fcntl, _get_limits = fcntl.fcntl, resource.getrlimit
_SET_FLAGS, _APPEND, _END = fcntl.F_SETFL, os.O_APPEND, os.SEEK_END


class OutputFile:
    """The worker's side of the file for stream 1 or 2.

    Attributes:
        reported: How many bytes of the file were reported.
    """

    def __init__(self, stream: int) -> None:
        """Create the file. Raises `OSError`."""
        self.descriptor = move_out_of_reach(
            create_file(_label(os.getpid(), stream), sealable=False)
        )
        self.reported = 0
        self._stream = stream
        self._inode = _fstat(self.descriptor).st_ino
        # The bytes that were there at the last look, and are not reported.
        self._start = self._end = 0
        # How many of the reported bytes do not occupy memory any more.
        self._freed = 0

    def redirect(self) -> None:
        """Redirect the stream to the file. Raises `OSError` if a callable has closed the file."""
        if _fstat(self.descriptor).st_ino != self._inode:
            raise OSError(errno.EBADF, "a callable has replaced the file of its output")
        _dup2(self.descriptor, self._stream)
        # All writers, also child processes, append.
        _fcntl(self.descriptor, _SET_FLAGS, _APPEND)

    def look(self) -> bool:
        """Return whether something was printed that is not reported. Raises `OSError`."""
        self._end = _lseek(self.descriptor, 0, _END)
        self._start = _start(self.descriptor, self._end, self.reported)
        return self._start != self._end

    def read(self) -> bytes:
        """Return the kept part of what was there at the last look. Raises `OSError`."""
        return _kept(self.descriptor, self._start, self._end)

    def forget(self) -> None:
        """Mark as reported what was there at the last look. Raises `OSError`."""
        if self._start == self._end:
            return
        if self._start < len(_MARK):
            # With this flag set, Linux would write at the end.
            _fcntl(self.descriptor, _SET_FLAGS, 0)
            _pwrite(self.descriptor, _MARK[: self._end], 0)
            _fcntl(self.descriptor, _SET_FLAGS, _APPEND)
            self._freed = 0
        self.reported = self._start = self._end
        if self.reported - self._freed > _KEPT_BYTES:
            self._free()

    def _free(self) -> None:
        """Free the memory of the reported bytes."""
        limit, _ = _get_limits(resource.RLIMIT_FSIZE)
        try:
            if limit != resource.RLIM_INFINITY:
                raise OSError(errno.EFBIG, "the limit of file sizes includes holes")
            punch_hole(self.descriptor, len(_MARK), self.reported - len(_MARK))
            self._freed = self.reported
        except OSError:
            # This loses output of this very moment, but later output has room.
            _truncate(self.descriptor, 0)
            self.reported = self._start = self._end = self._freed = 0


def _label(pid: int, stream: int) -> str:
    return f"enact_pool-output-{pid}-{stream}"


def _start(descriptor: int, size: int, reported: int) -> int:
    """Return where the bytes start that are not reported."""
    if not reported or reported > size:
        return 0
    mark = _MARK[:reported]
    return reported if _pread(descriptor, len(mark), 0) == mark else 0


def read(descriptors: Sequence[int], reported: Sequence[int]) -> tuple[bytes, bytes] | None:
    """Return the kept part of the unreported output of a dead worker, for its parent.

    Raises `OSError`.

    Args:
        descriptors: The two output files, or an empty sequence.
        reported: How many bytes of each were reported.

    Returns:
        The output to stdout and to stderr; None if there is none.
    """
    if not descriptors:
        return None
    sizes = [os.fstat(descriptor).st_size for descriptor in descriptors]
    starts = list(map(_start, descriptors, sizes, reported))
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
    # Cut at the ends of lines, if there are any.
    first = first[: first.rfind(b"\n") + 1] or first
    last = last[last.find(b"\n") + 1 :] or last
    left_out = size - len(first) - len(last)
    return b"%s\n[%d bytes are left out here]\n%s" % (first.removesuffix(b"\n"), left_out, last)


def trim(pid: int, reported: Callable[[], Sequence[int]]) -> bool:
    """Free the memory of the left-out part of a worker's output files, for its parent.

    This needs /proc, and files in memory. On other systems the files are on disk, and are
    as large as they are until their callable has ended.

    Args:
        pid: The worker.
        reported: Returns how many bytes of each file were reported by now.

    Returns:
        Whether a file was trimmed.
    """
    trimmed = False
    for index, stream in enumerate(STREAMS):
        path, label = f"/proc/{pid}/fd/{stream}", _label(pid, stream)
        try:
            # A callable may have replaced our file by its own.
            if _is_oversized(os.stat(path)) and _has_label(path, label):
                _trim(path, label, index, reported)
                trimmed = True
        except OSError:
            continue  # the file is gone, or no descriptor is left
    return trimmed


def _is_oversized(status: os.stat_result) -> bool:
    return status.st_blocks * 512 > _TRIMMED_BYTES


def _has_label(path: str, label: str) -> bool:
    return os.readlink(path).startswith(f"/memfd:{label} ")


def _trim(path: str, label: str, index: int, reported: Callable[[], Sequence[int]]) -> None:
    # It may be a named pipe by now, or leased: do not wait.
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(descriptor)
        if _is_oversized(status) and _has_label(f"/proc/self/fd/{descriptor}", label):
            # In this order: if the next callable prints meanwhile, its output is behind `end`.
            end = status.st_size
            start = _start(descriptor, end, reported()[index])
            if end - start > _KEPT_BYTES:
                punch_hole(descriptor, start + _HALF_BYTES, end - start - _KEPT_BYTES)
    finally:
        os.close(descriptor)
