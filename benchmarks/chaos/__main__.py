"""`python -m benchmarks.chaos`: random work while workers are killed, for some minutes."""

from __future__ import annotations

import argparse
import faulthandler
import os
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from random import Random

import psutil

from benchmarks.chaos.drivers import Driver
from benchmarks.chaos.fault_injector import FaultInjector
from benchmarks.chaos.fault_log import FaultLog
from benchmarks.chaos.process_snapshot import (
    ProcessSnapshot,
    memory_growth,
    missing_workers,
    table,
    take_snapshot,
)
from benchmarks.chaos.soak import soak
from benchmarks.table import Table, spaced
from enact_pool import Pool, default_pool

# The length of an epoch. Then all threads wait for each other, and a snapshot is taken.
_EPOCH_S = 4.0
# If the threads do not meet for so long, something hangs.
_PATIENCE_S = 120.0
# Few enough to be used up quickly.
_DESCRIPTORS = 512
_SHARED_WORKERS = 3
_MOST_VIOLATIONS = 30
_MARK = "ENACT_POOL_CHAOS_RUN"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="how long (default: 1)")
    length.add_argument("--seconds", type=float, help="how long")
    length.add_argument(
        "--soak",
        action="store_true",
        help="10 000 calls and 1 000 crashes instead, and a check that nothing is left of them",
    )
    parser.add_argument("--seed", type=int, help="of all random choices (default: a random seed)")
    parser.add_argument("--threads", type=int, default=4, help="that run tasks (default: 4)")
    options = parser.parse_args()
    if options.seconds is None:
        options.seconds = 60 * (1.0 if options.minutes is None else options.minutes)
    if not 1 <= options.threads <= 32 or options.seconds <= 0:
        parser.error("--threads must be 1 to 32, and the time above 0")
    if options.seed is None:
        options.seed = Random().randrange(1 << 32)
    return options


def _say(line: str) -> None:
    print(line, flush=True)


