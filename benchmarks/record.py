"""What was measured, on which machine: the JSON file, and what may be read from it."""

from __future__ import annotations

import json
import os
import platform
import statistics
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from attrs import Factory, asdict, define

__all__ = ["Cell", "Fact", "Record", "Row", "Verdict", "machine", "today"]

# "timed": did the whole work. "loses": some task that did not die has no
# answer. "hangs": the caller would wait for ever.
Verdict = Literal["timed", "cannot", "loses", "hangs", "not installed", "failed"]


@define
class Cell:
    """What one contender did in one row.

    `times_ms` are the wall times of its repeats, in milliseconds; there are
    none unless it did the whole work. The counts are those of its last run.
    """

    verdict: Verdict
    note: str = ""
    times_ms: list[float] = Factory(list)
    median_ms: float | None = None
    answers: int | None = None
    errors: int | None = None
    unanswered: int | None = None

    def add(self, milliseconds: float) -> None:
        """Take the time of one more repeat."""
        self.times_ms.append(round(milliseconds, 5))
        self.median_ms = round(statistics.median(self.times_ms), 5)


@define
class Row:
    """One work, and what became of it, by contender."""

    name: str
    description: str
    tasks: int
    deaths: int = 0
    cells: dict[str, Cell] = Factory(dict)

    def ratio(self, one: str, other: str) -> float | None:
        """The median of one contender by that of another; None if either has none."""
        ours, theirs = self._median(one), self._median(other)
        return None if ours is None or not theirs else ours / theirs

    def _median(self, contender: str) -> float | None:
        cell = self.cells.get(contender)
        return cell.median_ms if cell else None


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
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
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
