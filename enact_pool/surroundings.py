"""What callables find in their worker, and what the next one is to find as well.

The working directory, the environment, signal handlers, timers, the umask and the
recursion limit are put back after each callable. What cannot be put back is told:
threads that it has left running, and child processes.

To look at everything takes longer than a quick callable does. So after a quick one
nothing is looked at that takes longer to do than it has run (no process starts
in 20 us), nor handlers of signals that hardly anybody uses; the rest takes 2 us.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from _signal import getsignal, setitimer  # type: ignore[import-not-found]
from _signal import signal as set_handler
from _thread import _count as count_threads

from enact_pool.tree import children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Surroundings"]

# Bound here, as those above are: a callable may patch the modules they come from.
# (signal's own functions take ten times as long, to make enums of numbers.)
_getcwd, _chdir, _umask = os.getcwd, os.chdir, os.umask
_get_limit, _set_limit = sys.getrecursionlimit, sys.setrecursionlimit
_environ = os.environ
# What it keeps the variables in: to compare what it shows takes ten times as long.
_variables: dict[Any, Any] = vars(_environ)["_data"]

# Those whose handlers programs set.
_USUAL = tuple(
    int(getattr(signal, name))
    for name in (
        *("SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGPIPE", "SIGALRM"),
        *("SIGTERM", "SIGCHLD", "SIGVTALRM", "SIGPROF", "SIGWINCH"),
    )
)
_ALL = tuple(sorted(int(number) for number in signal.valid_signals()))


class Surroundings:
    """The state of this process that callables share, as it is when this is made."""

    def __init__(self) -> None:
        self._folder = _getcwd()
        self._environ = dict(_environ)
        self._variables = dict(_variables)
        self._umask = _umask(0o077)
        _umask(self._umask)
        self._recursion_limit = _get_limit()
        self._handlers = list(map(getsignal, _USUAL))
        self._all_handlers = list(map(getsignal, _ALL))
        self._thread_count = count_threads()
        self._threads = set(threading.enumerate())
        self._children = set(children(os.getpid()))

    def put_back(self, *, quick: bool) -> None:
        """Make everything as it was. Raises `OSError` if that cannot be done.

        `quick` if the callable before took no time: see above.
        """
        if _variables != self._variables:
            self._put_back_variables()
        _umask(self._umask)
        if _get_limit() != self._recursion_limit:
            _set_limit(self._recursion_limit)
        setitimer(signal.ITIMER_REAL, 0)
        if list(map(getsignal, _USUAL)) != self._handlers:
            self._put_back_handlers()
        try:
            folder = _getcwd()
        except OSError:
            folder = ""  # it was removed
        if folder != self._folder:
            _chdir(self._folder)
        if not quick:
            setitimer(signal.ITIMER_VIRTUAL, 0)
            setitimer(signal.ITIMER_PROF, 0)
            self._put_back_handlers()

    def _put_back_variables(self) -> None:
        for name in _environ.keys() - self._environ.keys():
            del _environ[name]
        for name, value in self._environ.items():
            if _environ.get(name) != value:
                _environ[name] = value

    def _put_back_handlers(self) -> None:
        for number, handler in zip(_ALL, self._all_handlers, strict=True):
            # None is one that was not set from Python, and cannot be.
            if handler is not None and getsignal(number) is not handler:
                set_handler(number, handler)

    def left_behind(self, *, quick: bool) -> tuple[list[str], list[int]]:
        """The names of threads, and the ids of processes, that were not there the last time."""
        threads: list[str] = []
        if count_threads() != self._thread_count:
            before, self._threads = self._threads, set(threading.enumerate())
            self._thread_count = count_threads()
            threads = sorted(thread.name for thread in self._threads - before)
        processes: list[int] = []
        if not quick and (self._children or _has_children()):
            known, self._children = self._children, set(children(os.getpid()))
            processes = sorted(pid for pid in self._children - known if not _has_ended(pid))
        return threads, processes


def _has_children() -> bool:
    if not hasattr(os, "waitid"):
        return False  # on macOS before Python 3.13; to look at all processes takes too long
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _has_ended(pid: int) -> bool:
    """Whether a child has ended, and its parent has not asked for it yet."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
