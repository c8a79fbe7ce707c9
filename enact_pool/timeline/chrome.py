"""The timeline in the Chrome trace format, which Perfetto, speedscope and vizviewer open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Any

from enact_pool._events.emitter import EventEmitter
from enact_pool._events.events import StreamEvent
from enact_pool._python.public_names import public
from enact_pool.timeline.evidence import history_of
from enact_pool.timeline.history import Ending, History, Slice, bounded
from enact_pool.timeline.rows import Row

__all__ = ["chrome_trace"]

# Names of the format's own colours. Viewers that do not support them use the category.
_COLOURS: dict[Ending, str] = {
    "ok": "good",
    "failed": "bad",
    "crashed": "terrible",
    "cancelled": "grey",
    "unfinished": "yellow",
}
_NAME_LIMIT = 300
_TEXT_LIMIT = 20_000


@public
def chrome_trace(events: Iterable[StreamEvent] | EventEmitter) -> dict[str, Any]:
    """Return the timeline of live events as a trace, to be written as JSON.

    In the trace, a pool is a process, a lane is a thread, and each callable is a complete slice,
    coloured by its outcome. Exits and replacements of workers are instants, the numbers of waiting
    callables and the memory of workers are counters, and runs are asynchronous slices. Times are in
    microseconds since the first event.

    Args:
        events: Events of a live emitter, in any order; an `EventEmitter` is drained.

    Raises:
        ValueError: The events are not those of a live emitter.
        TypeError: Something in `events` is no event.
    """
    history = history_of(events)
    began = datetime.fromtimestamp(history.began_ms / 1000, timezone.utc)
    return {
        "traceEvents": [
            *_metadata(history.rows),
            *_runs(history),
            *map(_callable, history.slices),
            *_workers(history),
            *_counters(history),
        ],
        "displayTimeUnit": "ms",
        "otherData": {"producer": "enact_pool", "began": began.isoformat()},
    }


def _microseconds(seconds: float) -> float:
    # To the nanosecond, the precision of readers.
    return round(seconds * 1e6, 3)


def _place(row: Row) -> dict[str, int]:
    # Readers do not treat 0 as a separate thread.
    return {"pid": row.pool + 1, "tid": row.lane + 1}


def _metadata(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    pools = set()
    for row in rows:
        place = _place(row)
        if row.pool not in pools:
            pools.add(row.pool)
            name = "enact_pool" if row.pool == 0 else f"enact_pool, pool {row.pool + 1}"
            yield {"ph": "M", "name": "process_name", **place, "args": {"name": name}}
        name = f"lane {row.lane}"
        yield {"ph": "M", "name": "thread_name", **place, "args": {"name": name}}
        order = {"sort_index": row.lane}
        yield {"ph": "M", "name": "thread_sort_index", **place, "args": order}


def _runs(history: History) -> Iterator[dict[str, Any]]:
    for number, run in enumerate(history.runs, 1):
        same: dict[str, Any] = {"cat": "run", "name": f"run {number}", "pid": run.pool + 1}
        # A local id: viewers do not show global ones within the process.
        same["id2"] = {"local": run.run_id}
        args = {"run_id": run.run_id, "finished": run.finished}
        yield {"ph": "b", **same, "tid": 1, "ts": _microseconds(run.start), "args": args}
        yield {"ph": "e", **same, "tid": 1, "ts": _microseconds(run.end)}


def _callable(each: Slice) -> dict[str, Any]:
    args: dict[str, Any] = {
        "outcome": each.ending,
        "index": each.span.index,
        "execution_id": each.execution_id,
        "run_id": each.span.run_id,
        "worker_pid": each.span.worker_pid,
        "queue_time_ms": round(each.waited * 1000, 6),
    }
    if each.error:
        args["error"] = bounded(each.error, _TEXT_LIMIT)
    if each.traceback:
        args["traceback"] = bounded(each.traceback, _TEXT_LIMIT)
    start, end = _microseconds(each.start), _microseconds(each.end)
    return {
        "ph": "X",
        "name": bounded(each.span.name, _NAME_LIMIT),
        "cat": each.ending,
        **_place(each.row),
        "ts": start,
        # From the rounded times: otherwise two slices could overlap, and readers would drop one.
        "dur": round(end - start, 3),
        "cname": _COLOURS[each.ending],
        "args": args,
    }


def _workers(history: History) -> Iterator[dict[str, Any]]:
    marks = [
        *(("worker ended", "terrible", mark) for mark in history.deaths),
        *(("new worker", "good", mark) for mark in history.respawns),
    ]
    for name, colour, mark in marks:
        args: dict[str, Any] = {"worker_pid": mark.worker_pid}
        if mark.reason:
            args["reason"] = bounded(mark.reason, _TEXT_LIMIT)
        place = _place(mark.row)
        same = {"ph": "i", "s": "t", "cat": "worker", "cname": colour, **place}
        yield {**same, "name": name, "ts": _microseconds(mark.time), "args": args}


def _counters(history: History) -> Iterator[dict[str, Any]]:
    for pool, time, length in history.queue:
        same = {"ph": "C", "name": "waiting", "pid": pool + 1, "tid": 1}
        yield {**same, "ts": _microseconds(time), "args": {"callables": length}}
    for each in history.memory:
        same = {"ph": "C", "name": f"memory, lane {each.row.lane}", **_place(each.row)}
        yield {**same, "ts": _microseconds(each.time), "args": {"bytes": each.resident_bytes}}
