"""`python -m benchmarks.reliability`: what one harmful callable costs the other callables.

Runs each hazard with each library, every time in a process group of its own that is killed after
some seconds, and writes a table.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby, product
from pathlib import Path

from benchmarks.hazard_run import HOLDS, HazardRun, Verdict
from benchmarks.outcome_contenders import OUTCOME_CONTENDERS
from benchmarks.record import OURS, machine, today
from benchmarks.table import Table
from benchmarks.timing_process import version_of
from tests.hazards.catalogue import HAZARDS
from tests.hazards.hazard import Hazard

__all__ = ["main"]

_DOCUMENT = Path("docs/reliability.md")
_QUICK_HAZARDS = ["segfault", "plain", "kill-group", "unpicklable", "child-lives-on", "hang"]
_QUICK_CONTENDERS = ["stdlib", OURS]

# Verdicts that say nothing about the library.
_UNKNOWN = {"not installed", "not tried"}

_MEANINGS = {
    "holds": "all others answered, the harmful callable has its own outcome, and nothing is left",
    "loses N": "N other callables have an error instead of their answer",
    "raises": "the call raises, and all answers are lost",
    "hangs": "the caller waits for ever (longer than {limit:g} s)",
    "hangs at end": "all outcomes are returned, but the pool or the caller cannot end",
    "leaves N": "all outcomes are returned, but N processes are left when the caller has ended",
    "wrong": "a wrong value is returned: for a callable that failed, for example",
    "kills caller": "the caller's own process dies, or exits",
    "fails at end": "all outcomes are returned, but closing the pool, or ending the caller, raises",
    "no limit": "the library cannot limit memory; not tried, and counted as failed",
}


Verdicts = dict[tuple[str, str], Verdict]


def _missing(contender: str) -> bool:
    try:
        for package in OUTCOME_CONTENDERS[contender].packages:
            version_of(package)
    except ImportError:
        return True
    return False


def _tried(options: argparse.Namespace) -> Verdicts:
    absent = {name for name in options.contenders if _missing(name)}
    pairs = list(product(options.hazards, options.contenders))
    begun, done = time.monotonic(), 0

    def tried(pair: tuple[Hazard, str]) -> Verdict:
        nonlocal done
        hazard, contender = pair
        if contender in absent:
            return Verdict("not installed")
        verdict = HazardRun(contender, hazard, options.workers, options.limit).verdict()
        done += 1
        at = f"{time.monotonic() - begun:5.0f} s, {done:3} of {len(pairs)}"
        print(f"{at}  {contender:10}  {hazard.name:24}  {verdict}", file=sys.stderr, flush=True)
        return verdict

    with ThreadPoolExecutor(options.jobs) as threads:
        verdicts = list(threads.map(tried, pairs))
    return {(hazard.name, name): v for (hazard, name), v in zip(pairs, verdicts, strict=True)}


def _summary(hazards: list[Hazard], contenders: list[str], verdicts: Verdicts) -> Table:
    columns = [[verdicts[hazard.name, name] for hazard in hazards] for name in contenders]
    failed = []
    for column in columns:
        tried = [verdict for verdict in column if verdict.word not in _UNKNOWN]
        failed.append(f"{sum(verdict != HOLDS for verdict in tried)} of {len(tried)}")
    lines = [["failed", *failed]]
    counts = [Counter(verdict.word for verdict in column) for column in columns]
    words = [word.removesuffix(" N") for word in _MEANINGS] + sorted(_UNKNOWN)
    for word in words:
        if any(word in count for count in counts):
            lines.append([word, *(str(count[word]) for count in counts)])
    return Table("In all", ["", *contenders], lines)


def _tables(hazards: list[Hazard], contenders: list[str], verdicts: Verdicts) -> Iterable[Table]:
    for group, members in groupby(hazards, lambda hazard: hazard.group):
        lines = [
            [hazard.title, *(str(verdicts[hazard.name, name]) for name in contenders)]
            for hazard in members
        ]
        yield Table(group, ["a callable that", *contenders], lines, numeric=False)


def _document(options: argparse.Namespace, tables: list[Table]) -> str:
    facts = machine()
    packages = sorted(
        {package for name in options.contenders for package in OUTCOME_CONTENDERS[name].packages}
    )
    versions = []
    for package in packages:
        try:
            versions.append(f"{package} {version_of(package)}")
        except ImportError:
            continue  # its column says so
    ways = [
        f"* `{name}`: {OUTCOME_CONTENDERS[name].way}; time limit: {OUTCOME_CONTENDERS[name].limits}"
        for name in options.contenders
    ]
    meanings = [f"| {word} | {text} |" for word, text in _MEANINGS.items()]
    parts = [
        "# Reliability",
        _INTRODUCTION.format(limit=options.limit, workers=options.workers),
        f"{today()}, {facts['cpu']}, {facts['cores']} cores, {facts['kernel']}, "
        f"{facts['python']}; {', '.join(versions)}.",
        "\n".join(["| verdict | what it says |", "| --- | --- |", *meanings]).format(
            limit=options.limit
        ),
        "How each library is used, always with a pool whose workers have started:",
        "\n".join(ways),
        _FAIRNESS,
        *(table.as_markdown() for table in tables),
    ]
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """\
What one harmful callable costs the other callables: measured by
`python -m benchmarks.reliability` ([benchmarks/](../benchmarks)). Each line is a callable that does
one harmful thing, between six well-behaved ones before it and six after it, on {workers} workers;
each library runs these 13 callables in a process of its own, which is killed after {limit:g} s
(after 75 s where a callable hangs while it is unpickled: enact_pool allows 30 s more, twice).

