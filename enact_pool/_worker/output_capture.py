"""The capture of what callables print, in their worker.

While a batch runs, descriptors 1 and 2 are files in memory, so that what C code and
child processes print is captured, too. Python and C write to them line by line, as to a
terminal, so that all lines are there when the worker dies. For that its parent is sent
their descriptors, once in a run.
"""

from __future__ import annotations

import ctypes
import io
import os
import stat
import sys
from collections.abc import Callable
from functools import partial

from enact_pool._ipc import output_file
from enact_pool._ipc.flight_recorder import FlightRecorder
from enact_pool._ipc.side_channel import Kind, send_descriptors
from enact_pool._system.descriptors import out_of_reach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Capture"]

# Bound here: a callable may clear or patch the modules they come from.
_dup2, _fstat = os.dup2, os.fstat
_get_blocking, _set_blocking = os.get_blocking, os.set_blocking

# Of setvbuf, on every system there is.
_BY_LINES = 1


class Capture:
    """What is printed in this process, from `begin` to `end`."""

    def __init__(self, side: int, recorder: FlightRecorder, run: int) -> None:
        """Tells the parent, over this side channel, and notes what it need not know any more.

        Raises `OSError`.
        """
        _end_own_workers()
        self._recorder = recorder
        self._out, self._err = map(output_file.OutputFile, output_file.STREAMS)
        self._saved = [_copy(stream) for stream in output_file.STREAMS]
        # Python's own streams.
        self._usual: tuple[Any, Any] = sys.stdout, sys.stderr
        self._flush_c = _c_stdout_by_lines()
        recorder.note_told((0, 0))
        files = self._out.descriptor, self._err.descriptor
        send_descriptors(side, Kind.OUTPUT, run, files)

    def begin(self) -> None:
        """Capture from now on.

        What processes that a callable has left running have printed meanwhile is that of
        the next one. Waits if nobody reads what was printed before.
        """
        self._usual = sys.stdout, sys.stderr
        for stream in (*self._usual, *_ours):
            _flush(stream)
        self._flush_c()
        sys.stdout, sys.stderr = _ours
        self._put_in_place()

    def printed(self) -> tuple[bytes, bytes] | None:
        """What was printed since the last `forget`; None if nothing was.

        The next callable finds everything in place. Raises `OSError` if the last one has
        closed the files.
        """
        self._put_in_place()
        has_out, has_err = self._out.look(), self._err.look()
        return (self._out.read(), self._err.read()) if has_out or has_err else None

    def _put_in_place(self) -> None:
        # First: to print what waits to be printed takes no time now, wherever a
        # callable has put 1 and 2.
        self._out.put_in_place()
        self._err.put_in_place()
        for index, stream in enumerate((sys.stdout, sys.stderr)):
            if stream is not _ours[index]:
                _dispose(stream)
        for index, stream in enumerate(_ours):
            if not _flush(stream):
                _ours[index] = _text_stream(output_file.STREAMS[index])
        sys.stdout, sys.stderr = _ours
        for usual in self._usual:
            if _prints(usual):
                _flush(usual)
        self._flush_c()

    def forget(self) -> None:
        """It is told."""
        self._out.forget()
        self._err.forget()
        self._recorder.note_told((self._out.told, self._err.told))

    def end(self) -> None:
        """Print as before."""
        self._put_in_place()
        for saved, stream in zip(self._saved, output_file.STREAMS, strict=True):
            if saved is None:
                os.close(stream)
            else:
                _dup2(saved, stream)
        sys.stdout, sys.stderr = self._usual

    def close(self) -> None:
        """There is no run any more of which output is captured."""
        for descriptor in (self._out.descriptor, self._err.descriptor, *self._saved):
            if descriptor is not None:
                os.close(descriptor)
        _end_own_workers()


def _end_own_workers() -> None:
    """End the workers that callables have left idle: they do not print where others will."""
    supply = sys.modules.get("enact_pool._lanes.lane_pool")
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
        return isinstance(stream, io.TextIOWrapper) and stream.fileno() in output_file.STREAMS
    except BaseException:
        return False  # it is closed, or there is no file behind it


# Our streams, in the place of Python's own, from when there is a file behind them. For the
# life of the worker: modules keep what they have found as `sys.stdout`.
_ours: list[Any] = [None, None]

# Streams that callables have left in the place of ours, and that would wait for a reader
# if they printed what they have, which they do when they are not used any more.
_left: list[io.TextIOWrapper] = []


def _dispose(stream: Any) -> None:
    """A callable has left this in the place of a stream of ours."""
    if isinstance(stream, io.TextIOWrapper) and not stream.closed:
        _left.append(stream)
        _left[:] = [left for left in _left if _would_wait(left)]


def _would_wait(stream: io.TextIOWrapper) -> bool:
    """Print what a text stream has not printed yet, unless somebody has to read first."""
    try:
        file = stream.fileno()
        waits = _get_blocking(file) and not stat.S_ISREG(_fstat(file).st_mode)
    except BaseException:
        return False  # it is closed, or there is no file behind it
    if waits:
        _set_blocking(file, False)
    try:
        stream.flush()
    except BlockingIOError:
        return True
    except BaseException:
        return False  # it cannot be printed
    finally:
        if waits:
            _set_blocking(file, True)
    return False


def _c_stdout_by_lines() -> Callable[[], object]:
    """Let C code print each line when it is complete; gives how to have it print the rest."""
    libc = ctypes.CDLL(None)
    libc.setvbuf.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    libc.fflush.argtypes = [ctypes.c_void_p]
    stdout = ctypes.c_void_p.in_dll(libc, "__stdoutp" if sys.platform == "darwin" else "stdout")
    libc.setvbuf(stdout, None, _BY_LINES, 0)
    return partial(libc.fflush, stdout)
