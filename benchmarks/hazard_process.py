"""The process in which one library runs the callables of one hazard.

    python -m benchmarks.hazard_process CONTENDER HAZARD WORKERS REPORT

writes the outcomes to the file REPORT, as JSON. It does so before it closes the pool, which may
never end.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.outcome_contenders import OUTCOME_CONTENDERS
from tests.hazards.catalogue import by_name
from tests.hazards.hazard import INPUT, SQUARED, Expected, Hazard
from tests.hazards.neighbours import slow_square

__all__ = ["main"]

_RIGHT, _LOST, _WRONG = "right", "lost", "wrong"


def _neighbour_verdict(value: Any) -> str:
    if isinstance(value, BaseException):
        return _LOST
    return _RIGHT if type(value) is int and value == SQUARED else _WRONG


def _is_reported(expected: Expected, value: Any) -> bool:
    """Return whether the harmful callable has its expected outcome, or some error."""
    if isinstance(value, BaseException) or expected.may_return:
        return True
    return expected.outcome == "returns" and bool(expected.seen(value) == expected.value)


def _report(hazard: Hazard, outcomes: Sequence[Any]) -> dict[str, Any]:
    neighbours = [*outcomes[: hazard.index], *outcomes[hazard.index + 1 :]]
    verdicts = [_neighbour_verdict(value) for value in neighbours]
    harmful = outcomes[hazard.index]
    return {
        **{verdict: verdicts.count(verdict) for verdict in (_RIGHT, _LOST, _WRONG)},
        "missing": len(hazard.callables) - len(outcomes),
        "is_reported": _is_reported(hazard.expected, harmful),
        "harmful": type(harmful).__name__,
    }


def main(contender: str, hazard_name: str, workers: str, report: str) -> None:
    """Run the hazard and write the report."""
    hazard = by_name(hazard_name)
    library = OUTCOME_CONTENDERS[contender](int(workers))
    library.open()
    # All workers must have started: no time limit may include their start.
    library.outcomes([slow_square] * 8 * library.workers, INPUT, None, None)
    try:
        outcomes = library.outcomes(hazard.callables, INPUT, hazard.timeout, hazard.max_memory)
        found = _report(hazard, outcomes)
    except BaseException as error:
        found = {"raised": type(error).__name__}
    unfinished = Path(report + ".part")
    unfinished.write_text(json.dumps(found), encoding="utf-8")
    os.replace(unfinished, report)
    library.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
