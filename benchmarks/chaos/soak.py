"""Soaking: compare the process's resources after few and after very many calls and crashes."""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

from benchmarks.chaos.process_snapshot import ProcessSnapshot, missing_workers, table, take_snapshot
from benchmarks.chaos.tasks import CRASHES, Task
from enact_pool import EventEmitter, Pool, run_parallel

__all__ = ["soak"]

_FEW = 10
_CALLS, _CRASHES = 10_000, 1_000
_WORKERS = 2
_PATIENCE_S = 60.0
_RSS_BOUND_MB = 10.0


def soak(folder: Path, say: Callable[[str], None]) -> int:
    """Run 10 calls and 10 crashes, then 10 000 and 1 000; return 1 if these leave something."""
    log = folder / "starts"
    log.touch()
    began = time.monotonic()
    with Pool(_WORKERS) as pool:
        snapshots: list[ProcessSnapshot] = []
        for calls, crashes in [(_FEW, _FEW), (_CALLS, _CRASHES)]:
            _call(pool, calls, crashes, str(log))
            if missing := missing_workers(pool, _WORKERS):
                raise AssertionError(missing)
            first = snapshots[0] if snapshots else None
            snapshots.append(take_snapshot(time.monotonic() - began, first))
            say(f"{calls} calls with {crashes} crashes: {snapshots[-1].seconds:.0f} s")
    say(table(snapshots).as_text())
    left = snapshots[1].increases_since(snapshots[0])
    if snapshots[1].rss_mb > snapshots[0].rss_mb + _RSS_BOUND_MB:
        left.append(f"{snapshots[1].rss_mb:.1f} MB, and {snapshots[0].rss_mb:.1f} MB before")
    for what in left:
        say(f"VIOLATION {what}")
    return 1 if left else 0


def _call(pool: Pool, calls: int, crashes: int, log: str) -> None:
    """Make calls of three tasks each; `crashes` of the calls have one that crashes."""
    kinds = cycle(CRASHES)
    for number in range(calls):
        crashing = number * crashes // calls != (number + 1) * crashes // calls
        kind = next(kinds) if crashing else "noop"
        tasks = [Task(each, number, at, 0, log) for at, each in enumerate(("noop", kind, "noop"))]
        emitter = EventEmitter()
        results = run_parallel(tasks, None, emitter, pool=pool)
        codes = [result.error.code if result.error else "" for result in results]
        if codes != ["", CRASHES.get(kind, ""), ""] or len(list(emitter.drain())) != 3:
            raise AssertionError(f"call {number}, {kind}: {results}")
        faulthandler.dump_traceback_later(_PATIENCE_S, exit=True)
