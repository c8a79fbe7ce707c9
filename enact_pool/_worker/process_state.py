"""The worker state that is restored between callables.

The working directory, the environment, signal handlers and masks, timers, the
umask, the recursion limit, resource limits, the priority and the CPUs that may be used are
restored after each callable. If something cannot be restored, as when a callable has
changed the user, the worker ends.
Threads and processes that it has left running cannot be undone, and are reported.
Changes that modules make when they are imported, while a callable is unpickled, stay.

Checking everything takes longer than a quick callable does. Changes by Python code set a
flag (see `dirty_tracking`), and then everything is checked. The state that C code may have
changed without the flag is restored every 20 us, and all of it after each callable that took
2 ms. Processes are checked after each callable that took 20 us: none is started in less.
"""

from __future__ import annotations

import faulthandler
import os
import resource
import sys
import threading
from _signal import (  # type: ignore[import-not-found]
    ITIMER_PROF,
    ITIMER_REAL,
    ITIMER_VIRTUAL,
    SIG_BLOCK,
    SIG_SETMASK,
    alarm,
    getitimer,
    getsignal,
    pthread_sigmask,
    setitimer,
    valid_signals,
)
from _signal import signal as set_handler
from _thread import _count as count_threads
from functools import partial

from enact_pool._core.timing import QUICK_NS, THOROUGH_NS
from enact_pool._system.descriptors import move_out_of_reach
from enact_pool._system.process_tree import children
from enact_pool._worker.dirty_tracking import DirtyFlag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["ProcessState", "own_workers"]

# The start of the names of this library's own threads. Pools that callables have made, and
# that later callables use as well, keep their threads as they keep their workers.
_OWN_THREADS = "enact_pool-"

# Bound here, as those above are: a callable may patch the modules they come from.
# (signal's own functions take ten times as long, to make enums of numbers.)
_fchdir, _umask = os.fchdir, os.umask
_open, _close = os.open, os.close
_get_limit, _set_limit = sys.getrecursionlimit, sys.setrecursionlimit
_get_resource, _set_resource = resource.getrlimit, resource.setrlimit
_cancel_dump, _enable_stacks = faulthandler.cancel_dump_traceback_later, faulthandler.enable
_list_threads = threading.enumerate
_waitid: Any = getattr(os, "waitid", None)  # on macOS from Python 3.13 on
_environ = os.environ
# The dict inside `os.environ`: comparing `os.environ` itself takes ten times as long.
_variables: dict[Any, Any] = vars(_environ)["_data"]
_stat = os.stat
_TO_RETURN = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC

_SIGNALS = tuple(sorted(valid_signals()))

_TIMERS = (ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF)

_RESOURCES = tuple(
    sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")})
)

# How to read and to set what decides when and where this process runs.
_SCHEDULING: list[tuple[Callable[[], Any], Callable[[Any], Any]]] = [
    (sys.getswitchinterval, sys.setswitchinterval),
    (partial(os.getpriority, os.PRIO_PROCESS, 0), partial(os.setpriority, os.PRIO_PROCESS, 0)),
]
if hasattr(os, "sched_getaffinity"):  # not on macOS
    _get_policy, _get_param, _set_policy = (
        os.sched_getscheduler,
        os.sched_getparam,
        os.sched_setscheduler,
    )
    _SCHEDULING += [
        (partial(os.sched_getaffinity, 0), partial(os.sched_setaffinity, 0)),
        (lambda: (_get_policy(0), _get_param(0)), lambda policy: _set_policy(0, *policy)),
    ]

# What says on whose behalf this process acts.
_IDENTITY: list[Callable[[], Any]] = [
    getattr(os, "getresuid", os.geteuid),
    getattr(os, "getresgid", os.getegid),
    os.getgroups,
]


