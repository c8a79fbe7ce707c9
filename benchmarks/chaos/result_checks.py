"""Verdicts: whether what came of a plan is what the contract says, given what was disturbed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from attrs import define, field

from benchmarks.chaos.injected_faults import FaultLog, Span
from benchmarks.chaos.plans import Plan
from benchmarks.chaos.tasks import CRASHES, REPEATED, VALUES, Task, returned_value
from enact_pool import Err, Ok, ParallelResult, StreamEvent

__all__ = ["EmitterError", "Report", "problem_of_nested", "check"]

_TASK_NUMBER = re.compile(r"told by (\d+)$")
_INDEX = (1 << 32) - 1

# Of one plan no more violations are told of.
_MOST_REPORTED = 3

# How much later than its limit a callable may be found to have broken it, on a
# machine that is busy with all this.
_LATE_MS = 5_000.0

# How many workers must be killed before they do anything for it to be told that
# none can be started.
_STARTS = 3


class EmitterError(Exception):
    """What an emitter raises that is told to."""


@define
class Report:
    """What came of a plan, between `span.begin` and `span.end`.

    `starts` has the numbers of tasks, and which workers have noted their starts;
    `events` is None if nobody listened. `raised` is what the call raised, if it did.
    """

    plan: Plan
    span: Span
    # Which pool it was: what cancels are entered under.
    pool: int
    results: list[ParallelResult[Any]] = field(repr=False)
    events: list[StreamEvent] | None = field(repr=False)
    raised: BaseException | None
    starts: dict[int, list[int]] = field(repr=False)


def check(report: Report, faults: FaultLog) -> None:
    """Enter into the faults all that is wrong with a report."""
    faults = list(_faults(report, faults))
    for what in faults[:_MOST_REPORTED]:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        faults.report_violation(report.plan.where, f"{what}{more}\n    {report.plan!r}")


def _faults(report: Report, faults: FaultLog) -> Iterator[str]:
    plan, results = report.plan, report.results
    cancelled = faults.lasted("cancel", report.pool, report.span)
    if report.raised is not None and not isinstance(report.raised, EmitterError):
        yield f"it raised {type(report.raised).__name__}: {report.raised}"
        return
    whole = plan.stops_after is None
    if plan.emitter == "raising" and whole and len(results) >= 3 and report.raised is None:
        yield "what the emitter has raised was not raised"
    # What a lazy one has not taken from its iterable when it is cancelled has no result.
    may_lack = plan.is_lazy and (cancelled or plan.fail_fast)
    if len(results) > len(plan.tasks) or (
        whole and not may_lack and len(results) < len(plan.tasks)
    ):
        yield f"{len(results)} results of {len(plan.tasks)} tasks"
        return
    yield from _double_starts(report)
    if plan.sort == "repeated":
        indexes: list[int | None] = [REPEATED] * len(results)
    elif plan.ordered:
        indexes = list(range(len(results)))
    else:
        indexes = list(map(_index_of, results))
        twice = [
            index for index, times in Counter(indexes).items() if times > 1 and index is not None
        ]
        if twice:
            yield f"tasks {twice} have several results"
    for index, result in zip(indexes, results, strict=True):
        if index is None:
            # Of a function that is mapped, nothing tells which of its inputs this was.
            if not (cancelled or plan.fail_fast) or result.output != Err("cancelled"):
                yield f"nothing tells of which task this is: {_shown(result)}"
            continue
        task = plan.tasks[0 if index == REPEATED else index]
        if what := _problem(task, result, report, faults):
            yield f"task {task.name}: {what}: {_shown(result)}; started {_times(report, index)}"
    if plan.fail_fast and not cancelled and whole and any(map(_is_cancelled, results)):
        others = [result for result in results if not _is_cancelled(result)]
        if all(result.output.is_ok for result in others):
            yield "it was cancelled, and nothing had failed"
    if len({result.execution_id for result in results}) < len(results):
        yield "two results have one id"
    yield from _event_problems(report)
    yield from _worker_problems(report)


def _times(report: Report, index: int) -> int:
    return len(report.starts.get(index, ()))


def _double_starts(report: Report) -> Iterator[str]:
    plan = report.plan
    for index, workers in report.starts.items():
        most = len(plan.tasks) if index == REPEATED else 1
        if len(workers) > most:
            yield f"task {index} was started {len(workers)} times, by {workers}"
    if plan.sort == "repeated":
        codes = Counter(result.error.code if result.error else "" for result in report.results)
        done = sum(result.output.is_ok for result in report.results)
        # What died may have been killed just before its note.
        most = len(plan.tasks) - codes["start_failed"]
        if not done <= _times(report, REPEATED) <= most:
            yield f"{_times(report, REPEATED)} have started, {done} have returned: {codes}"


def _index_of(result: ParallelResult[Any]) -> int | None:
    """Which task of its plan this is a result of, as far as the result itself tells."""
    if result.error is not None:
        return int(result.error.details["index"])
    match result.output:
        case Err(error):
            if told := _TASK_NUMBER.search(error):
                return int(told[1]) & _INDEX
        case Ok(int(number)) | Ok([int(number), *_]):
            return number & _INDEX
    name, _, index = result.agent_name.rpartition("-")
    if name:
        return int(index)
    match result.output:
        # Values of tasks that are inputs: see `returned_value`.
        case Ok([str(text), *_]):
            return int(text.split()[1])
        case Ok(value) if len(memory := bytes(getattr(value, "memory", value))) >= 8:
            return int.from_bytes(memory[4:8], "little")
    return None


def problem_of_nested(result: ParallelResult[Any], span: Span, pool: object, faults: FaultLog) -> str:
    """What is wrong with a result of `abs`, for -3, that notes no start; if anything."""
    if result.error is None:
        if _is_cancelled(result):
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
    is_due = faults.lasted("squeeze", None, span) or faults.foiled_starts_in(span) >= _STARTS
    return "" if is_due else "nothing keeps workers from being started"


def _is_cancelled(result: ParallelResult[Any]) -> bool:
    return result.error is None and result.output == Err("cancelled")


def _shown(result: ParallelResult[Any]) -> str:
    text = repr(result)
    return text if len(text) < 600 else f"{text[:600]}..."


def _problem(task: Task, result: ParallelResult[Any], report: Report, faults: FaultLog) -> str:
    """What is wrong with a result, if anything."""
    plan, error = report.plan, result.error
    starts = report.starts.get(task.index, [])
    died = error is not None and error.category == "kernel_internal"
    name = _name(task, plan)
    if result.agent_name != ("unknown" if died else name):
        return "another name"
    if error is not None:
        if result.output != Err(error.message):
            return "the output does not tell the error"
        if error.details["name"] != name:
            return "another name in the details"
        if task.index not in (REPEATED, error.details["index"]):
            return "another index in the details"
    if _is_cancelled(result):
        if plan.fail_fast or faults.lasted("cancel", report.pool, report.span):
            return ""
        return "nobody has cancelled it"
    if error is None:
        return _problem_of_output(task, result.output, report, faults)
    faults.count(str(error.code))
    if error.category == "timeout":
        return _problem_of_timeout(task, result, report, faults)
    if error.category == "quota_exceeded":
        is_due = plan.max_memory is not None and task.kind == "hoard" and len(starts) == 1
        return "" if is_due else "it took little memory"
    if error.code == "start_failed":
        if starts and task.index != REPEATED:
            return "it has started"
        return _problem_of_failed_start(report.span, faults)
    if CRASHES.get(task.kind) == error.code and len(starts) == 1:
        return ""
    if error.code == "SIGKILL":
        # One that was killed just before it was started has noted nothing.
        known = starts[0] if starts and task.index != REPEATED else None
        return faults.blame(known, report.span)
    return "another death"


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
    whom = report.starts.get(task.index, [None])[0]
    return "" if faults.lasted("stop", whom, report.span) else "it is quick"


def _problem_of_output(task: Task, output: Ok[Any] | Err, report: Report, faults: FaultLog) -> str:
    """What is wrong with a result that has nothing but an output."""
    starts = _times(report, task.index)
    item = "input" if report.plan.is_map else "callable"
    told = task.mark
    if isinstance(output, Ok):
        if starts != 1 and task.index != REPEATED:
            return "it has not started"
        return "" if output.value == _expected_value(task) else "another value"
    text = output.error
    if task.kind in ("raise", "exit"):
        is_due = text == told and starts == 1
    elif task.kind == "unpicklable":
        is_due = text == f"the {item} cannot be pickled: TypeError: {told}" and not starts
    elif task.kind == "unloadable":
        is_due = text.endswith(told) and f"the {item} cannot be rebuilt" in text and not starts
    elif task.kind == "return_unpicklable":
        is_due = text.endswith(told) and "the return value, of type" in text and starts == 1
    else:
        # A large value comes with a descriptor.
        is_due = (
            task.kind in VALUES
            and text.startswith("the return value cannot be received: ")
            and "Too many open files" in text
            and starts == 1
            and faults.lasted("squeeze", None, report.span)
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


def _event_problems(report: Report) -> Iterator[str]:
    events, results = report.events, report.results
    if events is None:
        return
    if report.plan.stops_after is None and len(events) != len(results):
        yield f"{len(events)} events of {len(results)} results"
        return
    for at, (result, event) in enumerate(zip(results, events, strict=False)):
        if event.execution_id != result.execution_id:
            yield f"event {at} is another's: {event!r}, {_shown(result)}"
            return
        told = event.to_dict()
        if _is_cancelled(result):
            is_right = event.type == "data-execution-cancelled"
        elif result.error is not None:
            is_right = told.get("error") == result.error.to_dict()
        elif isinstance(result.output, Err):
            is_right = told.get("output") == f"Error: {result.output.error}"
        else:
            is_right = event.type == "data-step-end"
        if not is_right:
            yield f"event {at} tells something else: {event!r}, {_shown(result)}"


def _worker_problems(report: Report) -> Iterator[str]:
    """Whether a worker has run more callables than it may."""
    most = report.plan.max_tasks
    if most is None:
        return
    done: Counter[int] = Counter()
    for workers in report.starts.values():
        done.update(workers)
    for worker, times in done.items():
        if times > most:
            yield f"worker {worker} has run {times} callables, and may run {most}"
