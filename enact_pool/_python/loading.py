"""Loading in a worker: it unpickles batches, functions, inputs and initializers.

A module whose top level runs callables can be imported by a script. But a worker that is
sent a function of the module must import it, too, and would start the same run at that
moment, whose workers would import it, and so on. The first of these runs is refused.

A run that a callable starts is never refused, nor is a run of a module that a callable
imports while it runs: only what is loaded for a callable is loaded again in each worker.
"""

from __future__ import annotations

import pickle
import sys
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

__all__ = ["check_not_imported", "load", "loading", "loading_now"]

# Bound here: a callable may clear or patch the module it comes from.
_loads = pickle.loads
_get_ident = threading.get_ident


class _Now:
    """The thread of this process that is loading something; 0 if none is."""

    thread = 0


loading_now = _Now()


def loading(rebuild: Callable[..., Any], *args: Any) -> Any:
    """Call a function that unpickles what a worker was sent. Raises what it raises."""
    before, loading_now.thread = loading_now.thread, _get_ident()
    try:
        return rebuild(*args)
    finally:
        loading_now.thread = before


def load(pickled: bytes) -> Any:
    """Unpickle what a worker was sent. Raises what that raises."""
    return loading(_loads, pickled)


def check_not_imported() -> None:
    """Raise `RuntimeError` if the top level of a module calls this as a worker loads the module."""
    if loading_now.thread != _get_ident():
        return
    name = _module_in_import(sys._getframe(1))
    if name:
        raise RuntimeError(
            f"module {name!r} runs callables while a worker imports it; "
            'put the run under `if __name__ == "__main__":` or into a function'
        )


def _module_in_import(frame: FrameType | None) -> str:
    """Return the name of the innermost module whose top level is executed; empty without one."""
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            spec: Any = frame.f_globals.get("__spec__")
            # The import system sets this on a module that is not complete.
            if getattr(spec, "_initializing", False):
                return str(spec.name)
        frame = frame.f_back
    return ""
