"""Process trees: a worker, and the processes that its callables have started.

A worker leads a session of its own, which identifies all processes that did not leave it.
A process with another session is found as a child of a child, while the worker
lives. Only a process that has left both, as daemons do, is not found.
"""

from __future__ import annotations

import os
import re
import signal

__all__ = [
    "children",
    "descendants",
    "is_stopped",
    "kill_descendants",
    "kill_session",
    "kill_tree",
    "own_bytes",
    "resident_bytes",
]

# Another system may have another /proc, or none. psutil takes long to import, and
# is slow: it looks up the start time of each process, too.
_HAS_PROC = os.path.exists("/proc/self/statm")
_ANONYMOUS_SHARE = rb"(?m)^Pss_Anon: +(\d+) kB$"
_HAS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and not waited for; none if it is gone.

    This uses the kernel's own lists if they exist: psutil looks at every process.
    """
    if not _HAS_CHILDREN:
        return _children_by_psutil(pid)
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []  # it has exited, or this process has no descriptor left
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:
                found += map(int, file.read().split())
        except OSError:
            continue  # this thread has ended
    return found


def _children_by_psutil(pid: int) -> list[int]:
    import psutil  # takes long to import, and is rarely needed on Linux

    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except (psutil.Error, OSError):
        return []  # it has exited, or this process has no descriptor left


def descendants(pid: int) -> list[int]:
    """Return the children of a process, their children, and so on."""
    found: list[int] = []
    look_at = [pid]
    while look_at:
        new = [child for child in children(look_at.pop()) if child not in found]
        found += new
        look_at += new
    return found


def kill_tree(pid: int) -> None:
    """Kill a worker that was not waited for yet, and the processes that it has started."""
    for each in (*descendants(pid), pid):
        _kill(each)
    kill_session(pid)


def kill_descendants(but: set[int]) -> None:
    """Kill the children of this process, except `but`, and the processes they have started.

    `but` are children that another part of this process ends.
    """
    for child in children(os.getpid()):
        if child not in but:
            for each in (*descendants(child), child):
                _kill(each)


def kill_session(pid: int) -> None:
    """Kill the session of a worker, which may have exited, but must not be waited for."""
    try:
        # First, in one step: no process of its group can start another one meanwhile.
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # it does not lead a session yet; or (on macOS) all have exited
    for each in _all_processes():
        try:
            session = os.getsid(each)
        except (ProcessLookupError, PermissionError):
            continue
        if session == pid and each != pid:
            _kill(each)


def _all_processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    except OSError:
        pass  # /proc does not exist, or this process has no descriptor left
    import psutil

    try:
        return list(psutil.pids())
    except (psutil.Error, OSError):
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # it has exited, or is another user's


def resident_bytes(pid: int) -> int:
    """Return how much memory a process and its descendants have resident, in bytes.

    Shared memory counts for each. A process that is gone counts as 0, and so does one
    that cannot be measured: this process may have no descriptor left.
    """
    return sum(map(_resident_bytes, (pid, *descendants(pid))))


def _resident_bytes(pid: int) -> int:
    if not _HAS_PROC:
        return _resident_by_psutil(pid)
    resident, _ = _pages(pid)
    return resident * os.sysconf("SC_PAGE_SIZE")


def _pages(pid: int) -> tuple[int, int]:
    """Return how many pages a process has resident, and how many of them are not its own."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
            fields = file.read().split()
    except OSError:
        return 0, 0
    return int(fields[1]), int(fields[2])


def own_bytes(pid: int, most: int) -> int:
    """Return how much memory of their own a process and its descendants have, in bytes.

    Pages of mapped files and of shared memory are not counted, unless the process has
    written to a private copy of them. Memory that forked processes share with each other
    counts once, if that decides whether the sum exceeds `most`: this measurement takes the
    kernel 10 to 40 ms for each GB, and the rest takes less than 0.1 ms. A process counts as
    0 under the conditions of `resident_bytes`.
    """
    pids = (pid, *descendants(pid))
    size = sum(map(_own_bytes, pids))
    if size <= most or len(pids) == 1:
        return size
    return sum(map(_own_share, pids))


def _own_bytes(pid: int) -> int:
    if not _HAS_PROC:
        return _own_by_psutil(pid)
    resident, shared = _pages(pid)
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")


def _own_share(pid: int) -> int:
    """Return the own memory of a process, with its share of pages that several processes have."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb", buffering=0) as file:
            found = re.search(_ANONYMOUS_SHARE, file.read())
    except OSError:
        found = None  # it has exited, or is another user's; or the kernel is older than 5.3
    return int(found[1]) * 1024 if found else _own_bytes(pid)


def _own_by_psutil(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_full_info().uss)
    except (psutil.Error, OSError, AttributeError):
        return _resident_by_psutil(pid)  # macOS needs privileges for it


def _resident_by_psutil(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except (psutil.Error, OSError):
        return 0


def is_stopped(pid: int) -> bool:
    """Return whether no thread of the process runs until it is continued (or it has exited).

    Return False if that is unknown: this process may have no descriptor left.
    """
    if not _HAS_PROC:
        return _is_stopped_by_psutil(pid)
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            status = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return True
    except OSError:
        return False
    # Behind the name, which may have spaces and parentheses: stopped, traced, or exited.
    return status[status.rindex(b")") + 2 :][:1] in b"TtZXx"


def _is_stopped_by_psutil(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() in (
            psutil.STATUS_STOPPED,
            psutil.STATUS_TRACING_STOP,
            psutil.STATUS_ZOMBIE,
            psutil.STATUS_DEAD,
        )
    except psutil.Error:
        return True
    except OSError:
        return False