class ProcessState:
    """The state of this process that callables share, as it is when this is created.

    Attributes:
        is_lost: Whether something could not be restored: no callable may run here any more.
    """

    def __init__(self, dirty: DirtyFlag, recording: int) -> None:
        """`recording` is the descriptor that Python stacks of crashes are written to."""
        self.is_lost = False
        self._recording = recording
        _enable_stacks(recording, all_threads=False)  # an initializer may have redirected them
        # An open descriptor: it can be returned to even if the folder is renamed.
        self._folder = move_out_of_reach(_open(".", _TO_RETURN))
        self._children = set(children(os.getpid()))
        self._dirty = dirty
        # When to restore untracked state again, on the monotonic clock.
        self._check_at = 0
        self._save()

    def accept(self) -> None:
        """Keep the changes that imports have made: restore them from now on."""
        if self._dirty.is_set:
            self._accept_folder()
        self._save()

    def follow(self) -> None:
        """Keep the caller's state, which was applied: restore it from now on."""
        self._accept_folder()
        self._save()

    def _accept_folder(self) -> None:
        try:
            folder = move_out_of_reach(_open(".", _TO_RETURN))
        except OSError:
            return  # it is gone, say: then keep the one before
        _close(self._folder)
        self._folder = folder

    def _save(self) -> None:
        self._umask = _umask(0o077)
        _umask(self._umask)
        # A timer that an initializer has set goes on.
        self._timers = [timer for timer in _TIMERS if getitimer(timer) == (0.0, 0.0)]
        self._resets_alarm = ITIMER_REAL in self._timers
        self._mask = pthread_sigmask(SIG_BLOCK, ())
        self._resources = list(map(_get_resource, _RESOURCES))
        self._scheduling = [get() for get, _ in _SCHEDULING]
        self._identity = _identity()
        self._environ = dict(_environ)
        self._variables = dict(_variables)
        self._recursion_limit = _get_limit()
        self._handlers = list(map(getsignal, _SIGNALS))
        self._thread_count = count_threads()
        self._threads = set(_list_threads())

    @property
    def has_children(self) -> bool:
        """Whether processes that callables have started may be running."""
        return bool(self._children)

    def begin(self, now_ns: int) -> None:
        """Start the clock of untracked state, which is restored now."""
        self._check_at = now_ns + QUICK_NS

    def restore(self, ran_ns: int, ended_ns: int) -> tuple[list[str], list[int]] | None:
        """Restore the state after a callable; return what it has left running.

        What is checked depends on how long it ran, and when it ended: see above. Sets
        `is_lost` if something cannot be restored.

        Returns:
            The names of threads, and the ids of processes; None if there are none.
        """
        if (
            ended_ns < self._check_at
            and not self._dirty.is_set
            and _get_limit() == self._recursion_limit
            and count_threads() == self._thread_count
        ):
            return None
        if _get_limit() != self._recursion_limit:
            # Before anything that needs some depth of calls.
            _set_limit(self._recursion_limit)
        self.begin(ended_ns)
        # Before restoring: a thread that is left may set the flag meanwhile.
        changed, self._dirty.is_set = self._dirty.is_set, False
        if (changed or ran_ns >= QUICK_NS) and _variables != self._variables:
            self._restore_variables()
        self.restore_untracked()
        if changed or ran_ns >= THOROUGH_NS:
            self._restore_rest()
        if ran_ns >= QUICK_NS or count_threads() != self._thread_count:
            return self._left_running()
        return None

    def restore_untracked(self) -> None:
        """Restore the state that even very short C code may have changed."""
        _umask(self._umask)
        if self._resets_alarm:
            alarm(0)
        try:
            _fchdir(self._folder)
        except OSError:
            self.is_lost = True

    def _restore_rest(self) -> None:
        for timer in self._timers:
            setitimer(timer, 0)
        self._restore_handlers()
        self._restore_resources()
        self._restore_scheduling()
        if _identity() != self._identity:
            self.is_lost = True
        pthread_sigmask(SIG_SETMASK, self._mask)
        _cancel_dump()
        _enable_stacks(self._recording, all_threads=False)

    def _restore_resources(self) -> None:
        for number, limits in zip(_RESOURCES, self._resources, strict=True):
            if _get_resource(number) != limits:
                try:
                    _set_resource(number, limits)
                except (OSError, ValueError):
                    self.is_lost = True  # raising a hard limit needs privileges

    def _restore_scheduling(self) -> None:
        for (get, set_to), value in zip(_SCHEDULING, self._scheduling, strict=True):
            if get() != value:
                try:
                    set_to(value)
                except OSError:
                    self.is_lost = True  # a higher priority needs privileges

    def _restore_variables(self) -> None:
        for name in _environ.keys() - self._environ.keys():
            del _environ[name]
        for name, value in self._environ.items():
            if _environ.get(name) != value:
                _environ[name] = value

    def _restore_handlers(self) -> None:
        for number, handler in zip(_SIGNALS, self._handlers, strict=True):
            # None stands for a handler that was not set from Python, and cannot be.
            if handler is not None and getsignal(number) is not handler:
                set_handler(number, handler)

    def _left_running(self) -> tuple[list[str], list[int]] | None:
        """Return the threads and processes that have appeared since the last check."""
        threads: list[str] = []
        if count_threads() != self._thread_count:
            before, self._threads = self._threads, set(_list_threads())
            self._thread_count = count_threads()
            names = [thread.name for thread in self._threads - before]
            threads = sorted(name for name in names if not name.startswith(_OWN_THREADS))
        processes: list[int] = []
        if self._children or _has_children():
            known, self._children = self._children, set(children(os.getpid()))
            known |= own_workers()
            processes = sorted(pid for pid in self._children - known if not _has_ended(pid))
        return (threads, processes) if threads or processes else None


def _identity() -> list[Any]:
    """Return the user, the groups and the root folder: a change of these cannot be undone."""
    root = _stat("/")
    return [*(get() for get in _IDENTITY), root.st_dev, root.st_ino]


def own_workers() -> set[int]:
    """Return the workers of pools that callables have made here, and that later ones may use."""
    lane_pool = sys.modules.get("enact_pool._lanes.lane_pool")
    return lane_pool.worker_pids() if lane_pool else set()


def _has_children() -> bool:
    if _waitid is None:
        return False  # checking all processes takes too long
    try:
        _waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _has_ended(pid: int) -> bool:
    """Return whether a child has exited."""
    try:
        return _waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
