"""The figures that matter of a timeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import frozen

from enact_pool._events.emitter import EventEmitter
from enact_pool._events.events import StreamEvent
from enact_pool._events.span import Span
from enact_pool._python.public_names import public
from enact_pool.timeline.evidence import history_of
from enact_pool.timeline.history import FATES, Fate, History, Slice
from enact_pool.timeline.rows import Row

__all__ = ["TimelineFigures", "figures_of", "timeline_figures"]


@public
@frozen
class TimelineFigures:
    """What was gained and what was lost; times are in seconds.

    `wall_seconds` is the time in which a run was going on, and `work_seconds` the sum
    of the callables' durations. `busy_shares` say for each lane in which share of the
    wall time a callable was running there. `longest` is the callable that took the
    longest, None if none ran. `idle_tail_seconds` is the time at the end of each run,
    added up, in which a lane that had worked for it found nothing more to do.
    `outcomes` count the callables by what became of them: `"ok"`, `"failed"`,
    `"crashed"`, `"cancelled"`, and `"unfinished"` of those whose end is not told.
    `respawns` counts the workers that took the place of one that had ended.
    """

    wall_seconds: float
    work_seconds: float
    busy_shares: Mapping[str, float]
    longest: Span | None
    longest_seconds: float
    idle_tail_seconds: float
    outcomes: Mapping[Fate, int]
    respawns: int

    @property
    def speedup(self) -> float:
        """How many times as long the callables would have taken one after the other."""
        return self.work_seconds / self.wall_seconds if self.wall_seconds else 0.0

    @property
    def crashes(self) -> int:
        """How many callables cost their worker."""
        return self.outcomes["crashed"]


@public
def timeline_figures(events: Iterable[StreamEvent] | EventEmitter) -> TimelineFigures:
    """The figures of these events, which were told to a live emitter (one given is drained).

    Raises `ValueError` if they do not say where and when callables ran.
    """
    return figures_of(history_of(events))


def figures_of(history: History) -> TimelineFigures:
    """The figures of a history."""
    wall = _covered((run.start, run.end) for run in history.runs)
    busy: dict[Row, float] = dict.fromkeys(history.rows, 0.0)
    for each in history.slices:
        busy[each.row] += each.duration
    longest = max(history.slices, key=lambda each: each.duration, default=None)
    return TimelineFigures(
        wall_seconds=wall,
        work_seconds=sum(busy.values()),
        busy_shares={
            row.label: min(1.0, seconds / wall) if wall else 0.0 for row, seconds in busy.items()
        },
        longest=None if longest is None else longest.span,
        longest_seconds=0.0 if longest is None else longest.duration,
        idle_tail_seconds=_idle_tail(history.slices),
        outcomes={fate: history.fates[fate] for fate in FATES},
        respawns=len(history.respawns),
    )


def _covered(intervals: Iterable[tuple[float, float]]) -> float:
    """How long at least one of these lasts."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _idle_tail(slices: Iterable[Slice]) -> float:
    """The time between the first end of a lane's last callable and the last, of each run."""
    last_ends: dict[str, dict[Row, float]] = {}
    for each in slices:
        ends = last_ends.setdefault(each.span.run_id, {})
        ends[each.row] = max(ends.get(each.row, each.end), each.end)
    return sum(max(ends.values()) - min(ends.values()) for ends in last_ends.values())
