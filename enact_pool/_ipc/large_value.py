"""Large values: values too large for a pipe, in a file in memory that the other side maps.

A pipe holds 64 KiB at a time, and each byte is copied in and out. A large value is
written once, and mapped as often as needed. Each mapping is private, so no other
process sees writes to a rebuilt value; the kernel copies a page when it is first
written to, and copies no other page.

Buffers that a pickle leaves out of band (protocol 5: the memory of NumPy arrays, say)
are used where they are mapped, without any copy. Read-only buffers (bytes) are read
instead, which takes less time than mapping and copying them.

The file has no name, so it is gone when every process that has it open or mapped is,
in whichever way they end. Its descriptor is passed over the side channel. On Linux it
is sealed: no process can change or truncate it. (Touching a mapping beyond the end of
a truncated file raises SIGBUS.)
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import pickle
import re
import struct
import weakref
from collections.abc import Callable, Sequence
from io import FileIO
from itertools import islice
from typing import Any

from enact_pool._ipc.side_channel import Kind, SideChannelReader, send_descriptors
from enact_pool._python.interrupts import handlers_deferred
from enact_pool._system.descriptors import create_file
from enact_pool._system.mapping import discard, map_file, memory_at, unmap
from enact_pool._wire.frames import LARGE_BYTES, FrameError

__all__ = ["LargeValue", "large_value_of"]

# The alignment of each part in bytes: that of the widest vector registers.
_ALIGNMENT = 64

# How many bytes one system call may read or write on all systems.
_PIECE_BYTES = 1 << 30

# In a layout, this is added to the size of a read-only part.
_READ_ONLY = 1 << 63


class _File(FileIO):
    """Closes the descriptor as garbage, too, without a warning.

    What is sent to each worker is kept as long as the caller has it; and an interrupt may
    prevent `close`.
    """

    def __del__(self) -> None:
        self.close()


class LargeValue:
    """A value in a file: its pickle, and the buffers that the pickle leaves out of band.

    It owns the descriptor.
    """

    def __init__(self, descriptor: int, layout: Sequence[int]) -> None:
        """`layout` has the sizes of the parts, in bytes, and marks read-only parts."""
        self._descriptor = descriptor
        self._file = _File(descriptor)
        self._layout = layout
        # The position of each part, its size, and whether it is read, not mapped.
        self._parts: list[tuple[int, int, bool]] = []
        self._end = 0
        for entry in layout:
            size = entry & ~_READ_ONLY
            at = -(-self._end // _ALIGNMENT) * _ALIGNMENT
            self._parts.append((at, size, size != entry))
            if size:
                # Nothing is written for an empty part, so its position does not count.
                self._end = at + size
        self._mappings = _Mappings(descriptor, self._end)

    @classmethod
    def of(
        cls, parts: Sequence[memoryview], *, all_mapped: bool = False, file: int | None = None
    ) -> LargeValue:
        """Write a new large value.

        Raises `OSError` if there is no room or no descriptor for it.

        Args:
            parts: The pickle and its buffers.
            all_mapped: Whether read-only parts are mapped, too, and not read.
            file: A descriptor to write to, which the large value owns then; None for a new file.
        """
        layout = [
            part.nbytes | (_READ_ONLY if part.readonly and not all_mapped else 0) for part in parts
        ]
        with handlers_deferred():
            large = cls(create_file() if file is None else file, layout)
        try:
            for (at, _, _), part in zip(large._parts, parts, strict=True):
                while part:
                    written = os.pwrite(large._descriptor, part[:_PIECE_BYTES], at)
                    at, part = at + written, part[written:]
            if file is None and hasattr(os, "memfd_create"):
                seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
                fcntl.fcntl(large._descriptor, fcntl.F_ADD_SEALS, seals)
        except BaseException:
            large.close()
            raise
        return large

    @property
    def layout(self) -> bytes:
        """What the other side needs besides the descriptor, as bytes."""
        return struct.pack(f"<{len(self._layout)}Q", *self._layout)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def send(self, to: int, tag: int) -> None:
        """Send the descriptor over this side channel. Raises `OSError`."""
        send_descriptors(to, Kind.DESCRIPTORS, tag, [self._descriptor])

    @classmethod
    def receive(cls, side: SideChannelReader, tag: int, layout: bytes) -> LargeValue:
        """Return the large value that was sent with this tag. Raises what `descriptor` raises."""
        # An interrupt must not lose the descriptor.
        with handlers_deferred():
            return cls.from_file(side.descriptor(tag), layout)

    @classmethod
    def from_file(cls, descriptor: int, layout: bytes) -> LargeValue:
        """Return the large value in this file. Raises `FrameError` if the file is too small."""
        large = cls(descriptor, struct.unpack(f"<{len(layout) // 8}Q", layout))
        if os.fstat(descriptor).st_size < large._end:
            large.close()
            raise FrameError("the file of a large value is too small")
        return large

    def rebuild(self, load: Callable[[Any, Any], Any] | None = None) -> Any:
        """Return the value, in memory of its own. Raises what unpickling raises.

        `load` is called with the pickle and its buffers, in place of `pickle.loads`.
        """
        memory: memoryview | None = None
        parts: list[bytes | memoryview] = []
        for at, size, read_only in self._parts:
            if read_only:
                parts.append(self._read(at, size))
                continue
            memory = memory or self._mappings.take()
            parts.append(memory[at : at + size])
        pickled, *buffers = parts
        if load is not None:
            return load(pickled, buffers)
        return pickle.loads(pickled, buffers=buffers)

    def _read(self, at: int, size: int) -> bytes:
        pieces: list[bytes] = []
        end = at + size
        while at < end:
            piece = os.pread(self._descriptor, min(end - at, _PIECE_BYTES), at)
            if not piece:
                raise OSError(errno.EIO, "a large value was truncated")  # no seals here
            pieces.append(piece)
            at += len(piece)
        # A single piece is not copied.
        return b"".join(pieces)

    def close(self) -> None:
        """Close the descriptor. Values that were rebuilt stay valid."""
        self._mappings.close()
        self._file.close()


def large_value_of(pickled: bytes, buffers: Sequence[pickle.PickleBuffer]) -> LargeValue | None:
    """Return a large value of a pickle and its buffers; None if small, or without room."""
    parts = [memoryview(pickled), *(buffer.raw() for buffer in buffers)]
    if sum(part.nbytes for part in parts) < LARGE_BYTES:
        return None
    try:
        return LargeValue.of(parts)
    except OSError:
        return None


# This bit of the highest byte of an entry of /proc/self/pagemap means that the page is
# still the file's. A page that was written to is the process's own.
_FILES_PAGE = 0x20

# Resetting so many pieces of a mapping takes longer than a new mapping.
_MOST_PIECES = 64

# Maps the highest bytes of entries to 1 if the page is not the file's any more.
_WRITTEN = bytes(entry != 0 and not entry & _FILES_PAGE for entry in range(256))


class _Mappings:
    """Private, writable mappings of a file.

    Mapping 100 MB, faulting its pages in and unmapping it takes 20 ms; so a mapping
    that is not used any more is used again, after the pages that were written to are
    reset.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._size = size
        self._unused: list[int] = []
        self._closed = False

    def take(self) -> memoryview:
        """Return an unmodified mapping, which exists as long as anything uses a part of it."""
        if self._unused:
            address = self._unused.pop()
        else:
            address = map_file(self._descriptor, self._size, private=True)
        array = memory_at(address, self._size)
        weakref.finalize(array, self._reclaim, address).atexit = False
        return memoryview(array).cast("B")[: self._size]

    def close(self) -> None:
        """Unmap the mappings that are not used, now and later."""
        self._closed = True
        self._free_if_closed()

    def _free_if_closed(self) -> None:
        while self._closed:
            try:
                address = self._unused.pop()
            except IndexError:
                return
            unmap(address, self._size)

    def _reclaim(self, address: int) -> None:
        if self._closed or not self._reset(address):
            unmap(address, self._size)
        else:
            self._unused.append(address)
            self._free_if_closed()  # another thread may have closed it meanwhile

    def _reset(self, address: int) -> bool:
        """Drop the pages that were written to; return whether that was possible."""
        page = mmap.PAGESIZE
        count = -(-self._size // page)
        try:
            with open("/proc/self/pagemap", "rb", buffering=0) as file:
                file.seek(address // page * 8)
                # The highest byte of each entry.
                entries = file.read(count * 8)[7::8]
        except OSError:
            return False
        if len(entries) < count:
            return False
        runs = re.finditer(b"\1+", entries.translate(_WRITTEN))
        pieces = [run.span() for run in islice(runs, _MOST_PIECES)]
        if len(pieces) == _MOST_PIECES:
            return False
        return all(discard(address + first * page, (end - first) * page) for first, end in pieces)
