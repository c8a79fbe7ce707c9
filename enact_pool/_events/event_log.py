"""A log of events: a file with a JSON line for each, which outlives whoever writes it.

Any number of threads and processes may write to it, each line under a lock of the
file (flock), and any may read meanwhile, without one. A line whose newline is
missing is one that its writer could not complete: readers leave it out, and the
next writer cuts it off, before it appends its own.
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

# How each line begins.
_BEGINNING = b'{"type": "data-'

_READ_BYTES = 1 << 16


@public
class EventLog(ProcessLocal):
    """An emitter that appends each event to a file, and then passes it on to `emitter`.

    What `emitter` is told is in the file by then: an event that could not be written
    is not passed on. By `mode`, the log has one event for each callable, or what
    live emitters are told (see `EventEmitter`). An `emitter` that is not live itself
    is passed the events of the callables' ends only.

    An event that is in the file stays there however this process ends, by SIGKILL
    too. If the machine itself may lose power, or crash, `fsync` has each event
    written to the disk before `emit` returns, which takes it a millisecond or so.

    The file is made if there is none. Several logs, in this and in other processes,
    may have the same file; a forked child needs one of its own. `close()`, or leaving
    a `with` block, closes the file, not the `emitter`.

    Raises `OSError` if the file cannot be opened, locked or read, `ValueError` if it
    ends in what is no event or is no regular file, or for another mode, and
    `TypeError` for an `emitter` that cannot emit.
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
        # Where the last line ends that was written here.
        self._end = 0
        self._file: int | None = _open(self._path, fsync)
        try:
            self._append(b"")
        except BaseException:
            self.close()
            raise

    def emit(self, event: StreamEvent) -> None:
        """Write the event, then pass it on.

        Raises `OSError` if it cannot be written (the disk is full, say), what `to_json`
        and the `emitter` raise, and `RuntimeError` if the log is closed.
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
        # Whoever wrote since then, another or we, may have failed half-way.
        if size != self._end:
            size = _mend(file, size, self._path)
        rest = memoryview(lines)
        while rest:
            # A part of them at least, or it raises.
            rest = rest[os.write(file, rest) :]
        self._end = size + len(lines)

    def close(self) -> None:
        """Close the file; nothing can be emitted any more."""
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
    """The events of a log, one by one, as far as it is written by then.

    A last line that is not complete is left out: it is being written, or its writer was
    killed or had no room for the rest. Raises `OSError` if the file cannot be read, and
    `ValueError`, which names the line, for one that is no event.
    """
    path = os.fspath(path)
    for number, line in enumerate(_lines(path), 1):
        try:
            event = StreamEvent.from_json(line.decode())
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        yield event


def _lines(path: str) -> Iterator[bytes]:
    """The complete lines of a file."""
    position, wanted = 0, _READ_BYTES
    with open(path, "rb", buffering=0) as file:
        while True:
            # An incomplete line is read again, from its beginning: it may have been cut off
            # meanwhile, and another be there.
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
    """Whether a line is a complete event. A part of one never is."""
    try:
        StreamEvent.from_json(line.decode())
    except ValueError:
        return False
    return True


def _open(path: str, fsync: bool) -> int:
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise ValueError(f"{path} is no regular file")
        if fsync:
            # It may be new there.
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
        # There fsync leaves it to the disk when it writes what it was given.
        fcntl.fcntl(file, fcntl.F_FULLFSYNC)
    else:
        os.fsync(file)


def _mend(file: int, size: int, path: str) -> int:
    """See to it that the last line of a file of this size is complete; gives the new size."""
    last = _last_line(file, size)
    if not last:
        return size
    if _is_event(last):
        return size + os.write(file, b"\n")
    # Of another kind of file nothing may be lost.
    if not (last.startswith(_BEGINNING) or _BEGINNING.startswith(last)):
        raise ValueError(f"{path} is no log of events: it ends in {last[:40]!r}")
    os.ftruncate(file, size - len(last))
    return size - len(last)


def _last_line(file: int, size: int) -> bytes:
    """What comes after the last newline."""
    start = size
    while True:
        start = max(0, start - max(_READ_BYTES, size - start))
        end = os.pread(file, size - start, start)
        newline = end.rfind(b"\n")
        if newline >= 0 or start == 0:
            return end[newline + 1 :]
