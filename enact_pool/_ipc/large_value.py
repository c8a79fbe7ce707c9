"""Parcels: values too large for a pipe travel in a file in memory, which the other side maps.

A pipe takes 64 KiB at a time, and each byte is copied in and out. A parcel is
written once, and mapped as often as it is wanted: each mapping is private, so a
value that is rebuilt from it can be written to and nobody else sees that; the
kernel copies a page when it is first written to, and no other.

What a pickle leaves out of band (protocol 5: the memory of NumPy arrays, say) is
used where it is mapped, with no copy at all. What nobody may write to (bytes)
is read instead, which takes less time than to map it and copy it.

The file has no name, so it is gone when those who have it open or mapped are,
in whichever way they end. Its descriptor is passed over the side channel. On Linux
it is sealed: nothing that has it open can change it or make it shorter. (What
is mapped and then cut off kills whoever touches it.)
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

# Where each part begins: a multiple of what the widest vector registers need.
_ALIGNMENT = 64

# What one system call may read or write, on every system.
_PIECE_BYTES = 1 << 30

# In a layout, added to the size of a part that nobody may write to.
_READ_ONLY = 1 << 63


class LargeValue:
    """A value in a file: its pickle, and the buffers that the pickle leaves out of band.

    `layout` has the sizes of these parts, in bytes, and which are read-only.
    Owns the descriptor.
    """

    def __init__(self, descriptor: int, layout: Sequence[int]) -> None:
        self._descriptor = descriptor
        # It closes the descriptor as garbage too, if an interrupt keeps us from that.
        self._file = FileIO(descriptor)
        self._layout = layout
        # Where each part is, its size, and whether it is to be read, not mapped.
        self._parts: list[tuple[int, int, bool]] = []
        self._end = 0
        for entry in layout:
            size = entry & ~_READ_ONLY
            at = -(-self._end // _ALIGNMENT) * _ALIGNMENT
            self._parts.append((at, size, size != entry))
            if size:
                # Nothing is written for an empty one, wherever it is.
                self._end = at + size
        self._mappings = _Mappings(descriptor, self._end)

    @classmethod
    def of(
        cls, parts: Sequence[memoryview], *, all_mapped: bool = False, file: int | None = None
    ) -> LargeValue:
        """Write a new one: with `file`, to this descriptor, which it owns then.

        With `all_mapped`, what nobody may write to is not read either, but mapped. Raises
        `OSError` if there is no room or no descriptor for it.
        """
        layout = [
            part.nbytes | (_READ_ONLY if part.readonly and not all_mapped else 0) for part in parts
        ]
        with handlers_deferred():
            parcel = cls(create_file() if file is None else file, layout)
        try:
            for (at, _, _), part in zip(parcel._parts, parts, strict=True):
                while part:
                    written = os.pwrite(parcel._descriptor, part[:_PIECE_BYTES], at)
                    at, part = at + written, part[written:]
            if file is None and hasattr(os, "memfd_create"):
                seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
                fcntl.fcntl(parcel._descriptor, fcntl.F_ADD_SEALS, seals)
        except BaseException:
            parcel.close()
            raise
        return parcel

    @property
    def layout(self) -> bytes:
        """What the other side has to be told."""
        return struct.pack(f"<{len(self._layout)}Q", *self._layout)

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def send(self, to: int, tag: int) -> None:
        """Pass the descriptor over this side channel. Raises `OSError`."""
        send_descriptors(to, Kind.PARCEL, tag, [self._descriptor])

    @classmethod
    def receive(cls, mail: SideChannelReader, tag: int, layout: bytes) -> LargeValue:
        """Take the descriptor that was sent with this tag. Raises what reading it raises."""
        # So that no descriptor is lost to an interrupt.
        with handlers_deferred():
            return cls.from_file(mail.parcel(tag), layout)

    @classmethod
    def from_file(cls, descriptor: int, layout: bytes) -> LargeValue:
        """What somebody else has written, open for reading. Raises `FrameError` if it cannot be."""
        parcel = cls(descriptor, struct.unpack(f"<{len(layout) // 8}Q", layout))
        if os.fstat(descriptor).st_size < parcel._end:
            parcel.close()
            raise FrameError("a parcel is too small")
        return parcel

    def rebuild(self, load: Callable[[Any, Any], Any] | None = None) -> Any:
        """The value, in memory of its own. Raises whatever unpickling raises.

        `load` is called with a pickle and its buffers, in the place of `pickle.loads`.
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
                raise OSError(errno.EIO, "a parcel was cut off")  # where there are no seals
            pieces.append(piece)
            at += len(piece)
        # Of a single piece this makes no copy.
        return b"".join(pieces)

    def close(self) -> None:
        """Close the descriptor. What was rebuilt stays."""
        self._mappings.close()
        self._file.close()


def large_value_of(pickled: bytes, buffers: Sequence[pickle.PickleBuffer]) -> LargeValue | None:
    """A pickle with its buffers as a parcel; None if that does not pay, or there is no room."""
    parts = [memoryview(pickled), *(buffer.raw() for buffer in buffers)]
    if sum(part.nbytes for part in parts) < LARGE_BYTES:
        return None
    try:
        return LargeValue.of(parts)
    except OSError:
        return None


# In the highest byte of an entry of /proc/self/pagemap: the page is still the
# file's. A page that was written to is the process's own.
_FILES_PAGE = 0x20

# Making so many pieces of a mapping as new takes longer than to map it anew.
_MOST_PIECES = 64

# Which highest bytes tell of a page that is not the file's any more.
_WRITTEN = bytes(entry != 0 and not entry & _FILES_PAGE for entry in range(256))


class _Mappings:
    """Private, writable mappings of a file.

    To map 100 MB, fault its pages in and unmap it takes 20 ms; so a mapping that
    is not used any more is used again, with the pages that were written to made
    as new.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self._size = size
        self._unused: list[int] = []
        self._closed = False

    def take(self) -> memoryview:
        """A mapping, as it was never written to, for as long as anything uses a part of it."""
        if self._unused:
            address = self._unused.pop()
        else:
            address = map_file(self._descriptor, self._size, private=True)
        array = memory_at(address, self._size)
        weakref.finalize(array, self._give_back, address).atexit = False
        return memoryview(array).cast("B")[: self._size]

    def close(self) -> None:
        """Unmap what is not used, now and later."""
        self._closed = True
        self._free_if_closed()

    def _free_if_closed(self) -> None:
        while self._closed:
            try:
                address = self._unused.pop()
            except IndexError:
                return
            unmap(address, self._size)

    def _give_back(self, address: int) -> None:
        if self._closed or not self._make_as_new(address):
            unmap(address, self._size)
        else:
            self._unused.append(address)
            self._free_if_closed()  # by another thread, meanwhile

    def _make_as_new(self, address: int) -> bool:
        """Drop the pages that were written to; gives whether that was possible."""
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
