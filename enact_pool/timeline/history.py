"""What is known to have happened: the one source of all pictures and figures.

Times are in seconds since the first thing that is known to have happened.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from attrs import frozen

from enact_pool._events.span import Span
from enact_pool._model.ids import ExecutionId
from enact_pool._model.results import Outcome
from enact_pool.timeline.rows import Row

__all__ = ["FATES", "Fate", "History", "Memory", "Run", "Slice", "WorkerMark", "bounded"]

# What became of a callable; it is unfinished if nothing tells of its end.
Fate = Outcome | Literal["unfinished"]
FATES: tuple[Fate, ...] = ("ok", "failed", "crashed", "cancelled", "unfinished")


@frozen
class Run:
    """A run; it is not `finished` if nothing tells of its end."""

    run_id: ExecutionId
    pool: int
    start: float
    end: float
    finished: bool


@frozen
class Slice:
    """A callable that ran, in its row.

    `error` is what went wrong, and `traceback` where, if it is known; else they are empty.
    """

    row: Row
    start: float
    end: float
    fate: Fate
    span: Span
    execution_id: ExecutionId
    error: str = ""
    traceback: str = ""

    @property
    def duration(self) -> float:
        return self.end - self.start

    @property
    def waited(self) -> float:
        """The seconds between that it was known to the run and its start."""
        return max(0.0, ((self.span.started_at or 0.0) - self.span.queued_at) / 1000)


@frozen
class WorkerMark:
    """A worker that has ended, and why; or that has begun in the place of one, with no reason."""

    row: Row
    time: float
    worker_pid: int
    reason: str = ""


@frozen
class Memory:
    """What the worker of a row had resident; 0 when it had ended."""

    row: Row
    time: float
    resident_bytes: int


@frozen
class History:
    """All that is known, each in the order of time, and the slices by their rows first.

    `began_ms` is what the times count from, in milliseconds since the epoch. `fates`
    count the callables that are told of, those that never ran too. `queue` is how many
    callables wait in each pool, at each change: pool, time, length.
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
    fates: Counter[Fate]


def bounded(text: str, limit: int) -> str:
    """A text that can be encoded, of at most so many characters: its start and its end."""
    if len(text) > limit:
        head = limit // 3
        text = f"{text[:head]} ... {text[len(text) - (limit - head - 5) :]}"
    return text.encode("utf-8", "replace").decode()
