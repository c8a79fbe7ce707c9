"""The first code of a worker process: it receives the worker from the parent, and runs it.

loky's own start code would import all of loky: that took more than half of a start.
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
    """Read the worker's process object from the pipe, and run it; return the exit code."""
    starting: Any = current_process()
    with os.fdopen(pipe, "rb") as from_parent:
        # While this attribute exists, multiprocessing starts no process from this one.
        starting._inheriting = True
        try:
            # Callables register shared memory with the parent's tracker.
            tracker: Any = resource_tracker
            tracker._resource_tracker._fd = pickle.load(from_parent)
            prepare(pickle.load(from_parent))
            worker: Any = pickle.load(from_parent)
        finally:
            del starting._inheriting
    return int(worker._bootstrap())
