"""Checks of whole runs: are results, starts and events of a plan what the contract says?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from benchmarks.chaos.fault_log import FaultLog
from benchmarks.chaos.result_checks import Report, is_cancelled, problem_of, starts_of
from benchmarks.chaos.tasks import REPEATED
from enact_pool import Err, Ok, ParallelResult

__all__ = ["EmitterError", "check"]

_TASK_NUMBER = re.compile(r"raised by (\d+)$")
_INDEX = (1 << 32) - 1

# How many problems of one plan are reported.
_MOST_REPORTED = 3


class EmitterError(Exception):
    """Raised by the emitters of plans that say so."""


def check(report: Report, faults: FaultLog) -> None:
    """Report everything that is wrong with a run as violations."""
    problems = list(_problems(report, faults))
    for what in problems[:_MOST_REPORTED]:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        faults.report_violation(report.plan.where, f"{what}{more}\n    {report.plan!r}")


def _problems(report: Report, faults: FaultLog) -> Iterator[str]:
    plan, results = report.plan, report.results
    cancelled = faults.lasted("cancel", report.pool, report.span)
    if report.raised is not None and not isinstance(report.raised, EmitterError):
        yield f"it raised {type(report.raised).__name__}: {report.raised}"
        return
    whole = plan.stops_after is None
    if plan.emitter == "raising" and whole and len(results) >= 3 and report.raised is None:
        yield "the error of the emitter was not raised"
    # A lazy call that is cancelled has no results for tasks still in its iterable.
    may_be_short = plan.is_lazy and (cancelled or plan.fail_fast)
    if len(results) > len(plan.tasks) or (
        whole and not may_be_short and len(results) < len(plan.tasks)
    ):
        yield f"{len(results)} results of {len(plan.tasks)} tasks"
        return
    yield from _start_problems(report)
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
            # A cancelled result of a mapped function does not say which input it belongs to.
            if not (cancelled or plan.fail_fast) or result.output != Err("cancelled"):
                yield f"the result belongs to an unknown task: {_shown(result)}"
            continue
        task = plan.tasks[0 if index == REPEATED else index]
        if what := problem_of(task, result, report, faults):
            yield f"task {task.name}: {what}: {_shown(result)}; started {starts_of(report, index)}"
    if plan.fail_fast and not cancelled and whole and any(map(is_cancelled, results)):
        others = [result for result in results if not is_cancelled(result)]
        if all(result.output.is_ok for result in others):
            yield "the run was cancelled, and no task had failed"
    if len({result.execution_id for result in results}) < len(results):
        yield "two results have the same id"
    yield from _event_problems(report)
    yield from _worker_problems(report)


def _start_problems(report: Report) -> Iterator[str]:
    plan = report.plan
    for index, workers in report.starts.items():
        most = len(plan.tasks) if index == REPEATED else 1
        if len(workers) > most:
            yield f"task {index} was started {len(workers)} times, by {workers}"
    if plan.sort == "repeated":
        codes = Counter(result.error.code if result.error else "" for result in report.results)
        done = sum(result.output.is_ok for result in report.results)
        # A task that died may have been killed just before it logged its start.
        most = len(plan.tasks) - codes["start_failed"]
        if not done <= starts_of(report, REPEATED) <= most:
            yield f"{starts_of(report, REPEATED)} have started, {done} have returned: {codes}"


def _index_of(result: ParallelResult[Any]) -> int | None:
    """Return the index of the task that this is a result of; None if the result does not say."""
    if result.error is not None:
        return int(result.error.details["index"])
    match result.output:
        case Err(error):
            if found := _TASK_NUMBER.search(error):
                return int(found[1]) & _INDEX
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


def _shown(result: ParallelResult[Any]) -> str:
    text = repr(result)
    return text if len(text) < 600 else f"{text[:600]}..."


def _event_problems(report: Report) -> Iterator[str]:
    events, results = report.events, report.results
    if events is None:
        return
    if report.plan.stops_after is None and len(events) != len(results):
        yield f"{len(events)} events of {len(results)} results"
        return
    for at, (result, event) in enumerate(zip(results, events, strict=False)):
        if event.execution_id != result.execution_id:
            yield f"event {at} belongs to another result: {event!r}, {_shown(result)}"
            return
        fields = event.to_dict()
        if is_cancelled(result):
            is_right = event.type == "data-execution-cancelled"
        elif result.error is not None:
            is_right = fields.get("error") == result.error.to_dict()
        elif isinstance(result.output, Err):
            is_right = fields.get("output") == f"Error: {result.output.error}"
        else:
            is_right = event.type == "data-step-end"
        if not is_right:
            yield f"event {at} does not match its result: {event!r}, {_shown(result)}"


def _worker_problems(report: Report) -> Iterator[str]:
    """Find workers that have run more tasks than `max_tasks` allows."""
    most = report.plan.max_tasks
    if most is None:
        return
    done: Counter[int] = Counter()
    for workers in report.starts.values():
        done.update(workers)
    for worker, times in done.items():
        if times > most:
            yield f"worker {worker} has run {times} tasks, and may run {most}"
