"""The tables of a record: as text for a terminal, or as markdown for docs/performance.md."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from benchmarks.record import OURS, Cell, Record, Row
from benchmarks.table import NOTHING, Table, figures
from benchmarks.targets import BEST, TargetCheck, checked_targets

__all__ = ["markdown_report", "text_report"]

_FOOTNOTE = (
    "Busy tasks spin on time.perf_counter. All contenders take turns, repeat by repeat, each in a "
    "separate process. enact_pool's figures include ids, results and events; mp.Pool, and pebble "
    "where no task dies, send chunks of one function."
)


def text_report(record: Record) -> str:
    """Return the tables as columns of text."""
    tables = [table.as_text() for table in _tables(record)]
    return "\n\n".join([_preamble(record), *tables, _FOOTNOTE])


def markdown_report(record: Record) -> str:
    """Return the tables in GitHub's markdown."""
    tables = [table.as_markdown() for table in _tables(record)]
    return "\n\n".join([_preamble(record), *tables, _FOOTNOTE])


def _preamble(record: Record) -> str:
    machine = record.machine
    versions = ", ".join(f"{name} {version}" for name, version in sorted(record.versions.items()))
    size = "Small sizes, as a quick check: the figures mean little. " * record.quick
    return (
        f"{size}{record.workers} workers, {record.repeats} repeats, pools warm; {record.date}, "
        f"{machine['cpu']}, {machine['usable_cores']} cores, {machine['kernel']}, "
        f"{machine['python']}; {versions}."
    )


def _tables(record: Record) -> list[Table]:
    tables = []
    if record.rows:
        tables += [_medians(record), _ratios(record)]
    tables.append(_targets(record))
    tables += [_sleepers(row, row.workers) for row in record.rows if row.asleep_ms and row.workers]
    tables += [_deaths(record), _facts(record)]
    return [table for table in tables if table.lines]


def _medians(record: Record) -> Table:
    remark = "; ".join(
        f"{row.name}, {name}: {cell.note or cell.verdict}"
        for row in record.rows
        for name, cell in row.cells.items()
        if cell.verdict == "failed"
    )
    return _by_contender(
        "Medians of wall time, ms", record, list(record.contenders), _median_or_verdict, remark
    )


def _median_or_verdict(row: Row, name: str) -> str:
    cell = row.cells[name]
    if cell.median_ms is not None:
        return figures(cell.median_ms)
    return f"loses {_lost(row, cell)}" if cell.verdict == "loses" else cell.verdict


def _lost(row: Row, cell: Cell) -> int:
    """Return how many tasks that did not die have no answer."""
    return row.tasks - row.deaths - (cell.answers or 0)


def _ratios(record: Record) -> Table:
    def ratio(row: Row, name: str) -> str:
        measured = row.ratio(OURS, name)
        return NOTHING if measured is None else figures(measured)

    peers = [name for name in record.contenders if name != OURS]
    remark = "Below 1, enact_pool took less time."
    return _by_contender("enact_pool / contender", record, peers, ratio, remark)


def _by_contender(
    title: str, record: Record, names: list[str], show: Callable[[Row, str], str], remark: str = ""
) -> Table:
    lines = [[row.description, *(show(row, name) for name in names)] for row in record.rows]
    return Table(title, ["work", *names], lines, remark)


def _targets(record: Record) -> Table:
    lines = []
    for check in checked_targets(record):
        target = check.target
        peer = target.peer if target.peer == BEST else check.peer
        required = [f"<= {target.most:g} x {peer}", f"{target.goal:g}"]
        lines.append([check.description, *required, *_measured(check)])
    headings = ["work", "enact_pool takes", "goal", "measured", "met"]
    return Table("Targets", headings, lines)


def _measured(check: TargetCheck) -> list[str]:
    """Return the measured ratio, and whether it meets the target."""
    target, ratio = check.target, check.ratio
    if ratio is None:
        return [NOTHING, NOTHING]
    which = f" ({check.peer})" if target.peer == BEST else ""
    return [f"{ratio:.2f}{which}", "yes" if ratio <= target.most else "no"]


def _sleepers(row: Row, workers: int) -> Table:
    """Return how busy many workers are, and what that costs the caller's process."""
    lines = []
    for name, cell in row.cells.items():
        if cell.median_ms is not None:
            busy = row.tasks * row.asleep_ms / (workers * cell.median_ms)
            cpu_us = statistics.median(cell.cpu_ms) * 1e3 / row.tasks
            lines.append([name, figures(cell.median_ms), f"{busy:.0%}", figures(cpu_us)])
    title = f"{workers} lanes asleep {row.asleep_ms:g} ms each"
    headings = ["contender", "wall time, ms", "lanes busy", "parent's CPU per callable, us"]
    return Table(title, headings, lines)


def _deaths(record: Record) -> Table:
    lines = [
        [row.description, name, cell.note or cell.verdict, _judged(row, cell)]
        for row in record.rows
        if row.deaths
        for name, cell in row.cells.items()
        if cell.verdict != "cannot"
    ]
    headings = ["work", "contender", "result", "verdict"]
    return Table("What a segfault costs", headings, lines, numeric=False)


def _judged(row: Row, cell: Cell) -> str:
    if cell.verdict == "timed":
        return "isolates"
    return f"loses {_lost(row, cell)}" if cell.verdict == "loses" else cell.verdict


def _facts(record: Record) -> Table:
    lines = [
        [fact.description, fact.note or figures(fact.median_ms or 0.0)] for fact in record.facts
    ]
    return Table("In a fresh interpreter, ms", ["statement", "median"], lines)
