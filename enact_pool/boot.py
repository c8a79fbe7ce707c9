"""The main module of a worker process: become what the parent has prepared, and serve.

It stands in for loky's own main module, which would import all of loky: that
took two thirds of a worker's start.
"""

from __future__ import annotations

import os
import pickle
import sys
from multiprocessing import resource_tracker
from multiprocessing.process import current_process
from multiprocessing.spawn import prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["USERS_PYTHONPATH"]

# The PYTHONPATH that callables are to see, where it was made longer for the start.
USERS_PYTHONPATH = "_ENACT_POOL_USERS_PYTHONPATH"


def _boot(pipe: int) -> int:
    """Read from the pipe what this process is to be, and be that; gives the exit code."""
    path = os.environ.pop(USERS_PYTHONPATH, None)
    if path:
        os.environ["PYTHONPATH"] = path
    elif path is not None:
        del os.environ["PYTHONPATH"]
    starting: Any = current_process()
    with os.fdopen(pipe, "rb") as from_parent:
        # Until it is removed, multiprocessing starts no process from this one.
        starting._inheriting = True
        try:
            preparation = pickle.load(from_parent)
            prepare(preparation)
            # What callables do with shared memory is told to the parent's tracker.
            tracker: Any = resource_tracker
            tracker._resource_tracker._fd = preparation["mp_tracker_fd"]
            # Nobody here uses loky's tracker.
            os.close(preparation["tracker_fd"])
            worker: Any = pickle.load(from_parent)
        finally:
            del starting._inheriting
    return int(worker._bootstrap())


if __name__ == "__main__":
    sys.exit(_boot(int(sys.argv[sys.argv.index("--pipe") + 1])))
