"""Hooks that record when Python code changes process state.

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
from functools import partialmethod, update_wrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["DirtyFlag"]

# `os` has the functions of `posix`; `signal` has those of `_signal`, or calls them.
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("chdir", "fchdir", "umask"), (posix, os)),
    **dict.fromkeys(("alarm", "setitimer"), (_signal, signal)),
    **dict.fromkeys(("signal", "pthread_sigmask"), (_signal,)),
    **dict.fromkeys(("setrlimit", "prlimit"), (resource,)),
    **dict.fromkeys(("enable", "disable", "dump_traceback_later"), (faulthandler,)),
}


class DirtyFlag:
    """Whether something was changed since `seen` was last set to False."""

    def __init__(self) -> None:
        self.seen = True
        kind: Any = type(os.environ)
        for name in ("__setitem__", "__delitem__"):
            setattr(kind, name, partialmethod(_Noted(getattr(kind, name), self)))
        for name, modules in _FUNCTIONS.items():
            plain = getattr(modules[0], name, None)
            if plain is None:
                continue  # `prlimit` is Linux's
            noted = _Noted(plain, self)
            for module in modules:
                setattr(module, name, noted)
            if plain in os.supports_fd:
                os.supports_fd.add(noted)


class _Noted:
    """A function that notes that it was called; stored on a class, it is not bound as a method."""

    def __init__(self, function: Callable[..., Any], changes: DirtyFlag) -> None:
        self._function = function
        self._changes = changes
        update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._function(*args, **kwargs)
        finally:
            # Not before: a thread that was left running may change it later.
            self._changes.seen = True

    def __reduce__(self) -> str:
        return self._function.__name__  # by which its module has it

    def __repr__(self) -> str:
        return repr(self._function)
