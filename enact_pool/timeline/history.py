"""The history of runs, as far as events describe it: the source of all pictures and figures.

Times are in seconds since the first event.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from attrs import frozen

from enact_pool._events.span import Span
from enact_pool._model.ids import ExecutionId
from enact_pool._model.results import Outcome
from enact_pool.timeline.rows import Row

__all__ = ["ENDINGS", "Ending", "History", "Memory", "Run", "Slice", "WorkerMark", "bounded"]

# How a callable ended; it is unfinished if no event describes its end.
Ending = Outcome | Literal["unfinished"]
ENDINGS: tuple[Ending, ...] = ("ok", "failed", "crashed", "cancelled", "unfinished")


@frozen
class Run:
    """A run; it is not `finished` if no event describes its end."""

    run_id: ExecutionId
    pool: int
    start: float
    end: float
    finished: bool


@frozen
class Slice:
    """A callable that ran, in its row; `error` and `traceback` are empty if there are none."""

    row: Row
    start: float
    end: float
    ending: Ending
    span: Span
    execution_id: ExecutionId
    error: str = ""
    traceback: str = ""

    @property
    def duration(self) -> float:
        return self.end - self.start

    @property
    def waited(self) -> float:
        """The seconds from the time at which the callable was queued to its start."""
        return max(0.0, ((self.span.started_at or 0.0) - self.span.queued_at) / 1000)


@frozen
class WorkerMark:
    """A worker that ended, with the reason; or one that replaced another, without a reason."""

    row: Row
    time: float
    worker_pid: int
    reason: str = ""


@frozen
class Memory:
    """The resident memory of the worker of a row; 0 after the worker had ended."""

    row: Row
    time: float
    resident_bytes: int


@frozen
class History:
    """The history; all lists are in the order of time, and `slices` by row first.

    Attributes:
        began_ms: The time 0 of the history, in milliseconds since the epoch.
        queue: The number of callables that wait in each pool, at each change: pool, time, length.
        endings: The number of callables by ending, including those that never ran.
    """

    began_ms: float
    end: float
    runs: list[Run]
    rows: list[Row]
    slices: list[Slice]
    deaths: list[WorkerMark]
    respawns: list[WorkerMark]
    memory: list[Memory]
    queue: list[tuple[int, float, int]]
    endings: Counter[Ending]


def bounded(text: str, limit: int) -> str:
    """Return the start and the end of a text, of at most `limit` characters, encodable as UTF-8."""
    if len(text) > limit:
        head = limit // 3
        text = f"{text[:head]} ... {text[len(text) - (limit - head - 5) :]}"
    return text.encode("utf-8", "replace").decode()
