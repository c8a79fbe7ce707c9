"""The fault log: what was done to workers and pools from outside, and which results are due to it.

A fault is logged before it is injected, and removed if that fails: a check that looks
for the cause of a result cannot miss it. Times are those of the monotonic clock.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["FaultLog", "Span", "Violation"]


@frozen
class Span:
    """The time from `begin` to `end`."""

    begin: float
    end: float

    def overlaps(self, other: Span) -> bool:
        """Return whether both have a moment in common."""
        return self.begin <= other.end and other.begin <= self.end


@frozen
class Violation:
    """A broken promise: where it was seen, and what was wrong."""

    where: str
    what: str


@define
class FaultLog:
    """The faults and violations of one chaos run; used by all its threads."""

    counts: Counter[str] = field(factory=Counter)
    violations: list[Violation] = field(factory=list)
    _say: Callable[[str], None] = print
    _lock: threading.RLock = field(factory=threading.RLock, init=False)
    # When each worker was killed, and when workers were stopped, descriptors used up and pools
    # cancelled.
    _kills: dict[int, float] = field(factory=dict, init=False)
    _spans: dict[tuple[str, object], list[Span]] = field(factory=dict, init=False)
    # The killed workers that a result was blamed on; and the number of such results whose
    # task had not logged its start.
    _blamed: set[int] = field(factory=set, init=False)
    _blamed_unseen: int = field(default=0, init=False)
    # Workers that have started a task of a finished run.
    _started: set[int] = field(factory=set, init=False)

    def count(self, what: str, number: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self.counts[what] += number

    def report_violation(self, where: str, what: str) -> None:
        """Record and print a violation."""
        with self._lock:
            self.violations.append(Violation(where, what))
            self._say(f"VIOLATION {where}: {what}")

    # Faults

    def record_kill(self, worker: int) -> bool:
        """Log that this worker is about to be killed; return False if it was killed before."""
        with self._lock:
            if worker in self._kills:
                return False
            self._kills[worker] = time.monotonic()
            self.counts["kills"] += 1
            return True

    def withdraw_kill(self, worker: int) -> None:
        """Remove a kill: the worker was gone already."""
        with self._lock:
            self._kills.pop(worker)
            self.counts["kills"] -= 1

    @contextmanager
    def during(self, what: str, target: object = None) -> Iterator[None]:
        """Log a fault that lasts as long as the block: "stop", "exhaustion" or "cancel"."""
        with self._lock:
            self.counts[f"{what}s"] += 1
            spans = self._spans.setdefault((what, target), [])
            began = time.monotonic()
            spans.append(Span(began, float("inf")))
        try:
            yield
        finally:
            with self._lock:
                spans.remove(Span(began, float("inf")))
                spans.append(Span(began, time.monotonic()))

    # What the faults explain

    def lasted(self, what: str, target: object, span: Span) -> bool:
        """Return whether such a fault hit the target (None: any target) in this time."""
        with self._lock:
            return any(
                span.overlaps(other)
                for (kind, hit), spans in self._spans.items()
                if kind == what and target in (None, hit)
                for other in spans
            )

    def kills_in(self, span: Span) -> int:
        """Return how many workers were killed in this time."""
        with self._lock:
            return sum(span.begin <= at <= span.end for at in self._kills.values())

    def foiled_starts_in(self, span: Span) -> int:
        """Return how many workers were killed in this time before they had started a task."""
        with self._lock:
            return sum(
                span.begin <= at <= span.end and worker not in self._started
                for worker, at in self._kills.items()
            )

    def record_starts(self, workers: Iterable[int]) -> None:
        """Record that these workers have started tasks."""
        with self._lock:
            self._started.update(workers)

    def blame(self, worker: int | None, span: Span) -> str:
        """Attribute a result of this time to the kill of its worker, if the worker is known.

        Returns what is wrong with that; empty if nothing is.
        """
        with self._lock:
            if worker is None:
                self._blamed_unseen += 1
                return "" if self.kills_in(span) else "no worker was killed"
            if worker not in self._kills:
                return "its worker was not killed"
            if worker in self._blamed:
                return "another result was blamed on its worker's death"
            self._blamed.add(worker)
            return ""

    def close_epoch(self) -> None:
        """Check and reset the kills, while no run is in progress."""
        with self._lock:
            blamed = len(self._blamed) + self._blamed_unseen
            self.counts["blamed on kills"] += blamed
            if blamed > len(self._kills):
                self.report_violation(
                    "epoch", f"{blamed} results blamed on {len(self._kills)} kills"
                )
            self._kills.clear()
            self._spans.clear()
            self._blamed.clear()
            self._started.clear()
            self._blamed_unseen = 0
