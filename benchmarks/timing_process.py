"""The process in which one contender runs, and which times it.

Each contender has its own process, since contenders disturb each other: some fork,
which is unsafe beside the threads of the others, and some poll while they are idle.

    python -m benchmarks.timing_process CONTENDER WORKERS [quick]

reads commands from its timingard input, one JSON array per line, and replies to each
with one JSON object per line:

    hello                what is installed
    begin WORKLOAD       open a pool, if none is open, and warm it up
    run                  run the workload once; times and counts
    end                  close the pool

At the end of its input, it closes the pool and exits.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import time
from collections import Counter
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks import timed_callables as timed
from benchmarks.contenders import CONTENDERS, UNANSWERED, Contender, Failure
from benchmarks.workloads import Load, Workload, workloads

__all__ = ["main", "version_of"]

# Seconds, times the number of workers: long enough that no worker can run the first calls
# of another worker that has not started yet.
_WARM_UP_SECONDS = 0.03
# After so many seconds, no more slow calls of a repeat are made.
_MOST_SECONDS = 1.0
_FEWEST_CALLS = 20


class _TimingProcess:
    def __init__(self, contender: Contender, rows: list[Workload]) -> None:
        self._contender = contender
        self._rows = {work.name: work for work in rows}
        self._work = rows[0]
        self._is_open = False

    def hello(self) -> dict[str, Any]:
        try:
            versions = {package: version_of(package) for package in self._contender.packages}
        except ImportError as error:
            return {"missing": str(error)}
        return {"missing": "", "versions": versions}

    def begin(self, name: str) -> dict[str, Any]:
        self._work = self._rows[name]
        refusal = self._contender.refusal(self._work)
        if refusal:
            return {"refusal": refusal}
        if not self._is_open:
            self._contender.open()
            self._is_open = True
            workers = self._contender.workers
            count, seconds = 4 * workers, _WARM_UP_SECONDS * workers
            naps = Load([timed.nap] * count, [seconds] * count, [None] * count)
            self._contender.run(naps)
        self._warm_up()
        return {"refusal": ""}

    def _warm_up(self) -> None:
        # With tasks of the row itself: mpire sends each new function to its workers.
        self._contender.run(self._work.build(min(self._work.tasks, 2 * self._contender.workers)))

    def run(self) -> dict[str, Any]:
        self._warm_up()
        work, contender = self._work, self._contender
        load = work.build(work.tasks)
        gc.collect()
        times_ns: list[int] = []
        cpu_ns: list[int] = []
        while len(times_ns) < work.calls:
            spent_before = time.process_time_ns()
            begun_at = time.perf_counter_ns()
            try:
                done = contender.run(load)
            except Exception as error:
                return {"raised": type(error).__name__, "answers": 0, "errors": {}}
            times_ns.append(time.perf_counter_ns() - begun_at)
            cpu_ns.append(time.process_time_ns() - spent_before)
            counts = _counted(contender.values(done), load)
            if sum(times_ns) > _MOST_SECONDS * 1e9 and len(times_ns) >= _FEWEST_CALLS:
                break
        middle, middle_cpu = statistics.median(times_ns), statistics.median(cpu_ns)
        return {"ms": middle / 1e6, "cpu_ms": middle_cpu / 1e6, **counts}

    def end(self) -> dict[str, Any]:
        if self._is_open:
            self._is_open = False
            self._contender.close()
        return {}


def version_of(package: str) -> str:
    """Return the version of a package. Raises `ImportError` if it cannot be imported."""
    module = import_module(package)
    try:
        return version(package)
    except PackageNotFoundError:
        # A checkout that was not installed.
        return str(getattr(module, "__version__", "unknown"))


def _counted(values: list[Any], load: Load) -> dict[str, Any]:
    """Count answers, errors by type, and tasks without either."""
    answers = unanswered = 0
    errors: Counter[str] = Counter()
    for value, right in zip(values, load.expected, strict=True):
        if value is UNANSWERED:
            unanswered += 1
        elif isinstance(value, BaseException):
            errors[str(value) if isinstance(value, Failure) else type(value).__name__] += 1
        elif load.is_right(value, right):
            answers += 1
        else:
            errors["wrong answer"] += 1
    return {"answers": answers, "errors": dict(errors), "unanswered": unanswered}


def main(name: str, workers: str, *options: str) -> None:
    """Execute the commands on standard input until it ends."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    # Libraries must not print between the replies.
    os.dup2(2, 1)
    timing = _TimingProcess(CONTENDERS[name](int(workers)), workloads("quick" in options))
    for line in sys.stdin:
        command, *arguments = json.loads(line)
        try:
            reply = getattr(timing, command)(*arguments)
        except Exception as error:
            reply = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies)
    timing.end()


if __name__ == "__main__":
    main(*sys.argv[1:])
