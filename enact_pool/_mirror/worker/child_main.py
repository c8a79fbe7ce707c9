"""The main module of a process that a callable has started: see `children`."""

from __future__ import annotations

import os
import pickle

from enact_pool._mirror.registry import registry
from enact_pool._mirror.worker.arrival import opened
from enact_pool._mirror.worker.children import VARIABLE
from enact_pool._mirror.worker.copies import Copies

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _inherited() -> dict[str, Any]:
    """Return the globals that the main module of this process has from the worker's."""
    with open(os.environ[VARIABLE], "rb") as file:
        operations = list(opened(pickle.loads(file.read()), None))
    copies = Copies()
    # `__main__` is this process's own, for now.
    kept = [
        (kind, (arguments[0], [], arguments[2]), content, now)
        if kind == "scope"
        else (kind, arguments, content, now)
        for kind, arguments, content, now in operations
    ]
    copies.apply(kept)
    main = next(arguments[0] for kind, arguments, _, _ in operations if kind == "scope")
    return dict(registry.namespaces[main])


globals().update(_inherited())
