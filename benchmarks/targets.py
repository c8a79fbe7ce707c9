"""The bars: how long enact_pool may take, as a share of a peer's time, and how long it should."""

from __future__ import annotations

from attrs import frozen

from benchmarks.record import OURS, Fact, Record, Row, ratio

__all__ = ["BARS", "BEST", "FACT_BARS", "Attempt", "Bar", "tried"]

# Stands for the fastest other pool that did the whole work.
BEST = "best peer"


@frozen
class Bar:
    """In what is called `name`, enact_pool takes at most `most` times as long as `peer`.

    `goal`, in the same unit, is what it should come to.
    """

    name: str
    peer: str
    most: float
    goal: float


BARS = (
    Bar("noops-1", "mp.Pool", 0.5, 0.3),
    Bar("noops-4", "mp.Pool", 0.6, 0.45),
    Bar("noops-10000", "joblib", 1.25, 0.8),
    Bar("closures-10000", "joblib", 0.85, 0.7),
    Bar("noops-200000", "joblib", 1.25, 0.8),
    Bar("spins-1ms", "mp.Pool", 1.03, 1.01),
    Bar("spins-10ms", "mp.Pool", 1.02, 1.01),
    Bar("skewed", BEST, 1.02, 1.0),
    Bar("array-input", "joblib", 1.0, 0.6),
    Bar("bytes-returned", BEST, 0.8, 0.4),
    Bar("arrays-returned", BEST, 0.8, 0.4),
    Bar("segfaults-10", "pebble", 1.1, 1.0),
)

# The same for facts, by the names of both.
FACT_BARS = (
    Bar("first-enact_pool", "first-loky", 1.1, 1.0),
    Bar("import-enact_pool", "import-loky", 1.2, 1.05),
)


@frozen
class Attempt:
    """A bar, and what was measured: the ratio to which peer; None if one of the two has no time."""

    bar: Bar
    description: str
    peer: str
    ratio: float | None


def tried(record: Record) -> list[Attempt]:
    """The bars of those rows and facts that are in the record."""
    rows = {row.name: row for row in record.rows}
    tries = [_on_row(bar, rows[bar.name]) for bar in BARS if bar.name in rows]
    facts = {fact.name: fact for fact in record.facts}
    return tries + [
        _on_facts(bar, facts[bar.name], facts[bar.peer])
        for bar in FACT_BARS
        if bar.name in facts and bar.peer in facts
    ]


def _on_row(bar: Bar, row: Row) -> Attempt:
    peer = bar.peer
    if peer == BEST and row.peers:
        peer = row.peers[0]
    return Attempt(bar, row.description, peer, row.ratio(OURS, peer))


def _on_facts(bar: Bar, ours: Fact, theirs: Fact) -> Attempt:
    library = theirs.name.rpartition("-")[2]
    return Attempt(bar, ours.description, library, ratio(ours.median_ms, theirs.median_ms))
