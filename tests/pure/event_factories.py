"""Made-up events, as a live emitter would receive them."""

from __future__ import annotations

import random
from collections.abc import Iterator

from enact_pool import (
    ExecutionCancelled,
    ExecutionEnd,
    ExecutionError,
    ExecutionFailed,
    ExecutionId,
    ExecutionStart,
    Span,
    StepEnd,
    StepId,
    StepStart,
    StreamEvent,
    WorkerEnd,
    WorkerMemory,
    WorkerStart,
)

BEGAN = 1_700_000_000_000.0


def callable_events(
    span: Span, text: str = "", *, step_id: StepId | None = None
) -> Iterator[StreamEvent]:
    """Yield the start of a callable, if it has one, and its outcome, if that is known."""
    id, step_id = ExecutionId.new(), step_id or StepId.new()
    emitted = int(span.finished_at or span.started_at or span.queued_at)
    if span.started_at is not None:
        yield StepStart(id, step_id, int(span.started_at), span=span)
    if span.outcome in ("ok", "failed"):
        took = (span.finished_at or 0.0) - (span.started_at or 0.0)
        yield StepEnd(id, step_id, text, took, emitted, span=span)
    elif span.outcome == "crashed":
        error = ExecutionError.kernel_internal(text, details={"stack": f"stack of {span.name}"})
        yield ExecutionFailed(ExecutionId.new(), error, emitted, span=span)
    elif span.outcome == "cancelled":
        yield ExecutionCancelled(id, text, emitted, span=span)


def run_events(
    callables: int,
    lanes: int,
    *,
    seed: int = 1,
    mean_ms: float = 10.0,
    began: float = BEGAN,
    first_pid: int = 100,
    run_id: ExecutionId | None = None,
) -> list[StreamEvent]:
    """Return the events of a run in which callables fail, and crash and replace their workers."""
    chance = random.Random(seed)
    run_id = run_id or ExecutionId.new()
    events: list[StreamEvent] = [ExecutionStart(run_id, callables, lanes, int(began))]
    pids = list(range(first_pid, first_pid + lanes))
    events += [WorkerStart(run_id, lane, pid, int(began) + 40) for lane, pid in enumerate(pids)]
    free_at = [began + 50.0] * lanes
    next_pid, weighed_at = first_pid + lanes, began
    outcomes: list[str] = []
    for index in range(callables):
        lane = min(range(lanes), key=free_at.__getitem__)
        start = free_at[lane]
        end = start + chance.expovariate(1 / mean_ms)
        (outcome,) = chance.choices(["ok", "failed", "crashed"], [97, 2.5, 0.5])
        outcomes.append(outcome)
        traceback = "Traceback ...\n  File ...\n" if outcome == "failed" else ""
        span = Span(
            run_id, index, f"work_{index % 7}", lane, pids[lane], began, start, end,
            outcome, traceback,  # type: ignore[arg-type]
        )  # fmt: skip
        events += callable_events(span, "None" if outcome == "ok" else f"{outcome} on purpose")
        free_at[lane] = end + 0.05
        if outcome == "crashed":
            events.append(WorkerEnd(run_id, lane, pids[lane], "was killed by SIGSEGV", int(end)))
            pids[lane], next_pid = next_pid, next_pid + 1
            free_at[lane] = end + 60
            events.append(WorkerStart(run_id, lane, pids[lane], int(end) + 55))
        if start - weighed_at > 100:
            weighed_at = start
            events += [
                WorkerMemory(run_id, at, pid, chance.randrange(20, 60) * 1_000_000, int(start))
                for at, pid in enumerate(pids)
            ]
    over = max(free_at)
    ok, failed, crashed = map(outcomes.count, ("ok", "failed", "crashed"))
    events.append(ExecutionEnd(run_id, ok, failed, crashed, 0, over - began, int(over) + 1))
    return events
