"""Resources after very many calls, crashes and limits, compared with after a few.

`python -m benchmarks.chaos --soak` does the same with 10 000 calls and 1 000 crashes.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path

import psutil
import sample_callables as samples
import sample_pickles as pickles

from enact_pool import EventEmitter, Pool, iter_parallel
from tests.conftest import descriptors, processes, temporary_files

_WORKERS = 2


def endless(_: object) -> None:
    time.sleep(60)


def large(_: object) -> bytes:
    return bytes(1 << 20)


def pid_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def call(pool: Pool, times: int) -> None:
    """Make `count` calls of each kind that costs no worker."""
    for _ in range(times):
        emitter = EventEmitter()
        results = pool.run_parallel([samples.square, large, pickles.Unpicklable()], 3, emitter)
        assert [result.output.is_ok for result in results] == [True, True, False]
        assert len(emitter.drain()) == 3
        (result,) = pool.run_parallel([len], bytes(1 << 20))
        assert result.output.unwrap() == 1 << 20
        assert next(iter_parallel([samples.square] * 100, 2, pool=pool)).output.unwrap() == 4


def crash(pool: Pool, times: int) -> None:
    """Make `count` calls of each kind that costs a worker."""
    for _ in range(times):
        crashed, well = pool.run_parallel([samples.exit_7, samples.square], 2)
        assert (crashed.agent_name, well.output.unwrap()) == ("unknown", 4)
        (late,) = pool.run_parallel([endless], None, timeout=0.01)
        assert late.error is not None
        assert late.error.code == "timeout"
        failed, cancelled = pool.run_parallel([samples.exit_7, endless], None, fail_fast=True)
        assert (failed.agent_name, cancelled.output.is_ok) == ("unknown", False)
        canceller = threading.Timer(0.01, pool.cancel)
        canceller.start()
        (result,) = pool.run_parallel([endless], None)
        canceller.join()
        assert not result.output.is_ok


def snapshot(pool: Pool, mark: str) -> dict[str, int]:
    """Return the resources in use while all workers run and are idle."""
    pids: set[int] = set()
    while len(pids) < _WORKERS:
        results = pool.run_parallel([pid_after] * _WORKERS, 0.02)
        pids.update(result.output.unwrap() for result in results)
    gc.collect()
    maps = Path("/proc/self/maps")  # on Linux
    return {
        "descriptors": len(descriptors()),
        "threads": threading.active_count(),
        "processes": len(processes(mark)),
        "children": len(psutil.Process().children()),
        "files": len(temporary_files()),
        "mappings": maps.read_text().count("memfd") if maps.exists() else 0,
    }


def test_calls_crashes_limits_and_cancels_leave_no_resources(mark: str) -> None:
    with Pool(_WORKERS) as pool:
        call(pool, 4)
        crash(pool, 1)
        before = snapshot(pool, mark)
        call(pool, 100)
        crash(pool, 8)
        after = snapshot(pool, mark)
    assert {what: after[what] for what in after if after[what] > before[what]} == {}
