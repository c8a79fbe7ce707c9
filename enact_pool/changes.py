"""What Python code changes of its process notes that it did so.

To look at what may have changed (the environment, the working directory, handlers,
timers, limits) takes longer than a quick callable does. So the functions that change it
say so, for as long as this process lives. (An audit hook would do that as well, and make
`id()` six times as slow for everybody.) What C code changes is not noted.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import faulthandler
import os
import posix
import resource
import signal
from collections.abc import Callable
from functools import wraps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Changes"]

# `os` has the functions of `posix`; `signal` has those of `_signal`, or calls them.
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("chdir", "fchdir", "umask"), (posix, os)),
    **dict.fromkeys(("alarm", "setitimer"), (_signal, signal)),
    **dict.fromkeys(("signal", "pthread_sigmask"), (_signal,)),
    **dict.fromkeys(("setrlimit", "prlimit"), (resource,)),
    "dump_traceback_later": (faulthandler,),
}


class Changes:
    """Whether something was changed since `seen` was last set to False."""

    def __init__(self) -> None:
        self.seen = True
        kind: Any = type(os.environ)
        kind.__setitem__ = self._noted(kind.__setitem__)
        kind.__delitem__ = self._noted(kind.__delitem__)
        for name, modules in _FUNCTIONS.items():
            plain = getattr(modules[0], name, None)
            if plain is None:
                continue  # `prlimit` is Linux's
            noted = self._noted(plain)
            for module in modules:
                setattr(module, name, noted)
            if plain in os.supports_fd:
                os.supports_fd.add(noted)

    def _noted(self, change: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(change)
        def noted(*args: Any, **kwargs: Any) -> Any:
            try:
                return change(*args, **kwargs)
            finally:
                # Not before: a thread that was left running may change it later.
                self.seen = True

        return noted
