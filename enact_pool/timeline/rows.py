"""The rows of a timeline: one for each lane of each pool that worked at one time.

Events contain the number of a lane in its pool, but do not identify the pool. However, a worker
belongs to one pool: runs with a common worker used the same pool. Other runs may have used another
pool, or the same pool with new workers. So runs without a common worker share rows if one was over
before the other began, and have separate rows otherwise: a row never shows two lanes at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import field, frozen

from enact_pool._model.ids import ExecutionId

__all__ = ["Row", "Stay", "pools_of"]


@frozen(order=True)
class Row:
    """A lane of a pool; both are counted from 0."""

    pool: int
    lane: int

    @property
    def label(self) -> str:
        """The title of the row; only pools after the first are numbered."""
        return f"lane {self.lane}" if self.pool == 0 else f"pool {self.pool + 1}, lane {self.lane}"


@frozen
class Stay:
    """A worker that was in a lane during a run."""

    run_id: ExecutionId
    lane: int
    worker_pid: int


@frozen
class _Group:
    """Runs that certainly used the same pool."""

    run_ids: list[ExecutionId] = field(factory=list)

    def extent(self, times: Mapping[ExecutionId, tuple[float, float]]) -> tuple[float, float]:
        starts, ends = zip(*(times[run_id] for run_id in self.run_ids), strict=True)
        return min(starts), max(ends)


def pools_of(
    times: Mapping[ExecutionId, tuple[float, float]], stays: Iterable[Stay]
) -> dict[ExecutionId, int]:
    """Return the number of each run's pool.

    Args:
        times: The start and the end of each run, in milliseconds.
        stays: The workers of the runs.
    """
    extents = [(group.extent(times), group) for group in _groups(times, stays)]
    pools: dict[ExecutionId, int] = {}
    # The end of the last group in each pool.
    ends: list[float] = []
    for (start, end), group in sorted(extents, key=lambda each: each[0]):
        # Some times are truncated to whole milliseconds, and so a little too early.
        free = [pool for pool, last_end in enumerate(ends) if int(last_end) <= start]
        pool = free[0] if free else len(ends)
        ends[pool : pool + 1] = [end]
        pools.update(dict.fromkeys(group.run_ids, pool))
    return pools


def _groups(run_ids: Iterable[ExecutionId], stays: Iterable[Stay]) -> list[_Group]:
    groups = {run_id: _Group([run_id]) for run_id in run_ids}
    first_with: dict[tuple[int, int], ExecutionId] = {}
    for stay in set(stays):
        other_id = first_with.setdefault((stay.lane, stay.worker_pid), stay.run_id)
        one, other = groups[stay.run_id], groups[other_id]
        if one is not other:
            one.run_ids.extend(other.run_ids)
            groups.update(dict.fromkeys(other.run_ids, one))
    return list({id(group): group for group in groups.values()}.values())
