"""The bars: how long enact_pool may take for a row, as a share of a peer's time."""

from __future__ import annotations

from attrs import frozen

from benchmarks.record import Row

__all__ = ["BARS", "Bar", "tried"]


@frozen
class Bar:
    """In row `row`, enact_pool takes at most `most` times as long as `peer`."""

    row: str
    peer: str
    most: float


BARS = (
    Bar("noops-1", "mp.Pool", 0.7),
    Bar("noops-4", "mp.Pool", 0.8),
    Bar("noops-10000", "joblib", 2.5),
    Bar("closures-10000", "joblib", 1.1),
    Bar("spins-1ms", "mp.Pool", 1.03),
    Bar("segfaults-10", "pebble", 1.4),
)


def tried(rows: list[Row]) -> list[tuple[Bar, Row, float | None]]:
    """The bars of those rows that were measured, with the ratio that was."""
    by_name = {row.name: row for row in rows}
    return [
        (bar, by_name[bar.row], by_name[bar.row].ratio("enact_pool", bar.peer))
        for bar in BARS
        if bar.row in by_name
    ]
