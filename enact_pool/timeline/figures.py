"""Figures of a timeline: speed-up, idle time, outcomes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import frozen

from enact_pool._events.emitter import EventEmitter
from enact_pool._events.events import StreamEvent
from enact_pool._events.span import Span
from enact_pool._python.public_names import public
from enact_pool.timeline.evidence import history_of
from enact_pool.timeline.history import ENDINGS, Ending, History, Slice
from enact_pool.timeline.rows import Row

__all__ = ["TimelineFigures", "figures_of", "timeline_figures"]


@public
@frozen
class TimelineFigures:
    """Figures of a timeline; times are in seconds.

    Attributes:
        wall_seconds: The time in which at least one run was going on.
        work_seconds: The sum of the callables' durations.
        busy_shares: For each lane, the share of the wall time in which it ran a callable.
        longest: The callable that took the longest; None if none ran.
        longest_seconds: The duration of that callable.
        idle_tail_seconds: The time at the end of each run in which a lane that had worked for the
            run was idle, summed over the runs.
        outcomes: The number of callables by outcome: "ok", "failed", "crashed", "cancelled", and
            "unfinished" if the events do not contain the callable's end.
        respawns: The number of workers that replaced one that had ended.
    """

    wall_seconds: float
    work_seconds: float
    busy_shares: Mapping[str, float]
    longest: Span | None
    longest_seconds: float
    idle_tail_seconds: float
    outcomes: Mapping[Ending, int]
    respawns: int

    @property
    def speedup(self) -> float:
        """How many times longer the callables would have taken one after the other."""
        return self.work_seconds / self.wall_seconds if self.wall_seconds else 0.0

    @property
    def crashes(self) -> int:
        """The number of callables that crashed."""
        return self.outcomes["crashed"]


@public
def timeline_figures(events: Iterable[StreamEvent] | EventEmitter) -> TimelineFigures:
    """Return the figures of live events.

    Args:
        events: Events of a live emitter, in any order; an `EventEmitter` is drained.

    Raises:
        ValueError: The events are not those of a live emitter.
        TypeError: Something in `events` is no event.
    """
    return figures_of(history_of(events))


def figures_of(history: History) -> TimelineFigures:
    """Return the figures of a history."""
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
        outcomes={ending: history.endings[ending] for ending in ENDINGS},
        respawns=len(history.respawns),
    )


def _covered(intervals: Iterable[tuple[float, float]]) -> float:
    """Return the length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _idle_tail(slices: Iterable[Slice]) -> float:
    """Return the sum over runs of the time from the first lane's last end to the last lane's."""
    last_ends: dict[str, dict[Row, float]] = {}
    for each in slices:
        ends = last_ends.setdefault(each.span.run_id, {})
        ends[each.row] = max(ends.get(each.row, each.end), each.end)
    return sum(max(ends.values()) - min(ends.values()) for ends in last_ends.values())
