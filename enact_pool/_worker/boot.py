"""How a worker process begins: it becomes what the parent has prepared, and serves.

loky's own beginning would import all of loky: that took more than half of a start.
"""

from __future__ import annotations

import os
import pickle
from multiprocessing import resource_tracker
from multiprocessing.process import current_process
from multiprocessing.spawn import prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["boot"]


def boot(pipe: int) -> int:
    """Read from the pipe what this process is to be, and be that; gives the exit code."""
    starting: Any = current_process()
    with os.fdopen(pipe, "rb") as from_parent:
        # Until it is removed, multiprocessing starts no process from this one.
        starting._inheriting = True
        try:
            # What callables do with shared memory is told to the parent's tracker.
            tracker: Any = resource_tracker
            tracker._resource_tracker._fd = pickle.load(from_parent)
            prepare(pickle.load(from_parent))
            worker: Any = pickle.load(from_parent)
        finally:
            del starting._inheriting
    return int(worker._bootstrap())
