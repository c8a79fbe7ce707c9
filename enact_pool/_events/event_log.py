"""A log of events: a file with one JSON line for each event, which outlives its writer.

Any number of threads and processes may write to it, each line under a lock of the file (flock), and
read it meanwhile, without a lock. If a line has no newline, its writer could not complete it:
readers skip the line, and the next writer cuts it off before it appends its own.
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys
import threading
from collections.abc import Generator, Iterator
from types import TracebackType

from enact_pool._events.emitter import Emitter, EmitterMode, check_emitter, is_live
from enact_pool._events.events import ExecutionCancelled, ExecutionFailed, StepEnd, StreamEvent
from enact_pool._python.process_local import ProcessLocal
from enact_pool._python.public_names import public

__all__ = ["EventLog", "read_events"]

# The beginning of each line.
_BEGINNING = b'{"type": "data-'

_READ_BYTES = 1 << 16


@public
class EventLog(ProcessLocal):
    """An emitter that appends each event to a file, and then passes it on to another emitter.

    An event that is in the file stays there however this process ends, even by SIGKILL. Several
    logs, in this and in other processes, may use the same file; a forked child needs a log of its
    own. `close()`, or leaving a `with` block, closes the file, but not `emitter`.

    Args:
        path: The file; it is created if it does not exist.
        emitter: Receives each event after it was written; an event that could not be written is not
            passed on. An emitter that is not live receives only events of outcomes. Default: none.
        mode: Which events the log receives: see `EventEmitter`. Default: "live".
        fsync: Whether each event is on the disk before `emit` returns, which takes about a
            millisecond. It protects against power failures and crashes of the machine. Default:
            False.

    Raises:
        OSError: The file cannot be opened, locked or read.
        ValueError: The file is not regular, or does not end with an event; or the mode is wrong.
        TypeError: `emitter` does not have a usable `emit`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        emitter: Emitter | None = None,
        *,
        mode: EmitterMode = "live",
        fsync: bool = False,
    ) -> None:
        self.mode: EmitterMode = mode
        check_emitter(self)
        check_emitter(emitter)
        self._emitter = emitter
        self._passes_all = is_live(emitter)
        self._fsync = fsync
        # Re-entrant: a signal handler may emit while its thread is in `emit`.
        self._lock = threading.RLock()
        self._path = os.fspath(path)
        # Where the last line ends that this object wrote.
        self._end = 0
        self._file: int | None = _open(self._path, fsync)
        try:
            self._append(b"")
        except BaseException:
            self.close()
            raise

    def emit(self, event: StreamEvent) -> None:
        """Write the event, then pass it on.

        Raises:
            OSError: The event cannot be written: the disk is full, for example.
            RuntimeError: The log is closed.
            Exception: What `to_json` and the `emitter` raise.
        """
        self._append(event.to_json().encode("ascii") + b"\n")
        if self._emitter is not None and (
            self._passes_all or isinstance(event, (StepEnd, ExecutionFailed, ExecutionCancelled))
        ):
            self._emitter.emit(event)

    def _append(self, lines: bytes) -> None:
        with self._lock:
            if self._file is None:
                raise RuntimeError("the event log is closed")
            try:
                try:
                    fcntl.flock(self._file, fcntl.LOCK_EX)
                    self._write(self._file, lines)
                finally:
                    fcntl.flock(self._file, fcntl.LOCK_UN)
                if self._fsync:
                    _sync(self._file)
            except OSError as error:
                error.filename = self._path
                raise

    def _write(self, file: int, lines: bytes) -> None:
        size = os.lseek(file, 0, os.SEEK_END)
        # The last write, of this object or of another writer, may have failed half-way.
        if size != self._end:
            size = _complete_last_line(file, size, self._path)
        rest = memoryview(lines)
        while rest:
            # `os.write` writes at least one byte, or raises.
            rest = rest[os.write(file, rest) :]
        self._end = size + len(lines)

    def close(self) -> None:
        """Close the file; `emit` raises from then on."""
        with self._lock:
            file, self._file = self._file, None
            if file is not None:
                os.close(file)

    def __enter__(self) -> EventLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        position: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = " closed" if self._file is None else ""
        return f"<EventLog {self._path!r} mode={self.mode!r}{state}>"


@public
def read_events(path: str | os.PathLike[str]) -> Generator[StreamEvent, None, None]:
    """Yield the events that a log contains.

    An incomplete last line is skipped: it is being written, or its writer was killed or had no
    space for the rest.

    Raises:
        OSError: The file cannot be read.
        ValueError: A line is not an event; the message contains the number of the line.
    """
    path = os.fspath(path)
    for number, line in enumerate(_lines(path), 1):
        try:
            event = StreamEvent.from_json(line.decode())
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        yield event


def _lines(path: str) -> Iterator[bytes]:
    """Yield the complete lines of a file."""
    position, wanted = 0, _READ_BYTES
    with open(path, "rb", buffering=0) as file:
        while True:
            # An incomplete line is read again, from its beginning: a writer may have cut it off
            # meanwhile, and written another line in its place.
            chunk = os.pread(file.fileno(), wanted, position)
            end = chunk.rfind(b"\n") + 1
            yield from chunk[:end].split(b"\n")[:-1]
            position += end
            if len(chunk) < wanted:
                break
            wanted = _READ_BYTES if end else 2 * wanted
    last = chunk[end:]
    if _is_event(last):
        yield last  # only its newline is missing


def _is_event(line: bytes) -> bool:
    """Return whether a line is a complete event. A part of an event never is one."""
    try:
        StreamEvent.from_json(line.decode())
    except ValueError:
        return False
    return True


def _open(path: str, fsync: bool) -> int:
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise ValueError(f"{path} is not a regular file")
        if fsync:
            # The entry of a new file must be on the disk, too.
            folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except BaseException:
        os.close(file)
        raise
    return file


def _sync(file: int) -> None:
    if sys.platform == "darwin":
        # On macOS, fsync does not wait until the disk has written its cache.
        fcntl.fcntl(file, fcntl.F_FULLFSYNC)
    else:
        os.fsync(file)


def _complete_last_line(file: int, size: int, path: str) -> int:
    """Complete or cut off the last line of a file of this size; return the new size."""
    last = _last_line(file, size)
    text = last.rstrip(b"\0")
    if len(text) < len(last) and os.pread(file, len(_BEGINNING), 0) == _BEGINNING:
        # What some file systems leave after a power failure in the place of the last lines.
        size -= len(last) - len(text)
        os.ftruncate(file, size)
        last = text
    if not last:
        return size
    if _is_event(last):
        return size + os.write(file, b"\n")
    # Never shorten a file of another kind.
    if not (last.startswith(_BEGINNING) or _BEGINNING.startswith(last)):
        raise ValueError(f"{path} is not a log of events: it ends with {last[:40]!r}")
    os.ftruncate(file, size - len(last))
    return size - len(last)


def _last_line(file: int, size: int) -> bytes:
    """Return the bytes after the last newline."""
    start = size
    while True:
        start = max(0, start - max(_READ_BYTES, size - start))
        end = os.pread(file, size - start, start)
        newline = end.rfind(b"\n")
        if newline >= 0 or start == 0:
            return end[newline + 1 :]
