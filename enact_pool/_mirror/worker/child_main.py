"""The main module of a process that a callable has started: see `children`."""

from __future__ import annotations

import os
import pickle

from enact_pool._mirror.registry import registry
from enact_pool._mirror.worker.children import VARIABLE
from enact_pool._mirror.worker.copies import Copies
from enact_pool._mirror.worker.operations import received_operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _inherited_globals() -> dict[str, Any]:
    """Return the globals that this process inherits from the worker's mirror of `__main__`."""
    with open(os.environ[VARIABLE], "rb") as file:
        operations = list(received_operations(pickle.loads(file.read()), None))
    # Without the names of scopes: `sys.modules["__main__"]` stays this process's own for now.
    without_names = [
        (kind, (arguments[0], [], arguments[2]), content, now)
        if kind == "scope"
        else (kind, arguments, content, now)
        for kind, arguments, content, now in operations
    ]
    Copies().apply(without_names)
    main = next(arguments[0] for kind, arguments, _, _ in operations if kind == "scope")
    return dict(registry.namespaces[main])


globals().update(_inherited_globals())
