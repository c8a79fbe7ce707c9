"""Compare two records that `python -m benchmarks --json` has written: did anything get worse?

    python -m benchmarks.compare OLD.json NEW.json

For each row, the ratio of enact_pool's median to that of a reference peer, from
the same run, is compared between the two: what slows the whole machine down
slows both alike. The reference is the peer that the row's target names; where
there is none, or it was not timed in both records, it is the peer that was the
fastest in the old record and was timed in both; if no peer was timed in both,
enact_pool's own time is compared.

The noise of a row is the larger of the two records' spreads, and at least
5 percent. A record's spread is the range of its ratios of single repeats, by
their median: contenders take turns, so each repeat gives a ratio of its own. A
row got worse if its ratio grew by a larger share than that, or if enact_pool
has no time in it any more. One repeat has no spread, and two have little.

Exits with 1 if a row got worse, with 2 if the records cannot be compared.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from attrs import frozen

from benchmarks.record import OURS, Record, Row
from benchmarks.table import NOTHING, Table, figures
from benchmarks.targets import TARGETS

__all__ = ["LEAST_NOISE", "Change", "Comparison", "Incomparable", "compared"]

# The share by which two runs of the same code may differ because the machine has changed,
# however well the repeats of each run agree.
LEAST_NOISE = 0.05

_ENOUGH_REPEATS = 3


class Incomparable(Exception):
    """Two records cannot be compared; the message says why."""


@frozen
class Change:
    """The change of a row: its ratio to the reference `peer` in the old and in the new record.

    Without a peer, both are enact_pool's own times in milliseconds. `after` is
    None if the new record has no time. `noise` is a share of `before`.
    """

    row: str
    peer: str | None
    before: float
    after: float | None
    noise: float

    @property
    def grown(self) -> float | None:
        """The share by which the ratio has grown; negative if it has shrunk."""
        return None if self.after is None else self.after / self.before - 1

    @property
    def verdict(self) -> str:
        """The verdict: "worse", "better" or "same"."""
        if self.grown is None or self.grown > self.noise:
            return "worse"
        return "better" if self.grown < -self.noise else "same"


@frozen
class Comparison:
    """The changes of all rows that can be compared, and why others cannot, by row."""

    changes: list[Change]
    left_out: dict[str, str]

    @property
    def worse(self) -> list[str]:
        """The rows that got worse by more than the noise."""
        return [change.row for change in self.changes if change.verdict == "worse"]


def compared(old: Record, new: Record) -> Comparison:
    """Compare two records, row by row. Raises `Incomparable` if they have no common row."""
    if old.quick != new.quick:
        quick, full = ("old", "new") if old.quick else ("new", "old")
        raise Incomparable(f"the {quick} record is of a quick run, the {full} one of a full run")
    if old.workers != new.workers:
        raise Incomparable(f"{old.workers} workers in the old record, {new.workers} in the new one")
    new_rows = {row.name: row for row in new.rows}
    changes: list[Change] = []
    left_out = dict.fromkeys(new_rows, "only in the new record")
    for before in old.rows:
        after = new_rows.get(before.name)
        left_out.pop(before.name, None)
        if after is None:
            left_out[before.name] = "only in the old record"
        elif (before.description, before.workers) != (after.description, after.workers):
            left_out[before.name] = "not the same work in both records"
        elif not _times(before, OURS):
            left_out[before.name] = "not timed in the old record"
        else:
            changes.append(_change(before, after))
    if not changes:
        raise Incomparable("the records have no row in common")
    return Comparison(changes, left_out)


def _change(before: Row, after: Row) -> Change:
    peer = _reference(before, after)
    old = _ratios(before, peer)
    # The same ratios as in the report: of medians, not the median of ratios.
    old_figure = _figure(before, peer)
    if not _times(after, OURS):
        return Change(before.name, peer, old_figure, None, max(LEAST_NOISE, _spread(old)))
    noise = max(LEAST_NOISE, _spread(old), _spread(_ratios(after, peer)))
    return Change(before.name, peer, old_figure, _figure(after, peer), noise)


def _reference(before: Row, after: Row) -> str | None:
    """Return the reference peer; None if no peer was timed in both."""
    timed = [peer for peer in before.peers if peer in after.peers]
    named = [
        target.peer for target in TARGETS if target.name == before.name and target.peer in timed
    ]
    return next(iter(named + timed), None)


def _times(row: Row, contender: str) -> list[float]:
    return row.cells[contender].times_ms if contender in row.cells else []


def _figure(row: Row, peer: str | None) -> float:
    ours = statistics.median(_times(row, OURS))
    return ours if peer is None else ours / statistics.median(_times(row, peer))


def _ratios(row: Row, peer: str | None) -> list[float]:
    """Return the ratio of each repeat."""
    ours = _times(row, OURS)
    if peer is None:
        return ours
    return [one / other for one, other in zip(ours, _times(row, peer), strict=False)]


def _spread(ratios: list[float]) -> float:
    return (max(ratios) - min(ratios)) / statistics.median(ratios)


def _table(comparison: Comparison) -> Table:
    lines = []
    for change in comparison.changes:
        measure = "own time, ms" if change.peer is None else f"by {change.peer}"
        after = NOTHING if change.after is None else figures(change.after)
        grown = NOTHING if change.grown is None else f"{change.grown:+.1%}"
        noise = f"{change.noise:.1%}"
        lines.append(
            [change.row, measure, figures(change.before), after, grown, noise, change.verdict]
        )
    headings = ["row", "enact_pool", "old", "new", "change", "noise", "verdict"]
    return Table("enact_pool's time by that of a peer", headings, lines)


def _remarks(old: Record, new: Record, comparison: Comparison) -> list[str]:
    """Return remarks on the comparison, and its result."""
    reasons: dict[str, list[str]] = {}
    for row, why in comparison.left_out.items():
        reasons.setdefault(why, []).append(row)
    remarks = [f"Not compared, {why}: {', '.join(rows)}." for why, rows in reasons.items()]
    if min(old.repeats, new.repeats) < _ENOUGH_REPEATS:
        remarks.append(f"Fewer than {_ENOUGH_REPEATS} repeats say little about the noise.")
    for what in sorted(old.machine.keys() & new.machine.keys()):
        if old.machine[what] != new.machine[what]:
            remarks.append(f"Different {what}: {old.machine[what]}, then {new.machine[what]}.")
    worse = ", ".join(comparison.worse)
    return [*remarks, f"Worse: {worse}." if worse else "No row got worse."]


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("old", type=Path, metavar="OLD.json")
    parser.add_argument("new", type=Path, metavar="NEW.json")
    options = parser.parse_args()
    try:
        old, new = Record.read(options.old), Record.read(options.new)
        comparison = compared(old, new)
    except (Incomparable, OSError, ValueError) as error:
        parser.error(f"cannot be compared: {error}")
    print(_table(comparison).as_text())
    print("", *_remarks(old, new, comparison), sep="\n")
    return 1 if comparison.worse else 0


if __name__ == "__main__":
    sys.exit(main())
