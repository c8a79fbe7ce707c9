"""The record of a measurement: figures, machine, and the JSON file."""

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

# The contender that these benchmarks are about, and the one that is not a pool.
OURS = "enact_pool"
_SERIAL = "serial"

# "timed": ran the whole workload. "loses": a task that did not die has no
# answer. "hangs": the caller would wait for ever.
Verdict = Literal["timed", "cannot", "loses", "hangs", "not installed", "failed"]


@define
class Cell:
    """The figures of one contender in one row.

    `times_ms` are the wall times of its repeats, in milliseconds, and `cpu_ms`
    the CPU times that its caller's process, with all threads, took meanwhile;
    there are none unless it ran the whole workload. The counts are those of its
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
        """Add the times of one repeat."""
        self.times_ms.append(round(milliseconds, 5))
        self.cpu_ms.append(round(cpu_milliseconds, 5))
        self.median_ms = round(statistics.median(self.times_ms), 5)

    def forget_times(self) -> None:
        """Drop all times: those of a contender that did not run the whole workload mean nothing."""
        self.times_ms, self.cpu_ms, self.median_ms = [], [], None


@define
class Row:
    """One workload, and its figures by contender.

    `workers` is how many each contender had; None for the record's number.
    `asleep_ms` is how long each task slept, if that is all it did.
    """

    name: str
    description: str
    tasks: int
    deaths: int = 0
    cells: dict[str, Cell] = Factory(dict)
    workers: int | None = None
    asleep_ms: float = 0.0

    def ratio(self, one: str, other: str) -> float | None:
        """Return the ratio of two contenders' medians; None if one of them has none."""
        return ratio(self._median(one), self._median(other))

    @property
    def peers(self) -> list[str]:
        """The other pools that ran the whole workload, the fastest first."""
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
    """Return the ratio of two times; None if one is missing or the divisor is 0."""
    return None if one is None or not other else one / other


@define
class Fact:
    """The times that a fresh interpreter needs for one statement, in milliseconds."""

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
        """Read a record. Raises `OSError`, and `ValueError` if the file is not a record."""
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            fields["rows"] = [_row(**row) for row in fields["rows"]]
            fields["facts"] = [Fact(**fact) for fact in fields["facts"]]
            return cls(**fields)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is not a record of the benchmarks: {error!r}") from error


def _row(cells: dict[str, dict[str, Any]], **rest: Any) -> Row:
    return Row(**rest, cells={name: Cell(**cell) for name, cell in cells.items()})


def write_json(record: AttrsInstance, path: Path) -> None:
    """Write a record as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(asdict(record), indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def today() -> str:
    """Return today's date, in UTC."""
    return datetime.now(timezone.utc).date().isoformat()


def machine() -> dict[str, Any]:
    """Return what the figures depend on, without anything that identifies the machine's owner."""
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
