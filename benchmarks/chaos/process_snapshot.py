"""A snapshot: what there is of this process, and of what it has started, when all is quiet."""

from __future__ import annotations

import ctypes
import gc
import os
import tempfile
import threading
import time

from attrs import asdict, frozen

from benchmarks.chaos.fault_injector import workers
from benchmarks.chaos.tasks import worker_after
from benchmarks.table import Table
from enact_pool import Pool, run_parallel

__all__ = ["ProcessSnapshot", "memory_growth", "missing_workers", "table", "take_snapshot"]

# How much more there may be in the last fifth of the time, at least, than in the first
# two, at most; to be told from so many snapshots.
_BOUNDS = {"rss_mb": 24.0, "malloc_mb": 2.0, "objects": 1_000}
_CENSUSES = 5

_libc = ctypes.CDLL(None)


class _MallInfo(ctypes.Structure):
    """What glibc's `mallinfo2` gives."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


# How long what has been killed may take to be gone.
_SETTLE_S = 5.0

# So that no worker has done its callable before the others have theirs; and how often to try.
_NAP_S = 0.03
_ROUNDS = 100


@frozen
class ProcessSnapshot:
    """At `seconds` of the run; `mappings` are those of files in memory.

    Of what is resident (`rss_mb`) most is what malloc keeps in pieces between those
    that are used: in an arena for each thread. `malloc_mb` is what is used, but by
    Python's objects below 512 bytes; `objects` are those that gc knows.
    """

    seconds: float
    rss_mb: float
    malloc_mb: float
    objects: int
    descriptors: int
    threads: int
    children: int
    workers: int
    mappings: int
    files: int

    def increases_since(self, before: ProcessSnapshot) -> list[str]:
        """What there is more of than before, but for memory."""
        now, then = asdict(self), asdict(before)
        return [
            f"{now[what]} {what}, and {then[what]} before"
            for what in ("descriptors", "threads", "children", "mappings", "files")
            if now[what] > then[what]
        ]


def take_snapshot(seconds: float, like: ProcessSnapshot | None = None) -> ProcessSnapshot:
    """Count; until there is no more than before of anything, for five seconds at most."""
    until = time.monotonic() + _SETTLE_S
    while True:
        gc.collect()
        snapshot = _count(seconds)
        if like is None or not snapshot.increases_since(like) or time.monotonic() > until:
            return snapshot
        time.sleep(0.05)


def _count(seconds: float) -> ProcessSnapshot:
    # What is free goes back to the kernel: what is left is what something holds.
    getattr(_libc, "malloc_trim", lambda _: None)(0)
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    with open("/proc/self/maps") as file:
        mappings = sum("/memfd:" in line for line in file)
    return ProcessSnapshot(
        seconds=seconds,
        rss_mb=pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        malloc_mb=_malloc_bytes() / 1e6,
        objects=len(gc.get_objects()),
        descriptors=len(os.listdir("/proc/self/fd")) - 1,
        threads=threading.active_count(),
        children=_children(),
        workers=len(workers()),
        mappings=mappings,
        files=_files(),
    )


def _malloc_bytes() -> int:
    """What is used of malloc's memory; 0 where it does not tell."""
    tell = getattr(_libc, "mallinfo2", None)
    if tell is None:
        return 0
    tell.restype = _MallInfo
    told = tell()
    return int(told.uordblks + told.hblkhd)


def _children() -> int:
    """Of all threads, and those that have ended and were not waited for as well."""
    count = 0
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/children") as file:
                count += len(file.read().split())
        except FileNotFoundError:
            continue  # a thread that has ended
    return count


def _files() -> int:
    """In our folder for temporary files, and those of shared memory that are named after us."""
    ours = ("enact", f"-{os.getpid()}-")
    shared = os.listdir("/dev/shm") if os.path.isdir("/dev/shm") else []
    return sum(len(files) for _, _, files in os.walk(tempfile.gettempdir())) + sum(
        any(part in name for part in ours) for name in shared
    )


def memory_growth(snapshots: list[ProcessSnapshot]) -> list[str]:
    """What of the memory has grown by more than it may; nothing of a short run."""
    if len(snapshots) < _CENSUSES:
        return []
    grown = []
    for what, bound in _BOUNDS.items():
        sizes = [getattr(snapshot, what) for snapshot in snapshots]
        early, late = max(sizes[: len(sizes) * 2 // 5]), min(sizes[-(len(sizes) // 5) :])
        if late > early + bound:
            grown.append(f"{what} {late:g}, and {early:g} early")
    return grown


def missing_workers(pool: Pool | None, count: int) -> str:
    """Let all workers of a pool (None: the default one) start; gives what is wrong, if anything."""
    seen: set[int] = set()
    for _ in range(_ROUNDS):
        for result in run_parallel([worker_after] * count, _NAP_S, pool=pool, max_workers=count):
            if not result.output.is_ok:
                return f"it comes to {result!r}"
            seen.add(result.output.value)
        if len(seen) == count:
            return ""
    return f"it has {len(seen)} workers of {count}"


def table(snapshots: list[ProcessSnapshot]) -> Table:
    """These, one below the other."""
    columns = ["objects", "descriptors", "threads", "children", "workers", "mappings", "files"]
    lines = []
    for snapshot in snapshots:
        counts = asdict(snapshot)
        sizes = [f"{size:.1f}" for size in (snapshot.rss_mb, snapshot.malloc_mb)]
        lines.append([f"{snapshot.seconds:.0f}", *sizes, *(str(counts[what]) for what in columns)])
    title = "What there is when all is quiet"
    return Table(title, ["s", "RSS, MB", "malloc, MB", *columns], lines)
