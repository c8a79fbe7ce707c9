"""A guard against forked children of a worker that return from the user's code into ours."""

from __future__ import annotations

import mmap
import os
import sys
from functools import partial

__all__ = ["ForkGuard"]

# A constant of Linux that Python has no name for.
_MADV_WIPEONFORK = 18

# Bound here: a callable may clear or patch the module it comes from.
_getpid = os.getpid


class ForkGuard:
    """Knows whether this process is the worker.

    Attributes:
        is_original: Memory whose first byte is 0 in a child, however it was forked, and 1 in the
            worker. Reading it takes a fifth of the time that `getpid` takes. On systems
            without such memory it is 0 in the worker, too: then `exit_if_forked` must ask.
    """

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.is_original = _memory_wiped_on_fork()

    def exit_if_forked(self) -> None:
        """Exit if this is a child that the user's code has forked and let return.

        A child must neither answer for its parent, nor run what its parent will run.
        """
        if _getpid() != self.pid:
            os._exit(0)


def _memory_wiped_on_fork() -> mmap.mmap | bytes:
    if sys.platform != "linux":
        return b"\0"
    page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    try:
        page.madvise(_MADV_WIPEONFORK)
    except OSError:
        return b"\0"  # a kernel older than 4.14
    page[0] = 1
    # An emulator may accept the advice and ignore it.
    os.register_at_fork(after_in_child=partial(page.__setitem__, 0, 0))
    return page
