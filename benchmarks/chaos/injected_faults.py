"""The faults: what was done to workers and pools from outside, and who was blamed for it.

Entries are made before the task, and struck out if it fails: nobody who looks for the
cause of something misses it. Times are those of the monotonic clock.
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
    """From when to when something lasted."""

    begin: float
    end: float

    def overlaps(self, other: Span) -> bool:
        """Whether both lasted at one time."""
        return self.begin <= other.end and other.begin <= self.end


@frozen
class Violation:
    """Something that must not be: where it was seen, and what."""

    where: str
    what: str


@define
class FaultLog:
    """Of one chaos run; used by all its threads."""

    counts: Counter[str] = field(factory=Counter)
    violations: list[Violation] = field(factory=list)
    _say: Callable[[str], None] = print
    _lock: threading.RLock = field(factory=threading.RLock, init=False)
    # When each worker was killed; who was stopped, what was squeezed, and whose runs
    # were cancelled, with all the spans of that.
    _kills: dict[int, float] = field(factory=dict, init=False)
    _spans: dict[tuple[str, object], list[Span]] = field(factory=dict, init=False)
    # The killed workers that a result was blamed on; and how many results were whose
    # callable had not noted that it had started.
    _blamed: set[int] = field(factory=set, init=False)
    _blamed_unseen: int = field(default=0, init=False)
    # Those that have started a callable, as far as their runs are over.
    _started: set[int] = field(factory=set, init=False)

    def count(self, what: str, number: int = 1) -> None:
        """So many more of this."""
        with self._lock:
            self.counts[what] += number

    def report_violation(self, where: str, what: str) -> None:
        """Something must not be: say so at once."""
        with self._lock:
            self.violations.append(Violation(where, what))
            self._say(f"VIOLATION {where}: {what}")

    # What is done

    def record_kill(self, worker: int) -> bool:
        """This worker is about to be killed; gives whether it was not before."""
        with self._lock:
            if worker in self._kills:
                return False
            self._kills[worker] = time.monotonic()
            self.counts["kills"] += 1
            return True

    def withdraw_kill(self, worker: int) -> None:
        """It was gone already."""
        with self._lock:
            self._kills.pop(worker)
            self.counts["kills"] -= 1

    @contextmanager
    def during(self, what: str, whom: object = None) -> Iterator[None]:
        """What is done within lasts as long as that: "stop", "squeeze" or "cancel"."""
        with self._lock:
            self.counts[f"{what}s"] += 1
            spans = self._spans.setdefault((what, whom), [])
            began = time.monotonic()
            spans.append(Span(began, float("inf")))
        try:
            yield
        finally:
            with self._lock:
                spans.remove(Span(began, float("inf")))
                spans.append(Span(began, time.monotonic()))

    # What it explains

    def lasted(self, what: str, whom: object, span: Span) -> bool:
        """Whether this was done to whom (None: to anybody) in this time."""
        with self._lock:
            return any(
                span.overlaps(other)
                for (done, to), spans in self._spans.items()
                if done == what and whom in (None, to)
                for other in spans
            )

    def kills_in(self, span: Span) -> int:
        """How many workers were killed in this time."""
        with self._lock:
            return sum(span.begin <= at <= span.end for at in self._kills.values())

    def foiled_starts_in(self, span: Span) -> int:
        """How many workers were killed in this time that are not known to have done anything."""
        with self._lock:
            return sum(
                span.begin <= at <= span.end and worker not in self._started
                for worker, at in self._kills.items()
            )

    def record_starts(self, workers: Iterable[int]) -> None:
        """These have started callables."""
        with self._lock:
            self._started.update(workers)

    def blame(self, worker: int | None, span: Span) -> str:
        """A result of this time says that its worker was killed, this one if that is known.

        Gives what is wrong with that, if anything.
        """
        with self._lock:
            if worker is None:
                self._blamed_unseen += 1
                return "" if self.kills_in(span) else "nobody was killed"
            if worker not in self._kills:
                return "its worker was not killed"
            if worker in self._blamed:
                return "another result was blamed on its worker's death"
            self._blamed.add(worker)
            return ""

    def close_epoch(self) -> None:
        """All runs are over: check the balance, and forget it."""
        with self._lock:
            blamed = len(self._blamed) + self._blamed_unseen
            self.counts["blamed on kills"] += blamed
            if blamed > len(self._kills):
                self.report_violation("epoch", f"{blamed} results blamed on {len(self._kills)} kills")
            self._kills.clear()
            self._spans.clear()
            self._blamed.clear()
            self._started.clear()
            self._blamed_unseen = 0
