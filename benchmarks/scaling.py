"""`python -m benchmarks.scaling`: the cost per callable by the number of callables and of lanes.

For up to a million no-ops, the wall time per callable; for callables that sleep for
10 ms, how busy up to 64 lanes are, and what that costs the parent; and how much memory
the parent uses when callables are streamed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.record import write_json
from benchmarks.scaling_measurement import ScalingRecord, measure_scaling
from benchmarks.table import NOTHING, Table, figures, spaced

_JSON = Path("docs/scaling.json")
_PICTURE = Path("docs/scaling.png")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--workers", type=int, default=2, help="for the no-ops (default: 2)")
    parser.add_argument("--quick", action="store_true", help="small sizes, as a quick check")
    parser.add_argument(
        "--json", type=Path, metavar="PATH", help=f"default: {_JSON}, for a full run"
    )
    parser.add_argument(
        "--picture", type=Path, metavar="PATH", help=f"default: {_PICTURE}, likewise"
    )
    options = parser.parse_args()
    if options.workers < 1:
        parser.error("--workers must be at least 1")
    if not options.quick:
        options.json = options.json or _JSON
        options.picture = options.picture or _PICTURE
    return options


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _tables(record: ScalingRecord) -> list[Table]:
    return [_costs(record), _occupations(record), _peaks(record), _limits(record)]


def _costs(record: ScalingRecord) -> Table:
    ways = list(dict.fromkeys(cost.way for cost in record.costs))
    by_count: dict[int, dict[str, str]] = {}
    for cost in record.costs:
        by_count.setdefault(cost.callables, {})[cost.way] = figures(cost.us)
    lines = [
        [spaced(count), *(cell.get(way, NOTHING) for way in ways)]
        for count, cell in sorted(by_count.items())
    ]
    title = f"Wall time per no-op on {record.workers} workers, us"
    return Table(title, ["callables", *ways], lines)


def _occupations(record: ScalingRecord) -> Table:
    lines = [
        [
            str(occupation.lanes),
            spaced(occupation.callables),
            figures(occupation.wall_ms),
            f"{occupation.busy:.0%}",
            figures(occupation.cpu_us),
        ]
        for occupation in record.occupations
    ]
    headings = [
        "lanes",
        "callables",
        "wall time, ms",
        "lanes busy",
        "parent's CPU per callable, us",
    ]
    asleep = f"{record.lower_bounds.asleep:.0%}"
    lines.append(["64 processes, no pool", NOTHING, NOTHING, asleep, NOTHING])
    return Table("Lanes asleep 10 ms each", headings, lines)


def _peaks(record: ScalingRecord) -> Table:
    lines = [[spaced(peak.callables), figures(peak.megabytes)] for peak in record.peaks]
    return Table("Callables streamed by iter_parallel", ["callables", "parent's peak, MB"], lines)


def _limits(record: ScalingRecord) -> Table:
    lines = [
        ["round trip through two bare pipes", figures(record.lower_bounds.round_trip_us)],
        ["cloudpickle and load of one no-op", figures(record.lower_bounds.pickle_us)],
    ]
    return Table("Beside it, us", ["what", "median"], lines)


def main() -> None:
    """Run the command line."""
    options = _options()
    record = measure_scaling(options.quick, options.workers, _say)
    print("\n\n".join(table.as_text() for table in _tables(record)))
    if options.json is not None:
        write_json(record, options.json)
        _say(f"written: {options.json}")
    if options.picture is not None:
        # Imported late: matplotlib takes a second to import.
        from benchmarks.scaling_chart import draw

        try:
            draw(record, options.picture)
        except ImportError:
            _say("no chart: matplotlib is not installed")
        else:
            _say(f"written: {options.picture}")


if __name__ == "__main__":
    main()
