"""The flight recorder: a few words of shared memory that outlive their worker.

A worker notes in it what it is doing, and its parent reads that once the
worker is dead. A note costs a memory write where a message would cost two
system calls and wake the parent up. faulthandler writes the Python stack of a
crash behind the notes, into the same file; the journal comes last.

The file has no name: it is gone when parent and worker are.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable
from functools import partial

from enact_pool._ipc.answer_journal import JOURNAL_BYTES, Journal
from enact_pool._system.descriptors import create_file

__all__ = ["Activity", "FlightRecorder", "create_recording"]

_TEXT_AT = 96
_JOURNAL_AT = 32 * 1024
_SIZE = _JOURNAL_AT + JOURNAL_BYTES

_LOADING, _BEGUN, _SINCE, _OCCUPIED, _RECEIVING, _EXPIRED, _FLUSHING = range(7)
# Of stdout and of stderr.
_TOLD, _TOLD_END = 7, 9


def create_recording() -> int:
    """Make the file of a recording; gives its descriptor, which is the caller's to close."""
    descriptor = create_file()
    try:
        # Written, not just made longer: with no space left this raises here,
        # where a hole in the file would kill the worker that first wrote to it.
        os.write(descriptor, bytes(_SIZE))
        if hasattr(os, "memfd_create"):
            # Who reads what is mapped and was then cut off is killed: no callable
            # may do that to the parent.
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


# The number of the callable that was begun last, of the last one that is being
# unpickled (0: none is), and since when.
Activity = tuple[int, int, int]


class FlightRecorder:
    """One side's view of a recording."""

    def __init__(self, memory: memoryview, unmap: Callable[[], None]) -> None:
        self._unmap = unmap
        self._words = memory[:_TEXT_AT].cast("Q")
        self._text = memory[_TEXT_AT:_JOURNAL_AT]
        self.journal = Journal(memory[_JOURNAL_AT:_SIZE])

    @classmethod
    def of_parent(cls, descriptor: int) -> FlightRecorder:
        """The parent's side, which keeps no descriptor open. Raises `OSError`."""
        from enact_pool._system.mapping import map_file, memory_at, unmap  # workers do without

        address = map_file(descriptor, _SIZE, private=False)
        memory = memoryview(memory_at(address, _SIZE)).cast("B")
        return cls(memory, partial(unmap, address, _SIZE))

    @classmethod
    def of_worker(cls, descriptor: int) -> FlightRecorder:
        """The worker's side; what faulthandler writes to the descriptor goes behind the notes."""
        os.lseek(descriptor, _TEXT_AT, os.SEEK_SET)
        mapped = mmap.mmap(descriptor, _SIZE)
        return cls(memoryview(mapped), mapped.close)

    def note_receiving(self, last_serial: int) -> None:
        """A part of the batch that ends with this number has come; 0: no part of any."""
        self._words[_RECEIVING] = last_serial

    def note_loading(self, last_serial: int, now_ns: int) -> None:
        """The worker is about to unpickle the batch that ends with this number; 0: it is done."""
        self._words[_SINCE] = now_ns
        self._words[_LOADING] = last_serial

    def note_occupied(self, occupied: bool) -> None:
        """The worker is about to do what may take long and is no callable's, or has done it."""
        self._words[_OCCUPIED] = occupied

    def note_begun(self, serial: int, now_ns: int) -> None:
        """The worker is about to run the callable with this serial number."""
        self._words[_SINCE] = now_ns
        self._words[_BEGUN] = serial

    def note_resting(self) -> None:
        """The worker is about to wait for something to do."""
        self._words[_SINCE] = 0

    def note_flushing(self, flushing: bool) -> None:
        """The worker is about to write what callables have printed, or has done it."""
        self._words[_FLUSHING] = flushing

    @property
    def flushing(self) -> bool:
        """Whether the worker writes what callables have printed: somebody has to read it."""
        return bool(self._words[_FLUSHING])

    def note_told(self, told: tuple[int, int]) -> None:
        """So many bytes of what callables have printed to stdout and stderr were told."""
        self._words[_TOLD], self._words[_TOLD + 1] = told

    def told(self) -> list[int]:
        """How many bytes of the files with what callables print were told: see `printed`."""
        return self._words[_TOLD:_TOLD_END].tolist()

    def note_expired(self) -> None:
        """The worker was given nothing to do for as long as it may wait, and is about to end."""
        self._words[_EXPIRED] = True

    @property
    def expired(self) -> bool:
        """Whether the worker has ended because it was given nothing to do."""
        return bool(self._words[_EXPIRED])

    @property
    def receiving(self) -> int:
        """The last serial number of the batch of which a part has come; 0 if of none."""
        return self._words[_RECEIVING]

    @property
    def loading(self) -> int:
        """The last serial number of the batch that is being unpickled; 0 if none is."""
        return self._words[_LOADING]

    @property
    def occupied(self) -> bool:
        """Whether the worker takes an input, say."""
        return bool(self._words[_OCCUPIED])

    @property
    def begun(self) -> int:
        """The serial number of the callable that was begun last; 0 if none was."""
        return self._words[_BEGUN]

    @property
    def since_ns(self) -> int:
        """When the worker began what it does, on the monotonic clock that all processes share."""
        return self._words[_SINCE]

    @property
    def activity(self) -> Activity | None:
        """What of its callables the worker is busy with; None if it is with none.

        Who looks while the worker runs may see two activities mixed.
        """
        since, loading, begun = self.since_ns, self.loading, self.begun
        if not since or not (loading or begun) or (not loading and begun in self.journal.extent):
            return None
        return begun, loading, since

    def stack(self) -> str:
        """The Python stack that faulthandler wrote, most recent call first; empty if none."""
        return bytes(self._text).rstrip(b"\0").decode("utf-8", "replace")

    def close(self) -> None:
        """Unmap; the recorder cannot be read any more."""
        self._words.release()
        self._text.release()
        self.journal.close()
        self._unmap()
