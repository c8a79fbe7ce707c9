"""A trial: the process in which one library runs one hazard's callables.

    python -m benchmarks.hazard_process CONTENDER HAZARD WORKERS REPORT

writes to the file REPORT, as JSON, what the library has told. It does so before it
ends the pool, which may never end.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.outcome_contenders import ASKERS
from tests.hazards.catalogue import INPUT, SQUARED, Expected, Hazard, by_name
from tests.hazards.harmful_callables import slow_square

__all__ = ["main"]

_RIGHT, _LOST, _WRONG = "right", "lost", "wrong"


def _neighbour_told(value: Any) -> str:
    if isinstance(value, BaseException):
        return _LOST
    return _RIGHT if type(value) is int and value == SQUARED else _WRONG


def _is_told(expected: Expected, value: Any) -> bool:
    """Whether the culprit is told as what it is: what was to come, or some error."""
    if isinstance(value, BaseException) or expected.may_return:
        return True
    return expected.fate == "returns" and bool(expected.seen(value) == expected.value)


def _report(hazard: Hazard, told: Sequence[Any]) -> dict[str, Any]:
    neighbours = [*told[: hazard.place], *told[hazard.place + 1 :]]
    ways = [_neighbour_told(value) for value in neighbours]
    culprit = told[hazard.place]
    return {
        **{way: ways.count(way) for way in (_RIGHT, _LOST, _WRONG)},
        "missing": len(hazard.callables) - len(told),
        "is_told": _is_told(hazard.expected, culprit),
        "culprit": type(culprit).__name__,
    }


def main(contender: str, hazard_name: str, workers: str, report: str) -> None:
    """Do the trial."""
    hazard = by_name(hazard_name)
    asker = ASKERS[contender](int(workers))
    asker.open()
    # All workers are to be there: no time limit is about their start.
    asker.outcomes([slow_square] * 8 * asker.workers, INPUT, None, None)
    try:
        told = asker.outcomes(hazard.callables, INPUT, hazard.timeout, hazard.max_memory)
        found = _report(hazard, told)
    except BaseException as error:
        found = {"raised": type(error).__name__}
    unfinished = Path(report + ".part")
    unfinished.write_text(json.dumps(found), encoding="utf-8")
    os.replace(unfinished, report)
    asker.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
