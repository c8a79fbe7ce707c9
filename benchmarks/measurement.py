"""The measurement of rows: each repeat is one run of every contender, in a new order.

So a temporary slowdown of the machine affects all contenders alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from types import TracebackType
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.record import Cell, Row
from benchmarks.timing_process_client import TimingProcessClient, TimingProcessError
from benchmarks.workloads import Workload

__all__ = ["ContenderProcesses"]


class ContenderProcesses:
    """All contenders, each in a process of its own. A context manager, which ends them.

    `versions` are those of the packages, after a row has been measured.
    """

    def __init__(self, workers: int, quick: bool, say: Callable[[str], None]) -> None:
        self.versions: dict[str, str] = {}
        self._workers = workers
        self._quick = quick
        self._say = say
        # The contenders that cannot be measured, with the reasons.
        self._missing: dict[str, str] = {}
        self._clients: dict[str, TimingProcessClient] = {}

    def __enter__(self) -> ContenderProcesses:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        position: TracebackType | None,
    ) -> None:
        if error is None:
            for client in self._clients.values():
                client.close()
            for client in self._clients.values():
                client.wait()
        else:
            for client in self._clients.values():
                client.kill()

    def row(self, work: Workload, repeats: int) -> Row:
        """Let all contenders run one workload `repeats` times."""
        row = Row(
            work.name,
            work.title,
            work.tasks,
            work.deaths,
            workers=work.workers,
            asleep_ms=work.asleep_s * 1e3,
        )
        if not work.is_feasible:
            row.cells = {name: Cell("not installed", f"needs {work.needs}") for name in CONTENDERS}
            return row
        self._start_missing()
        for name in CONTENDERS:
            row.cells[name] = Cell("timed")
            if name in self._missing:
                row.cells[name] = Cell("not installed", self._missing[name])
        begun = self._send_all(row, _timed(row), "begin", work.name)
        for name, reply in begun.items():
            if reply["refusal"]:
                row.cells[name] = Cell("cannot", reply["refusal"])
        opened = _timed(row)
        for repeat in range(min(repeats, work.most_repeats or repeats)):
            self._say(f"{work.title}: {repeat + 1} of {repeats}")
            for name in _shuffled(_timed(row), repeat):
                for reply in self._send_all(row, [name], "run").values():
                    _enter(row, row.cells[name], reply)
        # A pool that has lost a worker may be broken: the next row gets a new one.
        self._send_all(row, [name for name in opened if name not in _timed(row)], "end")
        return row

    def _start_missing(self) -> None:
        """Start the processes that have not been started, or have died."""
        new = [n for n in CONTENDERS if n not in self._clients and n not in self._missing]
        for name in new:
            self._clients[name] = TimingProcessClient(name, self._workers, self._quick)
            self._clients[name].send("hello")
        for name in new:
            reply = self._clients[name].reply()
            if reply["missing"]:
                self._missing[name] = reply["missing"]
                self._clients[name].close()
                self._clients.pop(name).wait()
            else:
                self.versions.update(reply["versions"])

    def _send_all(self, row: Row, names: Iterable[str], *words: str) -> dict[str, dict[str, Any]]:
        """Send a command to several contenders; return the replies of those that did not fail."""
        replies = {}
        sent = [name for name in names if name in self._clients]
        for name in sent:
            self._clients[name].send(*words)
        for name in sent:
            try:
                reply = self._clients[name].reply()
            except TimingProcessError as error:
                # The process is dead; the next row starts a new one.
                del self._clients[name]
                reply = {"failed": str(error)}
            if "failed" not in reply:
                replies[name] = reply
            elif row.cells[name].verdict == "timed":
                row.cells[name] = Cell("failed", f"{words[0]}: {reply['failed']}")
        return replies


def _timed(row: Row) -> list[str]:
    return [name for name, cell in row.cells.items() if cell.verdict == "timed"]


def _shuffled(names: list[str], repeat: int) -> list[str]:
    """Return a new order for each repeat, as each contender affects the one that runs next.

    Above all, freed memory matters: after gigabytes of it, on a virtual machine, touching
    a fresh page can take several times as long.
    """
    return Random(repeat).sample(names, len(names))


def _enter(row: Row, cell: Cell, reply: dict[str, Any]) -> None:
    """Enter the reply to one run into a cell."""
    if "raised" in reply:
        cell.verdict = "loses" if row.deaths else "failed"
        cell.note = f"no answers: the call raises {reply['raised']}"
        cell.answers = cell.errors = cell.unanswered = 0
        return
    cell.answers, cell.unanswered = reply["answers"], reply["unanswered"]
    cell.errors = sum(reply["errors"].values())
    if row.deaths:
        parts = [f"{cell.answers} answers"]
        parts += [f"{count} x {name}" for name, count in reply["errors"].items()]
        parts += [f"{cell.unanswered} never answered"] * bool(cell.unanswered)
        cell.note = ", ".join(parts)
    if cell.unanswered:
        cell.verdict = "hangs"
    elif (cell.answers, cell.errors) != (row.tasks - row.deaths, row.deaths):
        cell.verdict = "loses" if row.deaths else "failed"
        cell.note = cell.note or f"{cell.answers} right answers of {row.tasks}: {reply['errors']}"
    else:
        cell.add(reply["ms"], reply["cpu_ms"])
        return
    cell.forget_times()
