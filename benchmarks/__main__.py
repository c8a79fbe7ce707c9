"""`python -m benchmarks`: measure, print the tables, write the record and the chart."""

from __future__ import annotations

import argparse
import compileall
import signal
import sys
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

from benchmarks.contenders import CONTENDERS
from benchmarks.measurement import ContenderProcesses
from benchmarks.record import Record, machine, today
from benchmarks.report import markdown_report, text_report
from benchmarks.startup_times import measured_startup_times
from benchmarks.workloads import workloads

_FACTS = "facts"
_JSON = Path("docs/benchmark.json")
_PICTURE = Path("docs/benchmark.png")


def _options() -> argparse.Namespace:
    names = [*(work.name for work in workloads(quick=True)), _FACTS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--workers",
        type=int,
        default=2,
        help="of each contender (default: 2), except in rows with a fixed number",
    )
    parser.add_argument("--repeats", type=int, help="of each row (default: 5; quick: 2)")
    parser.add_argument("--quick", action="store_true", help="small sizes, as a quick check")
    parser.add_argument(
        "--rows", nargs="+", choices=names, metavar="NAME", help=f"only these: {', '.join(names)}"
    )
    parser.add_argument("--markdown", action="store_true", help="print the tables as markdown")
    parser.add_argument(
        "--json", type=Path, metavar="PATH", help=f"default: {_JSON}, for a full run of all rows"
    )
    parser.add_argument(
        "--picture", type=Path, metavar="PATH", help=f"default: {_PICTURE}, likewise"
    )
    options = parser.parse_args()
    if options.workers < 1 or (options.repeats is not None and options.repeats < 1):
        parser.error("--workers and --repeats must be at least 1")
    # A partial run must not overwrite the record of a full one.
    if not options.quick and not options.rows:
        options.json = options.json or _JSON
        options.picture = options.picture or _PICTURE
    options.repeats = options.repeats or (2 if options.quick else 5)
    options.rows = options.rows or names
    return options


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _measured(options: argparse.Namespace) -> Record:
    record = Record(
        date=today(),
        quick=options.quick,
        workers=options.workers,
        repeats=options.repeats,
        machine=machine(),
        contenders={name: contender.way for name, contender in CONTENDERS.items()},
    )
    chosen = [work for work in workloads(options.quick) if work.name in options.rows]
    for workers, group in groupby(chosen, lambda work: work.workers or options.workers):
        with ContenderProcesses(workers, options.quick, _say) as contenders:
            for work in group:
                record.rows.append(contenders.row(work, options.repeats))
            record.versions.update(contenders.versions)
    if _FACTS in options.rows:
        _say("imports and first calls")
        record.facts = measured_startup_times(options.workers, options.repeats)
    return record


def _compile() -> None:
    """Write the bytecode of enact_pool, as pip does when it installs a package.

    Otherwise each worker may compile it: a checkout may lack bytecode, and Python not write it.
    """
    spec = find_spec("enact_pool")
    if spec is None:
        raise ImportError("enact_pool cannot be imported")
    for folder in spec.submodule_search_locations or ():
        compileall.compile_dir(folder, quiet=1)


def main() -> None:
    """Run the command line."""
    options = _options()
    _compile()
    # Ends the contenders, which are stopped most of the time, together with this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    record = _measured(options)
    print(markdown_report(record) if options.markdown else text_report(record))
    if options.json is not None:
        record.write(options.json)
        _say(f"written: {options.json}")
    if options.picture is not None and record.rows:
        # Imported late: matplotlib takes a second to import.
        from benchmarks.chart import draw

        try:
            draw(record, options.picture)
        except ImportError:
            _say("no chart: matplotlib is not installed")
        else:
            _say(f"written: {options.picture}")


if __name__ == "__main__":
    main()
