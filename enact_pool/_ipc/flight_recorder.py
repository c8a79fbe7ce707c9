"""The flight recorder: a few words of shared memory that outlive their worker.

A worker records in it what it is doing, and its parent reads that once the
worker is dead. Recording costs a memory write where a message would cost two
system calls and wake the parent up. faulthandler writes the Python stack of a
crash behind the words, into the same file; the answer journal is the last part.

The file has no name: it is gone when parent and worker are.

The words determine the status of the worker: the first row that applies holds.

    status      words                  what the worker is doing
    ---------   --------------------   -----------------------------------------------------
    EXPIRED     EXPIRED                it exits: nothing was sent to it for its idle timeout
    FLUSHING    FLUSHING               it flushes what callables printed, until that is read
    PREPARING   PREPARING              it assembles a frame, or applies a setup
    LOADING     SINCE and LOADING      it unpickles a batch, an argument or definitions
    RUNNING     SINCE and BEGUN, not   it runs the task BEGUN; or it has written its answer,
                in the journal         and has recorded nothing since
    BETWEEN     SINCE                  it has an answer in the journal, and goes on
    RECEIVING   RECEIVING              a part of a batch was received
    RESTING     none of these          it waits for commands, or for its answers to be read

Only LOADING and RUNNING count as time of a task. What may be next, after one `record_*` call
or one change of the journal:

    RESTING     any but BETWEEN
    RECEIVING   any but BETWEEN
    PREPARING   RECEIVING RESTING RUNNING BETWEEN
    FLUSHING    RECEIVING RESTING RUNNING BETWEEN
    LOADING     RUNNING BETWEEN
    RUNNING     any but EXPIRED
    BETWEEN     any but EXPIRED
    EXPIRED     none

The order in which the worker writes is what makes a crash at any moment safe: it writes SINCE
before LOADING and BEGUN, so that a task is never recorded with an older time than its own; it
records BEGUN before it calls the user's code, and an entry of the journal before its count.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable
from functools import partial

from enact_pool._ipc.answer_journal import JOURNAL_BYTES, Journal
from enact_pool._system.descriptors import create_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Status = Literal[
        "EXPIRED",
        "FLUSHING",
        "PREPARING",
        "LOADING",
        "RUNNING",
        "BETWEEN",
        "RECEIVING",
        "RESTING",
    ]

__all__ = ["Activity", "FlightRecorder", "create_recorder_file"]

_TEXT_AT = 96
_JOURNAL_AT = 32 * 1024
_SIZE = _JOURNAL_AT + JOURNAL_BYTES

_LOADING, _BEGUN, _SINCE, _PREPARING, _RECEIVING, _EXPIRED, _FLUSHING = range(7)
# Two words, for stdout and stderr.
_REPORTED, _REPORTED_END = 7, 9


def create_recorder_file() -> int:
    """Create the file of a flight recorder; return its descriptor, which the caller must close.

    Raises `OSError`.
    """
    descriptor = create_file()
    try:
        # Written, not just extended: without space, this raises here, where a
        # hole in the file would kill the worker that first wrote to it.
        os.write(descriptor, bytes(_SIZE))
        if hasattr(os, "memfd_create"):
            # Reading a mapping beyond the end of a truncated file raises SIGBUS: no
            # callable may do that to the parent.
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


# The serial number of the task that was begun last, the last serial number of the batch that is
# being unpickled (0 for none), and since when.
Activity = tuple[int, int, int]


class FlightRecorder:
    """One side's view of a flight recorder."""

    def __init__(self, memory: memoryview, unmap: Callable[[], None]) -> None:
        self._unmap = unmap
        self._words = memory[:_TEXT_AT].cast("Q")
        self._text = memory[_TEXT_AT:_JOURNAL_AT]
        self.journal = Journal(memory[_JOURNAL_AT:_SIZE])

    @classmethod
    def of_parent(cls, descriptor: int) -> FlightRecorder:
        """Return the parent's view, which keeps no descriptor open. Raises `OSError`."""
        from enact_pool._system.mapping import map_file, memory_at, unmap  # not for workers

        address = map_file(descriptor, _SIZE, private=False)
        memory = memoryview(memory_at(address, _SIZE)).cast("B")
        return cls(memory, partial(unmap, address, _SIZE))

    @classmethod
    def of_worker(cls, descriptor: int) -> FlightRecorder:
        """Return the worker's view; faulthandler writes to the descriptor behind the words."""
        os.lseek(descriptor, _TEXT_AT, os.SEEK_SET)
        mapped = mmap.mmap(descriptor, _SIZE)
        return cls(memoryview(mapped), mapped.close)

    # For the worker

    def record_receiving(self, last_serial: int) -> None:
        """Record that a part of the batch that ends with this number was received; 0 for none."""
        self._words[_RECEIVING] = last_serial

    def record_loading(self, last_serial: int, now_ns: int) -> None:
        """Record that unpickling a batch that ends with this number starts; 0 if it has ended."""
        self._words[_SINCE] = now_ns
        self._words[_LOADING] = last_serial

    def record_preparing(self, preparing: bool) -> None:
        """Record that work starts or ends that may take long, and is not a callable's time."""
        self._words[_PREPARING] = preparing

    def record_begun(self, serial: int, now_ns: int) -> None:
        """Record that the task with this serial number begins."""
        self._words[_SINCE] = now_ns
        self._words[_BEGUN] = serial

    def record_resting(self) -> None:
        """Record that the worker is about to wait for its parent."""
        self._words[_SINCE] = 0

    def record_flushing(self, flushing: bool) -> None:
        """Record that flushing what callables have printed starts or ends."""
        self._words[_FLUSHING] = flushing

    def record_reported(self, sizes: tuple[int, int]) -> None:
        """Record how many bytes of the files of stdout and stderr were reported."""
        self._words[_REPORTED], self._words[_REPORTED + 1] = sizes

    def record_expired(self) -> None:
        """Record that the worker exits, since nothing was sent to it for its idle timeout."""
        self._words[_EXPIRED] = True

    # For the parent

    @property
    def status(self) -> Status:
        """What the worker is doing: see the tables above.

        While the worker runs, the words may be of two moments.
        """
        return self._status_of(self.since_ns, self.loading, self.begun)

    def _status_of(self, since: int, loading: int, begun: int) -> Status:
        words = self._words
        if words[_EXPIRED]:
            return "EXPIRED"
        if words[_FLUSHING]:
            return "FLUSHING"
        if words[_PREPARING]:
            return "PREPARING"
        if since:
            if loading:
                return "LOADING"
            return "RUNNING" if begun and begun not in self.journal.extent else "BETWEEN"
        return "RECEIVING" if words[_RECEIVING] else "RESTING"

    @property
    def flushing(self) -> bool:
        """Whether the worker flushes what callables have printed: the output must be read."""
        return bool(self._words[_FLUSHING])

    def reported(self) -> list[int]:
        """Return how many bytes of the output files were reported: see `output_file`."""
        return self._words[_REPORTED:_REPORTED_END].tolist()

    @property
    def expired(self) -> bool:
        """Whether the worker exited since nothing was sent to it for its idle timeout."""
        return bool(self._words[_EXPIRED])

    @property
    def receiving(self) -> int:
        """The last serial number of the batch of which a part was received; 0 for none."""
        return self._words[_RECEIVING]

    @property
    def loading(self) -> int:
        """The last serial number of the batch that is being unpickled; 0 for none."""
        return self._words[_LOADING]

    @property
    def preparing(self) -> bool:
        """Whether the worker assembles a frame, or applies a setup."""
        return bool(self._words[_PREPARING])

    @property
    def begun(self) -> int:
        """The serial number of the task that was begun last; 0 for none."""
        return self._words[_BEGUN]

    @property
    def since_ns(self) -> int:
        """When the worker began what it does, on the monotonic clock that all processes share."""
        return self._words[_SINCE]

    @property
    def activity(self) -> Activity | None:
        """What the worker does for its tasks; None if it is neither LOADING nor RUNNING.

        While the worker runs, this may be a mixture of two activities.
        """
        since, loading, begun = self.since_ns, self.loading, self.begun
        # The status of these very values: the words may change meanwhile.
        status = self._status_of(since, loading, begun)
        return (begun, loading, since) if status in ("LOADING", "RUNNING") else None

    def stack(self) -> str:
        """Return the stack that faulthandler wrote, most recent call first; empty without one."""
        return bytes(self._text).rstrip(b"\0").decode("utf-8", "replace")

    def close(self) -> None:
        """Unmap the memory; the recorder cannot be read any more."""
        self._words.release()
        self._text.release()
        self.journal.close()
        self._unmap()
