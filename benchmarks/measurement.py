"""Rows by contenders: each repeat is one run of every contender, in an order of its own.

So what slows the machine down for a while slows them all down alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from types import TracebackType
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.record import Cell, Row
from benchmarks.timing_process_client import StandError, StandProcess
from benchmarks.workloads import Work

__all__ = ["Arena"]


class Arena:
    """All contenders, each on a stand of its own. A context manager, which ends them.

    `versions` are those of the packages, once a row has been measured.
    """

    def __init__(self, workers: int, quick: bool, say: Callable[[str], None]) -> None:
        self.versions: dict[str, str] = {}
        self._workers = workers
        self._quick = quick
        self._say = say
        # Why they cannot be measured at all, by name.
        self._missing: dict[str, str] = {}
        self._stands: dict[str, StandProcess] = {}

    def __enter__(self) -> Arena:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        position: TracebackType | None,
    ) -> None:
        if error is None:
            for stand in self._stands.values():
                stand.hang_up()
            for stand in self._stands.values():
                stand.wait()
        else:
            for stand in self._stands.values():
                stand.kill()

    def row(self, work: Work, repeats: int) -> Row:
        """Let all do one work, so many times."""
        row = Row(
            work.name,
            work.title,
            work.tasks,
            work.deaths,
            workers=work.workers,
            asleep_ms=work.asleep_s * 1e3,
        )
        if not work.feasible:
            row.cells = {name: Cell("not installed", f"needs {work.needs}") for name in CONTENDERS}
            return row
        self._man_stands()
        for name in CONTENDERS:
            row.cells[name] = Cell("timed")
            if name in self._missing:
                row.cells[name] = Cell("not installed", self._missing[name])
        begun = self._tell_all(row, _timed(row), "begin", work.name)
        for name, told in begun.items():
            if told["refusal"]:
                row.cells[name] = Cell("cannot", told["refusal"])
        opened = _timed(row)
        for repeat in range(min(repeats, work.most_repeats or repeats)):
            self._say(f"{work.title}: {repeat + 1} of {repeats}")
            for name in _shuffled(_timed(row), repeat):
                for told in self._tell_all(row, [name], "run").values():
                    _enter(row, row.cells[name], told)
        # What has lost a worker may be broken: the next row gets a new pool.
        self._tell_all(row, [name for name in opened if name not in _timed(row)], "end")
        return row

    def _man_stands(self) -> None:
        """Start the stands that are not there, or not there any more."""
        new = [n for n in CONTENDERS if n not in self._stands and n not in self._missing]
        for name in new:
            self._stands[name] = StandProcess(name, self._workers, self._quick)
            self._stands[name].order("hello")
        for name in new:
            told = self._stands[name].reply()
            if told["missing"]:
                self._missing[name] = told["missing"]
                self._stands[name].hang_up()
                self._stands.pop(name).wait()
            else:
                self.versions.update(told["versions"])

    def _tell_all(self, row: Row, names: Iterable[str], *words: str) -> dict[str, dict[str, Any]]:
        """Give an order to several at once; gives the replies of those that did not fail."""
        replies = {}
        ordered = [name for name in names if name in self._stands]
        for name in ordered:
            self._stands[name].order(*words)
        for name in ordered:
            try:
                told = self._stands[name].reply()
            except StandError as error:
                # It is dead now; the next row gets a new one.
                del self._stands[name]
                told = {"failed": str(error)}
            if "failed" not in told:
                replies[name] = told
            elif row.cells[name].verdict == "timed":
                row.cells[name] = Cell("failed", f"{words[0]}: {told['failed']}")
        return replies


def _timed(row: Row) -> list[str]:
    return [name for name, cell in row.cells.items() if cell.verdict == "timed"]


def _shuffled(names: list[str], repeat: int) -> list[str]:
    """Another order for each repeat: what one leaves behind must not always meet the same next.

    Memory that was just given back, above all: after gigabytes of it, on a virtual
    machine, touching a fresh page can take several times as long.
    """
    return Random(repeat).sample(names, len(names))


def _enter(row: Row, cell: Cell, told: dict[str, Any]) -> None:
    """Enter into a cell what one run gave."""
    if "raised" in told:
        cell.verdict = "loses" if row.deaths else "failed"
        cell.note = f"no answers: the call raises {told['raised']}"
        cell.answers = cell.errors = cell.unanswered = 0
        return
    cell.answers, cell.unanswered = told["answers"], told["unanswered"]
    cell.errors = sum(told["errors"].values())
    if row.deaths:
        parts = [f"{cell.answers} answers"]
        parts += [f"{count} x {name}" for name, count in told["errors"].items()]
        parts += [f"{cell.unanswered} never answered"] * bool(cell.unanswered)
        cell.note = ", ".join(parts)
    if cell.unanswered:
        cell.verdict = "hangs"
    elif (cell.answers, cell.errors) != (row.tasks - row.deaths, row.deaths):
        cell.verdict = "loses" if row.deaths else "failed"
        cell.note = cell.note or f"{cell.answers} right answers of {row.tasks}: {told['errors']}"
    else:
        cell.add(told["ms"], told["cpu_ms"])
        return
    cell.forget_times()
