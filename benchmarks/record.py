"""What was measured, on which machine: the JSON file, and what may be read from it."""

from __future__ import annotations

import json
import os
import platform
import statistics
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from attrs import AttrsInstance, Factory, asdict, define

__all__ = [
    "OURS",
    "Cell",
    "Fact",
    "Record",
    "Row",
    "Verdict",
    "machine",
    "ratio",
    "today",
    "write_json",
]

# The contender whose benchmarks these are, and the one that is no peer of any pool.
OURS = "enact_pool"
_SERIAL = "serial"

# "timed": did the whole work. "loses": some task that did not die has no
# answer. "hangs": the caller would wait for ever.
Verdict = Literal["timed", "cannot", "loses", "hangs", "not installed", "failed"]


@define
class Cell:
    """What one contender did in one row.

    `times_ms` are the wall times of its repeats, in milliseconds, and `cpu_ms`
    the CPU times that its caller's process, with all threads, took meanwhile;
    there are none unless it did the whole work. The counts are those of its
    last run.
    """

    verdict: Verdict
    note: str = ""
    times_ms: list[float] = Factory(list)
    median_ms: float | None = None
    answers: int | None = None
    errors: int | None = None
    unanswered: int | None = None
    cpu_ms: list[float] = Factory(list)

    def add(self, milliseconds: float, cpu_milliseconds: float) -> None:
        """Take the times of one more repeat."""
        self.times_ms.append(round(milliseconds, 5))
        self.cpu_ms.append(round(cpu_milliseconds, 5))
        self.median_ms = round(statistics.median(self.times_ms), 5)

    def forget_times(self) -> None:
        """Keep no times: those of a run that did not do the work say nothing."""
        self.times_ms, self.cpu_ms, self.median_ms = [], [], None


@define
class Row:
    """One work, and what became of it, by contender.

    `workers` is how many each contender had; None says: as many as the record
    says. `asleep_ms` is how long each task slept, if that is all it did.
    """

    name: str
    description: str
    tasks: int
    deaths: int = 0
    cells: dict[str, Cell] = Factory(dict)
    workers: int | None = None
    asleep_ms: float = 0.0

    def ratio(self, one: str, other: str) -> float | None:
        """The median of one contender by that of another; None if either has none."""
        return ratio(self._median(one), self._median(other))

    @property
    def peers(self) -> list[str]:
        """The other pools that did the whole work, the fastest first."""
        medians = {
            name: cell.median_ms
            for name, cell in self.cells.items()
            if cell.median_ms is not None and name not in (OURS, _SERIAL)
        }
        return sorted(medians, key=medians.__getitem__)

    def _median(self, contender: str) -> float | None:
        cell = self.cells.get(contender)
        return cell.median_ms if cell else None


def ratio(one: float | None, other: float | None) -> float | None:
    """One time by another; None if there is no such thing."""
    return None if one is None or not other else one / other


@define
class Fact:
    """What a fresh interpreter needs for one statement, in milliseconds."""

    name: str
    description: str
    times_ms: list[float]
    median_ms: float | None
    note: str = ""


@define
class Record:
    """One run of the benchmarks."""

    date: str
    quick: bool
    workers: int
    repeats: int
    machine: dict[str, Any]
    contenders: dict[str, str]
    versions: dict[str, str] = Factory(dict)
    rows: list[Row] = Factory(list)
    facts: list[Fact] = Factory(list)

    def write(self, path: Path) -> None:
        """Write the record as JSON."""
        write_json(self, path)

    @classmethod
    def read(cls, path: Path) -> Record:
        """The record in a file. Raises `OSError`, and `ValueError` if it is none."""
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            told["rows"] = [_row(**row) for row in told["rows"]]
            told["facts"] = [Fact(**fact) for fact in told["facts"]]
            return cls(**told)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is no record of the benchmarks: {error!r}") from error


def _row(cells: dict[str, dict[str, Any]], **rest: Any) -> Row:
    return Row(**rest, cells={name: Cell(**cell) for name, cell in cells.items()})


def write_json(record: AttrsInstance, path: Path) -> None:
    """Write what was measured as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(record), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def today() -> str:
    """The date, in UTC."""
    return datetime.now(timezone.utc).date().isoformat()


def machine() -> dict[str, Any]:
    """What the figures depend on; nothing that would tell whose machine it is."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": _usable_cores(),
        "kernel": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _usable_cores() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
