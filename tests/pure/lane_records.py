"""Records of lanes that were sent batches."""

from __future__ import annotations

from enact_pool._core.lane_record import LaneRecord

__all__ = ["record"]


def record(*sizes: int, first: int = 1) -> LaneRecord:
    """A lane that was sent batches of these sizes: the tasks 100, 101, ..."""
    made = LaneRecord(False, first - 1, first - 1)
    for size in sizes:
        begin = made.dispatched + 1
        made.dispatched += size
        made.batches.append((begin, made.dispatched))
        made.serials.extend(range(begin, begin + size))
    made.tasks.extend(100 + serial - first for serial in made.serials)
    return made
