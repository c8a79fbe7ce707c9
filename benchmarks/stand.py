"""A stand: the process in which one contender works, and that takes its time.

Each contender has one to itself, for they disturb each other: some fork, which
is unsafe beside the threads of the others, and some wake up again and again
while they have nothing to do.

    python -m benchmarks.stand CONTENDER WORKERS [quick]

reads orders from its standard input, one JSON array a line, and answers each by
one JSON object a line:

    hello                what is installed
    begin WORK           opens a pool, and warms it up
    run                  does the work once; times and counts
    end                  closes the pool

It ends with its input.
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import time
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from benchmarks import tasks
from benchmarks.contenders import CONTENDERS, UNANSWERED, Contender
from benchmarks.works import Load, Work, works

__all__ = ["main"]

# Long enough that no worker can do its share of the first calls for another.
_WARM_UP_SECONDS = 0.03
# The single calls of a repeat end here, if they are slow.
_MOST_SECONDS = 1.0
_FEWEST_CALLS = 20


class _Stand:
    def __init__(self, contender: Contender, rows: list[Work]) -> None:
        self._contender = contender
        self._rows = {work.name: work for work in rows}
        self._work = rows[0]

    def hello(self) -> dict[str, Any]:
        versions = {}
        try:
            for package in self._contender.packages:
                versions[package] = version(package)
        except PackageNotFoundError:
            return {"missing": True}
        return {"missing": False, "versions": versions}

    def begin(self, name: str) -> dict[str, Any]:
        self._work = self._rows[name]
        refusal = self._contender.refusal(self._work)
        if not refusal:
            self._contender.open()
            count = 4 * self._contender.workers
            naps = Load([tasks.nap] * count, [_WARM_UP_SECONDS] * count, [None] * count)
            self._contender.run(naps)
            self._warm_up()
        return {"refusal": refusal}

    def _warm_up(self) -> None:
        # With tasks of the row itself: mpire tells its workers of each new function.
        self._contender.run(self._work.build(min(self._work.tasks, 2 * self._contender.workers)))

    def run(self) -> dict[str, Any]:
        self._warm_up()
        work, contender = self._work, self._contender
        load = work.build(work.tasks)
        gc.collect()
        times_ns: list[int] = []
        while len(times_ns) < work.calls:
            begun_at = time.perf_counter_ns()
            try:
                done = contender.run(load)
            except Exception as error:
                return {"raised": type(error).__name__, "answers": 0, "errors": {}}
            times_ns.append(time.perf_counter_ns() - begun_at)
            told = _counted(contender.values(done), load.expected)
            if sum(times_ns) > _MOST_SECONDS * 1e9 and len(times_ns) >= _FEWEST_CALLS:
                break
        return {"ms": statistics.median(times_ns) / 1e6, **told}

    def end(self) -> dict[str, Any]:
        self._contender.close()
        return {}


def _counted(values: list[Any], expected: list[Any]) -> dict[str, Any]:
    """How many answers, errors of which types, and tasks without either."""
    answers = unanswered = 0
    errors: Counter[str] = Counter()
    for value, right in zip(values, expected, strict=True):
        if value is UNANSWERED:
            unanswered += 1
        elif isinstance(value, BaseException):
            errors[type(value).__name__] += 1
        elif value == right:
            answers += 1
        else:
            errors["wrong answer"] += 1
    return {"answers": answers, "errors": dict(errors), "unanswered": unanswered}


def main(name: str, workers: str, *options: str) -> None:
    """Obey the orders on standard input, until it ends."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    # What libraries print must not come between the answers.
    os.dup2(2, 1)
    stand = _Stand(CONTENDERS[name](int(workers)), works("quick" in options))
    for line in sys.stdin:
        order, *arguments = json.loads(line)
        try:
            reply = getattr(stand, order)(*arguments)
        except Exception as error:
            reply = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies)


if __name__ == "__main__":
    main(*sys.argv[1:])
