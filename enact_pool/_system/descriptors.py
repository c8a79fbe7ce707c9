"""Descriptors: how they are created, and kept safe from callables."""

from __future__ import annotations

import fcntl
import os
import resource

__all__ = ["create_file", "move_out_of_reach"]


def create_file(label: str = "enact_pool", *, sealable: bool = True) -> int:
    """Create a file in memory, without a name; return its descriptor, which the caller must close.

    Args:
        label: The name of the file in Linux's /proc.
        sealable: Whether any process that can reach the file can seal it (Linux only).
    """
    if hasattr(os, "memfd_create"):
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING if sealable else os.MFD_CLOEXEC
        return os.memfd_create(label, flags)
    import tempfile  # takes long to import, and is not needed on Linux

    with tempfile.TemporaryFile(buffering=0) as file:
        return os.dup(file.fileno())


def move_out_of_reach(descriptor: int) -> int:
    """Move a descriptor to a high number, which programs that callables start do not inherit.

    A callable that closes all descriptors and then opens files receives low
    numbers: an answer written to such a number would end up in one of the files.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = min(soft, 1024) - 32 if soft != resource.RLIM_INFINITY else 992
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, max(lowest, 3))
    os.close(descriptor)
    return moved
