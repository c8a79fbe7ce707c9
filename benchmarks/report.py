"""The tables: as text for a terminal, or as GitHub markdown for docs/performance.md."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from benchmarks.bars import tried
from benchmarks.record import Cell, Record, Row

__all__ = ["markdown_report", "text_report"]

_OURS = "enact_pool"
_NOTHING = "-"
_FOOTNOTE = (
    "Busy tasks spin on time.perf_counter. All contenders take turns, repeat by repeat, each in a "
    "process of its own. enact_pool's figures include ids, results and events; mp.Pool, and pebble "
    "where no task dies, send chunks of one function."
)


@frozen
class _Table:
    title: str
    headings: list[str]
    lines: list[list[str]]
    remark: str = ""


def text_report(record: Record) -> str:
    """The tables in columns."""
    return "\n\n".join([_preamble(record), *map(_as_text, _tables(record)), _FOOTNOTE])


def markdown_report(record: Record) -> str:
    """The tables in GitHub's markdown."""
    parts = [_preamble(record), *map(_as_markdown, _tables(record)), _FOOTNOTE]
    return "\n\n".join(parts)


def _preamble(record: Record) -> str:
    machine = record.machine
    versions = ", ".join(f"{name} {version}" for name, version in sorted(record.versions.items()))
    size = "Small sizes, for a check that all works: the figures mean little. " * record.quick
    return (
        f"{size}{record.workers} workers, {record.repeats} repeats, pools warm; {record.date}, "
        f"{machine['cpu']}, {machine['usable_cores']} cores, {machine['kernel']}, "
        f"{machine['python']}; {versions}."
    )


def _tables(record: Record) -> list[_Table]:
    tables = []
    if record.rows:
        tables += [_medians(record), _ratios(record), _bars(record)]
    if any(row.deaths for row in record.rows):
        tables.append(_deaths(record))
    if record.facts:
        tables.append(_facts(record))
    return [table for table in tables if table.lines]


def _medians(record: Record) -> _Table:
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
        return _figures(cell.median_ms)
    return f"loses {_lost(row, cell)}" if cell.verdict == "loses" else cell.verdict


def _lost(row: Row, cell: Cell) -> int:
    """How many tasks that did not die have no answer."""
    return row.tasks - row.deaths - (cell.answers or 0)


def _ratios(record: Record) -> _Table:
    def ratio(row: Row, name: str) -> str:
        measured = row.ratio(_OURS, name)
        return _NOTHING if measured is None else _figures(measured)

    peers = [name for name in record.contenders if name != _OURS]
    remark = "Below 1, enact_pool took less time."
    return _by_contender("enact_pool / contender", record, peers, ratio, remark)


def _by_contender(
    title: str, record: Record, names: list[str], show: Callable[[Row, str], str], remark: str = ""
) -> _Table:
    lines = [[row.description, *(show(row, name) for name in names)] for row in record.rows]
    return _Table(title, ["work", *names], lines, remark)


def _bars(record: Record) -> _Table:
    lines = []
    for bar, row, ratio in tried(record.rows):
        held = _NOTHING if ratio is None else "yes" if ratio <= bar.most else "no"
        measured = _NOTHING if ratio is None else f"{ratio:.2f}"
        lines.append([row.description, f"<= {bar.most:g} x {bar.peer}", measured, held])
    return _Table("Bars to hold", ["work", "enact_pool takes", "measured", "held"], lines)


def _deaths(record: Record) -> _Table:
    lines = [
        [row.description, name, cell.note or cell.verdict, _judged(row, cell)]
        for row in record.rows
        if row.deaths
        for name, cell in row.cells.items()
        if cell.verdict != "cannot"
    ]
    return _Table("What a segfault costs", ["work", "contender", "gave", "so it"], lines)


def _judged(row: Row, cell: Cell) -> str:
    if cell.verdict == "timed":
        return "isolates"
    return f"loses {_lost(row, cell)}" if cell.verdict == "loses" else cell.verdict


def _facts(record: Record) -> _Table:
    lines = [
        [fact.description, fact.note or _figures(fact.median_ms or 0.0)] for fact in record.facts
    ]
    return _Table("In a fresh interpreter, ms", ["statement", "median"], lines)


def _figures(value: float) -> str:
    """Three significant figures, without an exponent."""
    if value >= 100:
        return f"{value:.0f}"
    decimals = 1 if value >= 10 else 2 if value >= 1 else 3 if value >= 0.1 else 4
    return f"{value:.{decimals}f}"


def _as_text(table: _Table) -> str:
    columns = list(zip(table.headings, *table.lines, strict=True))
    widths = [max(map(len, column)) for column in columns]
    rows = [table.headings, ["-" * width for width in widths], *table.lines]
    lines = [_aligned(row, widths, _to_the_right(table)) for row in rows]
    remark = [table.remark] if table.remark else []
    return "\n".join([table.title, "", *lines, *remark])


def _aligned(cells: list[str], widths: list[int], right: bool) -> str:
    first, *others = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1])]
    padded += [cell.rjust(width) if right else cell.ljust(width) for cell, width in others]
    return "  ".join(padded).rstrip()


def _to_the_right(table: _Table) -> bool:
    return "contender" not in table.headings


def _as_markdown(table: _Table) -> str:
    rule = "---:" if _to_the_right(table) else "---"
    rows = [table.headings, ["---", *[rule] * (len(table.headings) - 1)], *table.lines]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    remark = ["", table.remark] if table.remark else []
    return "\n".join([f"### {table.title}", "", *lines, *remark])
