"""The post-mortem: what the death of a worker means for the tasks that it was sent.

A pure function of the exit report, and of what the schedule knows:

    last note of the worker      task                      kind
    -------------------------    ----------------------    -------------------------------------
    it had begun a task          that task, "running"      "violated" or "cancelled" if it was
    it was unpickling one        that task, "unpickling"   killed (SIGKILL, or status unknown)
    it was receiving one         that task, "receiving"    for that reason; else "crashed"
    any, and answers were lost   tasks before the last     "crashed", "giving the answer of"

Which tasks these are, if any, the schedule decides (`Schedule.lane_died`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from attrs import frozen

__all__ = ["Doing", "ExitReport", "Verdict", "examine"]

# The exit code of a process that SIGKILL has ended, as `subprocess` has it.
_KILLED = -9

Doing = Literal["running", "unpickling", "receiving", "giving the answer of"]


@frozen
class ExitReport:
    """What is known of a worker that has exited.

    Attributes:
        begun: The serial number of the task that it began last; 0 for none.
        loading: The last serial number of the batch that it was unpickling; 0 for none.
        receiving: The last serial number of the batch of which it had a part; 0 for none.
        expired: Whether it exited because it was sent nothing for so long.
        since_ns: When it began what it was doing, on the monotonic clock; 0 if it was waiting.
        ended_ns: When it was killed for a limit violation, or else when its end was noticed.
        exit_code: Negative for a signal, as in `subprocess`; None if something else in this
            process has waited for it.
        violates_limit: Whether it was killed for a limit violation.
    """

    begun: int = 0
    loading: int = 0
    receiving: int = 0
    expired: bool = False
    since_ns: int = 0
    ended_ns: int = 0
    exit_code: int | None = None
    violates_limit: bool = False


@frozen
class Verdict:
    """What a death means for one task; `ran_ms` is 0.0 unless it was running."""

    task: int
    kind: Literal["crashed", "violated", "cancelled"]
    doing: Doing
    ran_ms: float


def examine(
    report: ExitReport, blamed: Sequence[int], *, answered: int, is_cancelled: bool
) -> list[Verdict]:
    """Return what the death of a worker means for the tasks that are to blame for it.

    Args:
        report: What is known of the worker.
        blamed: The tasks, in the order in which the worker was sent them.
        answered: The serial number up to which it had answered.
        is_cancelled: Whether the run kills its workers.
    """
    verdicts = []
    for task in blamed:
        is_last = task == blamed[-1]
        doing: Doing
        if not is_last:
            doing = "giving the answer of"
        elif report.begun > answered:
            doing = "running"
        else:
            doing = "unpickling" if report.loading else "receiving"
        ran_ns = report.ended_ns - report.since_ns if report.since_ns else 0
        kind: Literal["crashed", "violated", "cancelled"] = "crashed"
        # Whether something else has killed it at the same time is not known.
        if is_last and report.exit_code in (None, _KILLED):
            if report.violates_limit:
                kind = "violated"
            elif is_cancelled:
                kind = "cancelled"
        verdicts.append(Verdict(task, kind, doing, ran_ns / 1e6 if doing == "running" else 0.0))
    return verdicts
