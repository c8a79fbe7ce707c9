"""Wrappers that record when Python code changes process state.

Looking for changes (of the environment, the working directory, handlers, timers,
limits, the user) takes longer than a quick callable does. So the functions that change these are
replaced, for the life of this process, by wrappers that set a flag. (An audit hook would
do that as well, and would make every `id()` six times as slow.) Changes by C code do not
set the flag.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import faulthandler
import os
import posix
import resource
import signal
import sys
from collections.abc import Callable
from functools import partialmethod, update_wrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["DirtyFlag"]

# `os` has the functions of `posix`; `signal` has those of `_signal`, or calls them.
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("chdir", "fchdir", "umask"), (posix, os)),
    **dict.fromkeys(("nice", "setpriority", "sched_setaffinity"), (posix, os)),
    **dict.fromkeys(("sched_setscheduler", "sched_setparam", "chroot"), (posix, os)),
    **dict.fromkeys(("setuid", "seteuid", "setreuid", "setresuid"), (posix, os)),
    **dict.fromkeys(("setgid", "setegid", "setregid", "setresgid"), (posix, os)),
    **dict.fromkeys(("setgroups", "initgroups"), (posix, os)),
    **dict.fromkeys(("alarm", "setitimer"), (_signal, signal)),
    **dict.fromkeys(("signal", "pthread_sigmask"), (_signal,)),
    **dict.fromkeys(("setrlimit", "prlimit"), (resource,)),
    **dict.fromkeys(("setswitchinterval",), (sys,)),
    **dict.fromkeys(("enable", "disable", "dump_traceback_later"), (faulthandler,)),
}


class DirtyFlag:
    """Whether process state was changed since `is_set` was last set to False."""

    def __init__(self) -> None:
        """Replace the functions that change process state."""
        self.is_set = True
        environ_type: Any = type(os.environ)
        for name in ("__setitem__", "__delitem__"):
            wrapper = _Wrapper(getattr(environ_type, name), self)
            setattr(environ_type, name, partialmethod(wrapper))
        for name, modules in _FUNCTIONS.items():
            plain = getattr(modules[0], name, None)
            if plain is None:
                continue  # macOS has no `prlimit`, for example
            wrapper = _Wrapper(plain, self)
            for module in modules:
                setattr(module, name, wrapper)
            if plain in os.supports_fd:
                os.supports_fd.add(wrapper)


class _Wrapper:
    """A function that sets the flag when it was called; a class does not bind it as a method."""

    def __init__(self, function: Callable[..., Any], flag: DirtyFlag) -> None:
        self._function = function
        self._flag = flag
        update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._function(*args, **kwargs)
        finally:
            # Not before the call: a thread that was left running may make it later.
            self._flag.is_set = True

    def __reduce__(self) -> str:
        return self._function.__name__  # under which its module has this wrapper

    def __repr__(self) -> str:
        return repr(self._function)
