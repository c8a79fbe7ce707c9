"""The targets: how long enact_pool may take, as a multiple of a peer's time."""

from __future__ import annotations

from attrs import frozen

from benchmarks.record import OURS, Fact, Record, Row, ratio

__all__ = ["TARGETS", "BEST", "FACT_TARGETS", "TargetCheck", "Target", "checked_targets"]

# The fastest other pool that ran the whole workload.
BEST = "best peer"


@frozen
class Target:
    """In the row `name`, enact_pool takes at most `most` times as long as `peer`.

    `goal` is the multiple that it should reach.
    """

    name: str
    peer: str
    most: float
    goal: float


TARGETS = (
    Target("noops-1", "mp.Pool", 0.5, 0.3),
    Target("noops-4", "mp.Pool", 0.6, 0.45),
    Target("noops-10000", "joblib", 1.25, 0.8),
    Target("closures-10000", "joblib", 0.85, 0.7),
    Target("noops-200000", "joblib", 1.25, 0.8),
    Target("spins-1ms", "mp.Pool", 1.03, 1.01),
    Target("spins-10ms", "mp.Pool", 1.02, 1.01),
    Target("skewed", BEST, 1.02, 1.0),
    Target("array-input", "joblib", 1.0, 0.6),
    Target("bytes-returned", BEST, 0.8, 0.4),
    Target("arrays-returned", BEST, 0.8, 0.4),
    Target("segfaults-10", "pebble", 1.1, 1.0),
)

# The same for start-up times, by the names of both.
FACT_TARGETS = (
    Target("first-enact_pool", "first-loky", 1.1, 1.0),
    Target("import-enact_pool", "import-loky", 1.2, 1.05),
)


@frozen
class TargetCheck:
    """A target and the measured ratio to the peer; None if one of the two has no time."""

    target: Target
    description: str
    peer: str
    ratio: float | None


def checked_targets(record: Record) -> list[TargetCheck]:
    """Check the targets of all rows and start-up times in the record."""
    rows = {row.name: row for row in record.rows}
    checks = [_on_row(target, rows[target.name]) for target in TARGETS if target.name in rows]
    facts = {fact.name: fact for fact in record.facts}
    return checks + [
        _on_facts(target, facts[target.name], facts[target.peer])
        for target in FACT_TARGETS
        if target.name in facts and target.peer in facts
    ]


def _on_row(target: Target, row: Row) -> TargetCheck:
    peer = target.peer
    if peer == BEST and row.peers:
        peer = row.peers[0]
    return TargetCheck(target, row.description, peer, row.ratio(OURS, peer))


def _on_facts(target: Target, ours: Fact, theirs: Fact) -> TargetCheck:
    library = theirs.name.rpartition("-")[2]
    return TargetCheck(target, ours.description, library, ratio(ours.median_ms, theirs.median_ms))
