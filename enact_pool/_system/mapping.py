"""Mappings of files into memory that keep no descriptor open.

Until Python 3.13, the module mmap keeps one for each mapping: too many for a
pool of a hundred workers, or a program with thousands of arrays.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os

__all__ = ["discard", "map_file", "memory_at", "punch_hole", "unmap"]

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_long,
]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
# This function and these constants of Linux have no names in Python.
_fallocate = getattr(_libc, "fallocate64", getattr(_libc, "fallocate", None))
_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_FAILED = ctypes.c_void_p(-1).value


def map_file(descriptor: int, size: int, *, private: bool) -> int:
    """Map the first `size` bytes of a file for reading and writing; return the address.

    Writes to a private mapping do not change the file. Raises `OSError`.
    """
    writable = mmap.PROT_READ | mmap.PROT_WRITE
    flags = mmap.MAP_PRIVATE if private else mmap.MAP_SHARED
    address = _libc.mmap(None, size, writable, flags, descriptor, 0)
    if address == _FAILED:
        error = ctypes.get_errno()
        raise OSError(error, f"cannot map {size} bytes: {os.strerror(error)}")
    return int(address)


def memory_at(address: int, size: int) -> ctypes.Array[ctypes.c_char]:
    """Return the memory at an address, as an object with a buffer of at least this size."""
    # One type for all sizes up to a power of two: ctypes never forgets a type.
    return (ctypes.c_char * (1 << (size - 1).bit_length())).from_address(address)


def discard(address: int, size: int) -> bool:
    """Undo writes to whole pages of a private mapping; return whether that succeeded."""
    return not _libc.madvise(address, size, mmap.MADV_DONTNEED)


def unmap(address: int, size: int) -> None:
    """End a mapping, whose memory must not be touched any more."""
    _libc.munmap(address, size)


def punch_hole(descriptor: int, start: int, size: int) -> None:
    """Free the memory of a part of a file, which is zero then. Raises `OSError`."""
    if _fallocate is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    _fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    if _fallocate(descriptor, _KEEP_SIZE | _PUNCH_HOLE, start, size):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
