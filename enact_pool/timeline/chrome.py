"""The timeline in the Chrome trace format, which Perfetto, speedscope and vizviewer open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Any

from enact_pool._events.emitter import EventEmitter
from enact_pool._events.events import StreamEvent
from enact_pool._python.public_names import public
from enact_pool.timeline.evidence import history_of
from enact_pool.timeline.history import Fate, History, Slice, bounded
from enact_pool.timeline.rows import Row

__all__ = ["chrome_trace"]

# Names of the format's own colours. Viewers that know none go by the category.
_COLOURS: dict[Fate, str] = {
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
    """These events, which were told to a live emitter (one given is drained), as a trace.

    To be written as JSON. A pool is a process of it, a lane a thread, and each
    callable a complete slice, coloured by its outcome. A worker that ends, and one
    that takes its place, are instants; how many callables wait and how much memory
    workers have are counters; runs are asynchronous slices. Times are in microseconds
    since the first event. Raises `ValueError` if the events do not say where and when
    callables ran.
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
    # To the nanosecond, which is what readers keep.
    return round(seconds * 1e6, 3)


def _place(row: Row) -> dict[str, int]:
    # Readers take 0 for no thread of its own.
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
        # Within the process: viewers show what is global elsewhere.
        same["id2"] = {"local": run.run_id}
        args = {"run_id": run.run_id, "finished": run.finished}
        yield {"ph": "b", **same, "tid": 1, "ts": _microseconds(run.start), "args": args}
        yield {"ph": "e", **same, "tid": 1, "ts": _microseconds(run.end)}


def _callable(each: Slice) -> dict[str, Any]:
    args: dict[str, Any] = {
        "outcome": each.fate,
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
        "cat": each.fate,
        **_place(each.row),
        "ts": start,
        # Of the rounded times, or two slices could overlap, and one would be dropped.
        "dur": round(end - start, 3),
        "cname": _COLOURS[each.fate],
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
