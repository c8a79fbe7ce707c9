"""Checks of single results, given the injected faults: are they what the contract says?"""

from __future__ import annotations

from typing import Any

from attrs import define, field

from benchmarks.chaos.fault_log import FaultLog, Span
from benchmarks.chaos.plans import Plan
from benchmarks.chaos.tasks import CRASHES, REPEATED, Task
from benchmarks.chaos.values import VALUES, returned_value
from enact_pool import Err, Ok, ParallelResult, StreamEvent

__all__ = ["Report", "is_cancelled", "problem_of", "problem_of_nested", "starts_of"]

# How many milliseconds after its limit a task may be killed, on a machine under such load.
_LATE_MS = 5_000.0

# How many workers must be killed before they start a task until a run gives up starting any.
_STARTS = 3


@define
class Report:
    """The outcome of a plan, which ran during `span`.

    `starts` has the workers that logged the start of each task, by the task's index;
    `events` is None without an emitter. `raised` is what the call raised, or None.
    """

    plan: Plan
    span: Span
    # The id of the pool, under which cancels are logged.
    pool: int
    results: list[ParallelResult[Any]] = field(repr=False)
    events: list[StreamEvent] | None = field(repr=False)
    raised: BaseException | None
    starts: dict[int, list[int]] = field(repr=False)


def problem_of(task: Task, result: ParallelResult[Any], report: Report, faults: FaultLog) -> str:
    """Return what is wrong with a result; empty if nothing is."""
    plan, error = report.plan, result.error
    starts = report.starts.get(task.index, [])
    died = error is not None and error.category == "kernel_internal"
    name = _name(task, plan)
    if result.agent_name != ("unknown" if died else name):
        return "another name"
    if error is not None:
        if result.output != Err(error.message):
            return "the output does not contain the error"
        if error.details["name"] != name:
            return "another name in the details"
        if task.index not in (REPEATED, error.details["index"]):
            return "another index in the details"
    if is_cancelled(result):
        if plan.fail_fast or faults.lasted("cancel", report.pool, report.span):
            return ""
        return "it was not cancelled"
    if error is None:
        return _problem_of_output(task, result.output, report, faults)
    faults.count(str(error.code))
    if error.category == "timeout":
        return _problem_of_timeout(task, result, report, faults)
    if error.category == "quota_exceeded":
        is_due = plan.max_memory is not None and task.kind == "hoard" and len(starts) == 1
        return "" if is_due else "it used little memory"
    if error.code == "start_failed":
        if starts and task.index != REPEATED:
            return "it has started"
        return _problem_of_failed_start(report.span, faults)
    if CRASHES.get(task.kind) == error.code and len(starts) == 1:
        return ""
    if error.code == "SIGKILL":
        # A task whose worker was killed just before the start has logged nothing.
        known = starts[0] if starts and task.index != REPEATED else None
        return faults.blame(known, report.span)
    return "another death"


def problem_of_nested(
    result: ParallelResult[Any], span: Span, pool: object, faults: FaultLog
) -> str:
    """Return what is wrong with a result of `abs(-3)`, which logs no start; empty if nothing is."""
    if result.error is None:
        if is_cancelled(result):
            is_due = faults.lasted("cancel", id(pool), span)
        else:
            is_due = result.output == Ok(3)
        return "" if is_due else "another output"
    if result.error.code == "SIGKILL":
        return faults.blame(None, span)
    return (
        _problem_of_failed_start(span, faults) if result.error.code == "start_failed" else "it died"
    )


def _problem_of_failed_start(span: Span, faults: FaultLog) -> str:
    is_due = faults.lasted("exhaustion", None, span) or faults.foiled_starts_in(span) >= _STARTS
    return "" if is_due else "nothing prevents the start of workers"


def is_cancelled(result: ParallelResult[Any]) -> bool:
    return result.error is None and result.output == Err("cancelled")


def starts_of(report: Report, index: int) -> int:
    return len(report.starts.get(index, ()))


def _name(task: Task, plan: Plan) -> str:
    if plan.is_map:
        return "run_task"
    is_closure = plan.as_closures and task.kind not in ("unpicklable", "unloadable")
    return "enclosed" if is_closure else task.name


def _problem_of_timeout(
    task: Task, result: ParallelResult[Any], report: Report, faults: FaultLog
) -> str:
    timeout = report.plan.timeout
    if timeout is None:
        return "it had no time limit"
    if not timeout * 1e3 <= result.duration_ms <= timeout * 1e3 + _LATE_MS:
        return f"it was killed at another time than after {timeout} s"
    if task.kind == "endless":
        return ""
    worker = report.starts.get(task.index, [None])[0]
    return "" if faults.lasted("stop", worker, report.span) else "it is a quick task"


def _problem_of_output(task: Task, output: Ok[Any] | Err, report: Report, faults: FaultLog) -> str:
    """Return what is wrong with a result without an error; empty if nothing is."""
    starts = starts_of(report, task.index)
    item = "input" if report.plan.is_map else "callable"
    mark = task.mark
    if isinstance(output, Ok):
        if starts != 1 and task.index != REPEATED:
            return "it has not started"
        return "" if output.value == _expected_value(task) else "another value"
    text = output.error
    if task.kind in ("raise", "exit"):
        is_due = text == mark and starts == 1
    elif task.kind == "unpicklable":
        is_due = text == f"the {item} cannot be pickled: TypeError: {mark}" and not starts
    elif task.kind == "unloadable":
        is_due = text.endswith(mark) and f"the {item} cannot be rebuilt" in text and not starts
    elif task.kind == "return_unpicklable":
        is_due = text.endswith(mark) and "the return value, of type" in text and starts == 1
    else:
        # The descriptor of a large value could not be received.
        is_due = (
            task.kind in VALUES
            and text.startswith("the return value cannot be received: ")
            and "Too many open files" in text
            and starts == 1
            and faults.lasted("exhaustion", None, report.span)
        )
    return "" if is_due else "another error"


_MISSING = object()


def _expected_value(task: Task) -> Any:
    if task.kind in VALUES:
        return returned_value(task.kind, task.plan, task.index, task.amount)
    if task.kind == "nest":
        return [task.number, "Err", "SIGSEGV", task.number][: task.amount]
    if task.kind in ("noop", "sleep", "busy", "fork", "change_state"):
        return task.number
    return _MISSING  # it never returns
