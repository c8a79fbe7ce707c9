"""Process trees: a worker, and what its callables have started.

A worker leads a session of its own, by which all are known that did not leave it;
who has a session of its own too is found as a child of a child, while the worker
lives. Only a process that has left both, as daemons do, gets away.
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

# Not where it is another system's, or is not mounted. psutil takes long to import,
# and to ask: it looks up the beginning of each process, too.
_HAS_PROC = os.path.exists("/proc/self/statm")
_ANONYMOUS_SHARE = re.compile(rb"^Pss_Anon: +(\d+) kB$", re.MULTILINE)
_HAS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")


def children(pid: int) -> list[int]:
    """The processes that this one has started and that it has not waited for; none if it is gone.

    From the kernel's own lists where it has them; psutil looks at every process there is.
    """
    if not _HAS_CHILDREN:
        return _children_by_psutil(pid)
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []  # it ended, or no descriptor is to be had to look with
    for thread in threads:
        try:
            with open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file:
                found += map(int, file.read().split())
        except OSError:
            continue  # this thread ended
    return found


def _children_by_psutil(pid: int) -> list[int]:
    import psutil  # takes long to import, and Linux does without as a rule

    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except (psutil.Error, OSError):
        return []  # it has ended, or no descriptor is to be had to look with


def descendants(pid: int) -> list[int]:
    """The children of a process, their children, and so on."""
    found: list[int] = []
    look_at = [pid]
    while look_at:
        new = [child for child in children(look_at.pop()) if child not in found]
        found += new
        look_at += new
    return found


def kill_tree(pid: int) -> None:
    """Kill a worker that was not waited for yet, and what it has started."""
    for each in (*descendants(pid), pid):
        _kill(each)
    kill_session(pid)


def kill_descendants(but: set[int]) -> None:
    """Kill what this process has started and left running, with what that has started.

    Not these children of it, which have somebody who ends them.
    """
    for child in children(os.getpid()):
        if child not in but:
            for each in (*descendants(child), child):
                _kill(each)


def kill_session(pid: int) -> None:
    """Kill all that is in the session of a worker, which may have ended and was not waited for."""
    try:
        # First, in one step: nobody in its group can start another one meanwhile.
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # it leads no session yet; or (on macOS) all have ended
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
        pass  # it is not there, or no descriptor is to be had
    import psutil

    try:
        return list(psutil.pids())
    except (psutil.Error, OSError):
        return []


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # it has ended, or is another user's


def resident_bytes(pid: int) -> int:
    """How much memory a process and its descendants have resident, in bytes.

    What they share counts for each. One that is gone counts for nothing, and so does
    one that cannot be looked at: there may be no descriptor to look with.
    """
    return sum(map(_resident_bytes, (pid, *descendants(pid))))


def _resident_bytes(pid: int) -> int:
    if not _HAS_PROC:
        return _resident_by_psutil(pid)
    resident, _ = _pages(pid)
    return resident * os.sysconf("SC_PAGE_SIZE")


def _pages(pid: int) -> tuple[int, int]:
    """How many pages a process has resident, and how many of them are a file's or shared memory."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
            fields = file.read().split()
    except OSError:
        return 0, 0
    return int(fields[1]), int(fields[2])


def own_bytes(pid: int, most: int) -> int:
    """Return how much memory of their own a process and its descendants have, in bytes.

    Pages of mapped files and of shared memory are not counted, unless the process has
    written to a private copy of them. What forked processes share with each other counts
    once, if that decides whether it is more than `most`: to find out takes the kernel 10 to
    40 ms for each GB, and the rest less than 0.1 ms. A process counts for nothing under the
    conditions of `resident_bytes`.
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
    """Of each page its part, where several processes have it."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb", buffering=0) as file:
            found = _ANONYMOUS_SHARE.search(file.read())
    except OSError:
        found = None  # it ended, or is another user's; or the kernel is older than 5.3
    return int(found[1]) * 1024 if found else _own_bytes(pid)


def _own_by_psutil(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_full_info().uss)
    except (psutil.Error, OSError, AttributeError):
        return _resident_by_psutil(pid)  # macOS does not tell everybody


def _resident_by_psutil(pid: int) -> int:
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except (psutil.Error, OSError):
        return 0


def is_stopped(pid: int) -> bool:
    """Whether no thread of the process runs until it is continued (or it has ended).

    False if that cannot be told: there may be no descriptor to look with.
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
    # Behind the name, which may have spaces and parentheses: stopped, traced, or ended.
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
