"""Descriptors: where they come from, and where they are safe from callables."""

from __future__ import annotations

import fcntl
import os
import resource

__all__ = ["create_file", "out_of_reach"]


def create_file(label: str = "enact_pool", *, sealable: bool = True) -> int:
    """A file in memory, without a name; gives its descriptor, which is the caller's to close.

    On Linux /proc shows the label where it shows what is open, and the file can be sealed,
    by whoever reaches it, if it is `sealable`.
    """
    if hasattr(os, "memfd_create"):
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING if sealable else os.MFD_CLOEXEC
        return os.memfd_create(label, flags)
    import tempfile  # takes long to import, and Linux does without

    with tempfile.TemporaryFile(buffering=0) as file:
        return os.dup(file.fileno())


def out_of_reach(descriptor: int) -> int:
    """Move a descriptor to a high number, and keep it from programs that callables start.

    A callable that closes every descriptor and then opens files is given low
    numbers: an answer written to such a number would end up in one of them.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = min(soft, 1024) - 32 if soft != resource.RLIM_INFINITY else 992
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, max(lowest, 3))
    os.close(descriptor)
    return moved
