"""The capture of what callables print, in their worker.

While a batch runs, descriptors 1 and 2 are files in memory, so that what C code and
child processes print is captured, too. Python and C write to them line by line, as to a
terminal, so that all lines are there when the worker dies. For that its parent is sent
their descriptors, once in a run.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
import sys
from collections.abc import Callable
from functools import partial

from enact_pool import printed
from enact_pool.descriptors import out_of_reach
from enact_pool.sidechannel import Kind, send_descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Capture"]

# Bound here: a callable may clear or patch the modules they come from.
_dup2, _fstat = os.dup2, os.fstat

# Of setvbuf, on every system there is.
_BY_LINES = 1


class Capture:
    """What is printed in this process, from `begin` to `end`."""

    def __init__(self, side: int, run: int) -> None:
        """Tells the parent, over this side channel. Raises `OSError`."""
        _end_own_workers()
        self._files = [out_of_reach(printed.create(stream)) for stream in printed.STREAMS]
        inodes = [_fstat(file).st_ino for file in self._files]
        self._places = list(zip(self._files, inodes, printed.STREAMS, strict=True))
        self._saved = [_copy(stream) for stream in printed.STREAMS]
        # Python's own streams, and ours in their place.
        self._usual: tuple[Any, Any] = sys.stdout, sys.stderr
        self._ours = _text_stream(1), _text_stream(2)
        self._flush_c = _c_stdout_by_lines()
        send_descriptors(side, Kind.OUTPUT, run, self._files)

    def begin(self) -> None:
        """Capture from now on. What was printed since the last time is nobody's."""
        self._usual = sys.stdout, sys.stderr
        self._flush()
        if self._put_in_place():
            self.forget()

    def _put_in_place(self) -> bool:
        """Let everything be printed to the files; gives whether there is something in them."""
        has_printed = False
        for file, inode, stream in self._places:
            status = _fstat(file)
            if status.st_ino != inode:
                raise OSError(errno.EBADF, "a callable has put another file in its place")
            has_printed |= status.st_size > 0
            _dup2(file, stream)
        sys.stdout, sys.stderr = self._ours
        return has_printed

    def printed(self) -> tuple[bytes, bytes] | None:
        """What was printed since the last `forget`; None if nothing was.

        The next callable finds everything in place. Raises `OSError` if the last one has
        closed the files.
        """
        self._flush()
        return printed.read(self._files) if self._put_in_place() else None

    def forget(self) -> None:
        """It is told, or nobody's."""
        for file in self._files:
            printed.empty(file)

    def _flush(self) -> None:
        for stream in self._usual:
            _flush(stream)
        out, err = self._ours
        if sys.stdout is not out or sys.stderr is not err:
            _flush(sys.stdout)
            _flush(sys.stderr)
        if not (_flush(out) and _flush(err)):
            self._ours = _text_stream(1), _text_stream(2)
        self._flush_c()

    def end(self) -> None:
        """Print as before."""
        self._flush()
        for saved, stream in zip(self._saved, printed.STREAMS, strict=True):
            if saved is None:
                os.close(stream)
            else:
                _dup2(saved, stream)
        sys.stdout, sys.stderr = self._usual

    def close(self) -> None:
        """There is no run any more of which output is captured."""
        for descriptor in (*self._files, *self._saved):
            if descriptor is not None:
                os.close(descriptor)
        _end_own_workers()


def _end_own_workers() -> None:
    """End the workers that callables have left idle: they do not print where others will."""
    supply = sys.modules.get("enact_pool.supply")
    if supply is not None:
        supply.end_idle_workers()


def _copy(stream: int) -> int | None:
    try:
        return out_of_reach(os.dup(stream))
    except OSError:
        return None  # it is closed in this program


def _text_stream(stream: int) -> io.TextIOWrapper:
    file = io.BufferedWriter(io.FileIO(stream, "w", closefd=False))
    return io.TextIOWrapper(file, "utf-8", "backslashreplace", line_buffering=True)


def _flush(stream: Any) -> bool:
    """Print what a text stream has not printed yet; gives whether it is one."""
    try:
        stream.flush()
    except Exception:
        return False  # a callable has closed or replaced it, or there is none
    return True


def _c_stdout_by_lines() -> Callable[[], object]:
    """Let C code print each line when it is complete; gives how to have it print the rest."""
    libc = ctypes.CDLL(None)
    libc.setvbuf.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    libc.fflush.argtypes = [ctypes.c_void_p]
    stdout = ctypes.c_void_p.in_dll(libc, "__stdoutp" if sys.platform == "darwin" else "stdout")
    libc.setvbuf(stdout, None, _BY_LINES, 0)
    return partial(libc.fflush, stdout)