class _Chaos:
    """One chaos run."""

    def __init__(self, seed: int, threads: int, seconds: float, folder: Path) -> None:
        self._seconds = seconds
        self._faults = FaultLog(say=_say)
        self._shared = Pool(_SHARED_WORKERS)
        self._drivers = [
            Driver(seed, number, folder, self._shared, self._faults) for number in range(threads)
        ]
        self._injector = FaultInjector(seed, self._faults)
        # Drivers and this thread meet after each epoch, and before the next one.
        self._meeting = threading.Barrier(threads + 1)
        self._epoch_ends = 0.0
        self._is_over = False
        self._snapshots: list[ProcessSnapshot] = []
        threading.excepthook = self._thread_died

    def _thread_died(self, what: threading.ExceptHookArgs) -> None:
        if what.exc_type is threading.BrokenBarrierError:
            return  # another driver has died, and was reported
        name = what.thread.name if what.thread else "?"
        self._faults.report_violation(
            f"thread {name}", f"died of {what.exc_type.__name__}: {what.exc_value}"
        )
        sys.__excepthook__(what.exc_type, what.exc_value or what.exc_type(), what.exc_traceback)
        if name.startswith("driver"):
            self._meeting.abort()

    def _drive(self, driver: Driver) -> None:
        while True:
            self._meeting.wait()
            if self._is_over:
                return
            while time.monotonic() < self._epoch_ends:
                driver.step()
            self._meeting.wait()

    def run(self) -> FaultLog:
        """Run all epochs; return the log of faults and violations."""
        self._fill()
        threads = [
            threading.Thread(target=self._drive, args=(driver,), name=driver.name)
            for driver in self._drivers
        ]
        for thread in threads:
            thread.start()
        self._injector.start()
        began = time.monotonic()
        try:
            while (now := time.monotonic()) < began + self._seconds:
                self._epoch(min(_EPOCH_S, began + self._seconds - now), began)
                if len(self._faults.violations) >= _MOST_VIOLATIONS:
                    break
        except threading.BrokenBarrierError:
            pass  # a driver has died, and was reported
        self._is_over = True
        self._injector.stop()
        if not self._meeting.broken:
            self._meeting.wait()
        for thread in threads:
            thread.join()
        self._faults.counts["seconds"] = round(time.monotonic() - began)
        return self._faults

    def _epoch(self, seconds: float, began: float) -> None:
        faulthandler.dump_traceback_later(_PATIENCE_S, exit=True)
        # The first snapshot needs all workers: no fault may prevent their start before it.
        self._injector.resume(exhaust=bool(self._snapshots))
        self._epoch_ends = time.monotonic() + seconds
        self._meeting.wait()
        try:
            self._meeting.wait()
        finally:
            self._injector.pause()
        for driver in self._drivers:
            driver.check_late_starts()
        self._faults.close_epoch()
        self._fill()
        first = self._snapshots[0] if self._snapshots else None
        snapshot = take_snapshot(round(time.monotonic() - began, 1), first)
        self._snapshots.append(snapshot)
        for what in snapshot.increases_since(first or snapshot):
            self._faults.report_violation(f"after {snapshot.seconds} s", what)

    def _fill(self) -> None:
        """Let each pool start all its workers."""
        for pool in (self._shared, None):
            if found := missing_workers(pool, _SHARED_WORKERS):
                self._faults.report_violation("idle pool", found)

    def close(self) -> None:
        """Close everything, and check that nothing is left."""
        self._shared.close()
        default_pool().close()
        for driver in self._drivers:
            driver.close()
        left = _marked()
        _, alive = psutil.wait_procs(left, timeout=5)
        for process in alive:
            self._faults.report_violation("the end", f"process {process.pid} is left")

    def table(self) -> Table:
        """Return a table of about twenty snapshots."""
        every = max(1, len(self._snapshots) // 20)
        return table(self._snapshots[::every][:-1] + self._snapshots[-1:])

    def check_memory(self) -> None:
        """Report memory that has grown too much."""
        for what in memory_growth(self._snapshots):
            self._faults.report_violation("memory", what)


def _marked() -> list[psutil.Process]:
    """Return all processes that this one has started, also orphans, except resource trackers."""
    found = []
    for process in psutil.process_iter():
        try:
            is_ours = process.environ().get(_MARK) == os.environ[_MARK]
            is_tracker = "resource_tracker" in " ".join(process.cmdline())
            if is_ours and not is_tracker and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            continue
    return found


def _summary(faults: FaultLog) -> Table:
    counts = faults.counts
    seconds = counts.pop("seconds")
    lines = [[what, spaced(number)] for what, number in sorted(counts.items())]
    lines += [
        ["violations", str(len(faults.violations))],
        ["runs per second", f"{counts['runs'] / seconds:.1f}"],
        ["callables per second", f"{counts['starts'] / seconds:.0f}"],
    ]
    return Table(f"In {seconds} s", ["what", "times"], lines)


def main() -> int:
    """Run the command line; return the exit code."""
    options = _options()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, hard))
    faulthandler.dump_traceback_later(_PATIENCE_S, exit=True)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        tempfile.tempdir = folder
        os.environ["TMPDIR"] = folder
        os.environ[_MARK] = f"{os.getpid()} {time.time()}"
        if options.soak:
            return soak(Path(folder), _say)
        _say(f"seed {options.seed}, {options.threads} threads, {options.seconds:g} s")
        chaos = _Chaos(options.seed, options.threads, options.seconds, Path(folder))
        faults = chaos.run()
        chaos.check_memory()
        chaos.close()
    _say(chaos.table().as_text())
    _say("")
    _say(_summary(faults).as_text())
    if faults.violations:
        _say(f"failed, with seed {options.seed}")
    return 1 if faults.violations else 0


if __name__ == "__main__":
    sys.exit(main())