The exact outcome of each harmful callable with enact_pool is defined in
[tests/hazards/](../tests/hazards) and checked by
[tests/process/test_hazards.py](../tests/process/test_hazards.py), which also checks the next call
on the same pool. The other libraries are asked for less: any error is accepted for a callable that
fails, or that cannot be sent."""

_FAIRNESS = """\
`get` and `result` with a time-out only stop waiting: the callable goes on, and its worker is lost
for others. That counts as held if all others answer and the pool can be closed. joblib's call
raises what the first callable raises, as documented; that counts as failed, since the answers of
the others are lost. (To keep them, the callables must catch everything themselves.)

When the harm comes late, the other callables have already answered: so some libraries hold a crash
that happens after a second, and lose the others in one that happens at once. The hazards are our
own choice, and some test what only enact_pool promises: the process state that the next callable
finds.

Not among these: memory that is overwritten, and a return value that ends the process that unpickles
it. No library that unpickles in its caller's process survives that; enact_pool does not either."""


def _options() -> argparse.Namespace:
    names = {hazard.name: hazard for hazard in HAZARDS}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only a few hazards")
    parser.add_argument("--hazards", nargs="+", choices=names, metavar="NAME", help="only these")
    parser.add_argument(
        "--contenders", nargs="+", choices=OUTCOME_CONTENDERS, metavar="NAME", help="only these"
    )
    parser.add_argument("--workers", type=int, default=2, help="of each contender (default: 2)")
    parser.add_argument(
        "--limit", type=float, default=10.0, help="seconds after which it hangs (default: 10)"
    )
    parser.add_argument(
        "--jobs", type=int, default=4, help="hazards at a time, which mostly sleep (default: 4)"
    )
    parser.add_argument(
        "--output", type=Path, metavar="PATH", help=f"default: {_DOCUMENT}, for a run of all"
    )
    options = parser.parse_args()
    # A partial run must not overwrite the record of a full one.
    if not (options.quick or options.hazards or options.contenders):
        options.output = options.output or _DOCUMENT
    chosen = options.hazards or (_QUICK_HAZARDS if options.quick else names)
    options.hazards = [hazard for hazard in HAZARDS if hazard.name in chosen]
    options.contenders = options.contenders or (
        _QUICK_CONTENDERS if options.quick else list(OUTCOME_CONTENDERS)
    )
    return options


def main() -> int:
    """Run the command line; return 1 if enact_pool has failed."""
    options = _options()
    # Ends the hazards' processes together with this one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    verdicts = _tried(options)
    tables = [
        _summary(options.hazards, options.contenders, verdicts),
        *_tables(options.hazards, options.contenders, verdicts),
    ]
    print("\n\n".join(table.as_text() for table in tables))
    if options.output is not None:
        options.output.write_text(_document(options, tables), encoding="utf-8")
        print(f"written: {options.output}", file=sys.stderr)
    ours = [verdict for (_, name), verdict in verdicts.items() if name == OURS]
    return int(any(v != HOLDS and v.word not in _UNKNOWN for v in ours))


if __name__ == "__main__":
    sys.exit(main())
