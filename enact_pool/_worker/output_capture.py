"""The capture of what callables print, in their worker.

While a batch runs, descriptors 1 and 2 are files in memory, so that what C code and
child processes print is captured, too. Python and C write to them line by line, as to a
terminal, so that all lines are in the files when the worker dies. The parent receives
their descriptors once in a run, and reads the files then.
"""

from __future__ import annotations

import ctypes
import io
import os
import stat
import sys
from collections.abc import Callable
from functools import partial

from enact_pool._ipc.flight_recorder import FlightRecorder
from enact_pool._ipc.output_file import STREAMS, OutputFile
from enact_pool._ipc.side_channel import Kind, send_descriptors
from enact_pool._system.descriptors import move_out_of_reach

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["OutputCapture"]

# Bound here: a callable may clear or patch the modules they come from.
_dup2, _fstat = os.dup2, os.fstat
_get_blocking, _set_blocking = os.get_blocking, os.set_blocking

# _IOLBF, an argument of setvbuf, has this value on all systems.
_LINE_BUFFERED = 1


class OutputCapture:
    """Captures what this process prints, from `begin` to `end`."""

    def __init__(self, side: int, recorder: FlightRecorder, run: int) -> None:
        """Send the files to the parent; record in the recorder how much of them was reported.

        Raises `OSError`.
        """
        _end_own_workers()
        self._recorder = recorder
        self._out, self._err = map(OutputFile, STREAMS)
        self._saved = [_copy(stream) for stream in STREAMS]
        # The streams outside of batches.
        self._usual: tuple[Any, Any] = sys.stdout, sys.stderr
        self._flush_c = _buffer_c_stdout_by_lines()
        recorder.record_reported((0, 0))
        files = self._out.descriptor, self._err.descriptor
        send_descriptors(side, Kind.OUTPUT, run, files)

    def begin(self) -> None:
        """Start capturing.

        What processes that callables have left running have printed since the last batch counts
        as output of the next callable. This waits if earlier output is not read.
        """
        self._usual = sys.stdout, sys.stderr
        for stream in (*self._usual, *_ours):
            _flush(stream)
        self._flush_c()
        sys.stdout, sys.stderr = _ours
        self._redirect()

    def read(self) -> tuple[bytes, bytes] | None:
        """Return what was printed since the last `forget`; None if nothing was.

        The streams are restored for the next callable. Raises `OSError` if the last callable
        has closed the files.
        """
        self._redirect()
        has_out, has_err = self._out.look(), self._err.look()
        return (self._out.read(), self._err.read()) if has_out or has_err else None

    def _redirect(self) -> None:
        # First: afterwards flushing does not wait, wherever a callable has put 1 and 2.
        self._out.redirect()
        self._err.redirect()
        for index, stream in enumerate((sys.stdout, sys.stderr)):
            if stream is not _ours[index]:
                _dispose(stream)
        for index, stream in enumerate(_ours):
            if not _flush(stream):
                _ours[index] = _text_stream(STREAMS[index])
        sys.stdout, sys.stderr = _ours
        for usual in self._usual:
            if _prints(usual):
                _flush(usual)
        self._flush_c()

    def forget(self) -> None:
        """Forget the output that the last `read` returned: it was reported. Raises `OSError`."""
        self._out.forget()
        self._err.forget()
        self._recorder.record_reported((self._out.reported, self._err.reported))

    def end(self) -> None:
        """Stop capturing: restore the streams."""
        self._redirect()
        for saved, stream in zip(self._saved, STREAMS, strict=True):
            if saved is None:
                os.close(stream)
            else:
                _dup2(saved, stream)
        sys.stdout, sys.stderr = self._usual

    def close(self) -> None:
        """Close the files: the run is over."""
        for descriptor in (self._out.descriptor, self._err.descriptor, *self._saved):
            if descriptor is not None:
                os.close(descriptor)
        _end_own_workers()


def _end_own_workers() -> None:
    """End the idle workers of callables' pools: their streams differ from those of new workers."""
    lane_pool = sys.modules.get("enact_pool._lanes.lane_pool")
    if lane_pool is not None:
        lane_pool.end_idle_workers()


def _copy(stream: int) -> int | None:
    try:
        return move_out_of_reach(os.dup(stream))
    except OSError:
        return None  # it is closed in this program


def _text_stream(stream: int) -> io.TextIOWrapper:
    file = io.BufferedWriter(io.FileIO(stream, "w", closefd=False))
    return io.TextIOWrapper(file, "utf-8", "backslashreplace", line_buffering=True)


def _flush(stream: Any) -> bool:
    """Flush a text stream; return whether that was possible."""
    try:
        stream.flush()
    except BaseException:
        return False  # a callable has closed or replaced it, or it is None
    return True


def _prints(stream: Any) -> bool:
    """Return whether a text stream writes to 1 or 2."""
    try:
        return isinstance(stream, io.TextIOWrapper) and stream.fileno() in STREAMS
    except BaseException:
        return False  # it is closed, or has no file


# The streams that replace Python's own ones, once their files exist. They exist as long as
# the worker: modules keep the object that they have found as `sys.stdout`.
_ours: list[Any] = [None, None]

# Streams that callables have left in place of ours, and whose content has no reader yet:
# they would be flushed as garbage, and wait for one.
_left: list[io.TextIOWrapper] = []


def _dispose(stream: Any) -> None:
    """Dispose of a stream that a callable has left in place of one of ours."""
    if isinstance(stream, io.TextIOWrapper) and not stream.closed:
        _left.append(stream)
        _left[:] = [left for left in _left if _would_wait(left)]


def _would_wait(stream: io.TextIOWrapper) -> bool:
    """Flush a text stream; return whether that is impossible until its reader has read."""
    try:
        file = stream.fileno()
        waits = _get_blocking(file) and not stat.S_ISREG(_fstat(file).st_mode)
    except BaseException:
        return False  # it is closed, or has no file
    if waits:
        _set_blocking(file, False)
    try:
        stream.flush()
    except BlockingIOError:
        return True
    except BaseException:
        return False  # it cannot be flushed
    finally:
        if waits:
            _set_blocking(file, True)
    return False


def _buffer_c_stdout_by_lines() -> Callable[[], object]:
    """Let C code write each complete line at once; return a function that writes the rest."""
    libc = ctypes.CDLL(None)
    libc.setvbuf.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    libc.fflush.argtypes = [ctypes.c_void_p]
    stdout = ctypes.c_void_p.in_dll(libc, "__stdoutp" if sys.platform == "darwin" else "stdout")
    libc.setvbuf(stdout, None, _LINE_BUFFERED, 0)
    return partial(libc.fflush, stdout)
