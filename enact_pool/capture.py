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
_dup2, _fstat, _lseek = os.dup2, os.fstat, os.lseek

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
        # Python's own streams, and ours in their place, made when there is a file behind them.
        self._usual: tuple[Any, Any] = sys.stdout, sys.stderr
        self._ours: tuple[Any, Any] = None, None
        self._flush_c = _c_stdout_by_lines()
        send_descriptors(side, Kind.OUTPUT, run, self._files)

    def begin(self) -> None:
        """Capture from now on; what was printed since the last time is nobody's.

        Waits if nobody reads what was printed before.
        """
        self._usual = sys.stdout, sys.stderr
        for stream in self._usual:
            _flush(stream)
        self._flush_c()
        sys.stdout, sys.stderr = self._ours
        self.printed()
        self.forget()

    def printed(self) -> tuple[bytes, bytes] | None:
        """What was printed since the last `forget`; None if nothing was.

        The next callable finds everything in place. Raises `OSError` if the last one has
        closed the files.
        """
        for file, inode, stream in self._places:
            if _fstat(file).st_ino != inode:
                raise OSError(errno.EBADF, "a callable has put another file in its place")
            # First: to print what waits to be printed takes no time now, wherever a
            # callable has put 1 and 2.
            _dup2(file, stream)
        out, err = self._ours
        if sys.stdout is not out or sys.stderr is not err:
            _dispose(sys.stdout)
            _dispose(sys.stderr)
        if not (_flush(out) and _flush(err)):
            self._ours = _text_stream(1), _text_stream(2)
        sys.stdout, sys.stderr = self._ours
        for usual in self._usual:
            if _prints(usual):
                _flush(usual)
        self._flush_c()
        for file in self._files:
            if _lseek(file, 0, os.SEEK_END):
                return printed.read(self._files)
        return None

    def forget(self) -> None:
        """It is told, or nobody's."""
        for file in self._files:
            printed.empty(file)

    def end(self) -> None:
        """Print as before."""
        self.printed()
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
    except BaseException:
        return False  # a callable has closed or replaced it, or there is none
    return True


def _prints(stream: Any) -> bool:
    """Whether a text stream prints to 1 or 2."""
    try:
        return isinstance(stream, io.TextIOWrapper) and stream.fileno() in printed.STREAMS
    except BaseException:
        return False  # it is closed, or there is no file behind it


# Streams that callables have left in the place of ours. Each prints what it has when it is
# not used any more, and waits till somebody reads that.
_left: list[io.TextIOWrapper] = []


def _dispose(stream: Any) -> None:
    """A callable has left this in the place of a stream of ours."""
    if _prints(stream):
        _flush(stream)
    elif isinstance(stream, io.TextIOWrapper) and not stream.closed:
        _left.append(stream)


def _c_stdout_by_lines() -> Callable[[], object]:
    """Let C code print each line when it is complete; gives how to have it print the rest."""
    libc = ctypes.CDLL(None)
    libc.setvbuf.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    libc.fflush.argtypes = [ctypes.c_void_p]
    stdout = ctypes.c_void_p.in_dll(libc, "__stdoutp" if sys.platform == "darwin" else "stdout")
    libc.setvbuf(stdout, None, _BY_LINES, 0)
    return partial(libc.fflush, stdout)
