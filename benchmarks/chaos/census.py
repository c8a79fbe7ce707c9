"""A census: what there is of this process, and of what it has started, when all is quiet."""

from __future__ import annotations

import ctypes
import gc
import os
import tempfile
import threading
import time

from attrs import asdict, frozen

from benchmarks.chaos.deeds import worker_after
from benchmarks.chaos.disturber import workers
from benchmarks.table import Table
from enact_pool import Pool, run_parallel

__all__ = ["Census", "missing_workers", "table", "taken"]

_libc = ctypes.CDLL(None)

# How long what has been killed may take to be gone.
_SETTLE_S = 5.0

# So that no worker has done its callable before the others have theirs; and how often to try.
_NAP_S = 0.03
_ROUNDS = 100


@frozen
class Census:
    """At `seconds` of the run. `rss_mb` is the parent's; `mappings` of files in memory."""

    seconds: float
    rss_mb: float
    descriptors: int
    threads: int
    children: int
    workers: int
    mappings: int
    files: int

    def more_than(self, before: Census) -> list[str]:
        """What there is more of than before, but for memory."""
        now, then = asdict(self), asdict(before)
        return [
            f"{now[what]} {what}, and {then[what]} before"
            for what in ("descriptors", "threads", "children", "mappings", "files")
            if now[what] > then[what]
        ]


def taken(seconds: float, like: Census | None = None) -> Census:
    """Count; until there is no more than before of anything, for five seconds at most."""
    until = time.monotonic() + _SETTLE_S
    while True:
        gc.collect()
        census = _counted(seconds)
        if like is None or not census.more_than(like) or time.monotonic() > until:
            return census
        time.sleep(0.05)


def _counted(seconds: float) -> Census:
    # What is free goes back to the kernel: what is left is what something holds.
    getattr(_libc, "malloc_trim", lambda _: None)(0)
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    with open("/proc/self/maps") as file:
        mappings = sum("/memfd:" in line for line in file)
    return Census(
        seconds=seconds,
        rss_mb=pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        descriptors=len(os.listdir("/proc/self/fd")) - 1,
        threads=threading.active_count(),
        children=_children(),
        workers=len(workers()),
        mappings=mappings,
        files=_files(),
    )


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


def table(censuses: list[Census]) -> Table:
    """These, one below the other."""
    whats = ["descriptors", "threads", "children", "workers", "mappings", "files"]
    lines = []
    for census in censuses:
        counts = asdict(census)
        lines.append(
            [
                f"{census.seconds:.0f}",
                f"{census.rss_mb:.1f}",
                *(str(counts[what]) for what in whats),
            ]
        )
    return Table("What there is when all is quiet", ["s", "RSS, MB", *whats], lines)
