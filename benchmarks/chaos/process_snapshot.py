"""A snapshot of the resources of this process and its children, while nothing runs."""

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

# By how much the minimum of the last fifth of the snapshots may exceed the maximum of the
# first two fifths; and how many snapshots this needs.
_BOUNDS = {"rss_mb": 24.0, "malloc_mb": 2.0, "objects": 1_000}
_CENSUSES = 5

_libc = ctypes.CDLL(None)


class _MallInfo(ctypes.Structure):
    """The return value of glibc's `mallinfo2`."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


# How many seconds killed processes may take to disappear.
_SETTLE_S = 5.0

# Long enough that every worker gets a callable; and how often to try.
_NAP_S = 0.03
_ROUNDS = 100


@frozen
class ProcessSnapshot:
    """Resources at `seconds` of the run; `mappings` are those of files in memory.

    Most of the resident memory (`rss_mb`) is fragmented free memory of malloc, which has an
    arena for each thread. `malloc_mb` is used memory, without Python's objects below 512
    bytes; `objects` are those that gc tracks.
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
        """Return which resources, except memory, have increased."""
        now, then = asdict(self), asdict(before)
        return [
            f"{now[what]} {what}, and {then[what]} before"
            for what in ("descriptors", "threads", "children", "mappings", "files")
            if now[what] > then[what]
        ]


def take_snapshot(seconds: float, baseline: ProcessSnapshot | None = None) -> ProcessSnapshot:
    """Count resources, until none exceeds the baseline; for five seconds at most."""
    until = time.monotonic() + _SETTLE_S
    while True:
        gc.collect()
        snapshot = _count(seconds)
        if baseline is None or not snapshot.increases_since(baseline) or time.monotonic() > until:
            return snapshot
        time.sleep(0.05)


def _count(seconds: float) -> ProcessSnapshot:
    # Return free memory to the kernel: the rest is in use.
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
    """Return how many bytes of malloc's memory are in use; 0 if malloc cannot report that."""
    mallinfo = getattr(_libc, "mallinfo2", None)
    if mallinfo is None:
        return 0
    mallinfo.restype = _MallInfo
    info = mallinfo()
    return int(info.uordblks + info.hblkhd)


def _children() -> int:
    """Count the children of all threads, including zombies."""
    count = 0
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/children") as file:
                count += len(file.read().split())
        except FileNotFoundError:
            continue  # a thread that has ended
    return count


def _files() -> int:
    """Count files in our temporary folder, and in shared memory if they have our name."""
    ours = ("enact", f"-{os.getpid()}-")
    shared = os.listdir("/dev/shm") if os.path.isdir("/dev/shm") else []
    return sum(len(files) for _, _, files in os.walk(tempfile.gettempdir())) + sum(
        any(part in name for part in ours) for name in shared
    )


def memory_growth(snapshots: list[ProcessSnapshot]) -> list[str]:
    """Return which kinds of memory have grown too much; none for a short run."""
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
    """Start all workers of a pool (None: the default pool); return what is wrong, if anything."""
    seen: set[int] = set()
    for _ in range(_ROUNDS):
        for result in run_parallel([worker_after] * count, _NAP_S, pool=pool, max_workers=count):
            if not result.output.is_ok:
                return f"a callable failed: {result!r}"
            seen.add(result.output.value)
        if len(seen) == count:
            return ""
    return f"it has {len(seen)} workers of {count}"


def table(snapshots: list[ProcessSnapshot]) -> Table:
    """Return a table with a line per snapshot."""
    columns = ["objects", "descriptors", "threads", "children", "workers", "mappings", "files"]
    lines = []
    for snapshot in snapshots:
        counts = asdict(snapshot)
        sizes = [f"{size:.1f}" for size in (snapshot.rss_mb, snapshot.malloc_mb)]
        lines.append([f"{snapshot.seconds:.0f}", *sizes, *(str(counts[what]) for what in columns)])
    title = "Resources while nothing runs"
    return Table(title, ["s", "RSS, MB", "malloc, MB", *columns], lines)
