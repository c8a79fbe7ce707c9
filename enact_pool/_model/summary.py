"""A summary of results: how many there are of each outcome, and the failures grouped by cause.

Failures are in one group if they are of one kind and happened at one line of the user's code. If
their texts differ in more than numbers, they are in separate groups, unless that line has too many
different texts. So the summary of ten thousand results stays readable.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

from attrs import define, field, frozen

from enact_pool._model.failure_causes import Cause, FailureKind, cause_of, first_line, kind_of
from enact_pool._model.results import Err, ParallelResult, Tally
from enact_pool._python.durations import duration_text
from enact_pool._python.public_names import public

__all__ = ["FailureGroup", "Summary", "summarize"]

# How many indexes a group keeps.
_MOST_INDEXES = 20
# With more different texts at one line, each text seems to be different.
_MOST_TEXTS = 5
# How many indexes, and how many groups, `str` shows.
_SHOWN_INDEXES, _SHOWN_GROUPS = 8, 20


@public
@frozen
class FailureGroup:
    """Results that are not `Ok`, for one cause.

    Attributes:
        kind: What happened.
        cause: Why and where, in words.
        count: How many results the group has.
        indexes: The indexes of the first 20 of these results, from 0.
        example: The first of these results.
    """

    kind: FailureKind
    cause: str
    count: int
    indexes: tuple[int, ...]
    example: ParallelResult[Any]

    @property
    def _output(self) -> Err:
        output = self.example.output
        if not isinstance(output, Err):
            raise TypeError(f"example must be a result that is not Ok, not {self.example!r}")
        return output

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, as JSON-able values."""
        output, error = self._output, self.example.error
        return {
            "kind": self.kind,
            "cause": self.cause,
            "count": self.count,
            "indexes": list(self.indexes),
            "example": {
                "index": self.indexes[0],
                "agent_name": self.example.agent_name,
                "execution_id": str(self.example.execution_id),
                "error": output.error,
                "type": output.type,
                "traceback": output.traceback,
                "execution_error": None if error is None else error.to_dict(),
                "duration_ms": self.example.duration_ms,
            },
        }

    def __str__(self) -> str:
        lines = [f"{self.count} x {self.cause}"]
        text = first_line(self._output.error)
        if self.example.error is None and not self.cause.endswith(text):
            lines.append(f"    {text}")
        shown = ", ".join(map(str, self.indexes[:_SHOWN_INDEXES]))
        more = ", ..." if self.count > _SHOWN_INDEXES else ""
        lines.append(f"    index {shown}{more}")
        return "\n".join(lines)


@public
@frozen
class Summary:
    """How many results have which outcome, and their failures: see `summarize`.

    Attributes:
        ok: How many results are `Ok`.
        failed: How many callables raised.
        crashed: How many callables could not run to their end: the worker died, was killed for a
            limit violation, or could not be started.
        cancelled: How many callables were cancelled.
        duration_ms: The sum of the callables' times in their workers, in milliseconds.
        longest_ms: The longest of these times.
        groups: The groups of failures, the largest first.
    """

    ok: int
    failed: int
    crashed: int
    cancelled: int
    duration_ms: float
    longest_ms: float
    groups: tuple[FailureGroup, ...]

    @property
    def total(self) -> int:
        """The number of results."""
        return self.ok + self.failed + self.crashed + self.cancelled

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, as JSON-able values."""
        return {
            "total": self.total,
            "ok": self.ok,
            "failed": self.failed,
            "crashed": self.crashed,
            "cancelled": self.cancelled,
            "duration_ms": self.duration_ms,
            "longest_ms": self.longest_ms,
            "groups": [group.to_dict() for group in self.groups],
        }

    def __str__(self) -> str:
        counts = [f"{self.ok} ok"]
        counts += [
            f"{count} {name}"
            for name in ("failed", "crashed", "cancelled")
            if (count := getattr(self, name))
        ]
        headline = f"{self.total} results: {', '.join(counts)}"
        if self.longest_ms:
            longest = duration_text(self.longest_ms)
            headline += f"; {duration_text(self.duration_ms)} of work, the longest {longest}"
        blocks = [headline, *map(str, self.groups[:_SHOWN_GROUPS])]
        if rest := self.groups[_SHOWN_GROUPS:]:
            count = sum(group.count for group in rest)
            blocks.append(f"{count} more, for {len(rest)} other causes")
        return "\n\n".join(blocks)


@public
def summarize(results: Iterable[ParallelResult[Any]]) -> Summary:
    """Count results, and group those that are not `Ok` by cause.

    Two exceptions have one cause if they have the same type and were raised at the same line: the
    last line of the user's own code, if there is one, rather than the library line that it called.
    Two crashes have one cause if they have the same signal or exit code, the same top of the Python
    stack and the same line of the user's code. Different texts at one line are different causes,
    up to 5; numbers, addresses and ids in texts are ignored.

    Args:
        results: The results; the summary keeps one of each group.

    Raises:
        TypeError: An element is not a `ParallelResult`.
    """
    tally = Tally()
    places: dict[tuple[str, ...], _Place] = {}
    total_ms = longest_ms = 0.0
    for index, result in enumerate(results):
        if not isinstance(result, ParallelResult):
            raise TypeError(
                f"results[{index}] must be a ParallelResult, not {type(result).__name__}"
            )
        total_ms += result.duration_ms
        longest_ms = max(longest_ms, result.duration_ms)
        tally.add([result])
        output = result.output
        if not isinstance(output, Err):
            continue
        kind = kind_of(result)
        cause = cause_of(output, result.error)
        place = places.setdefault((kind, *cause.place), _Place(kind))
        place.add(cause, index, result)
    groups = [
        FailureGroup(place.kind, group.cause, group.count, tuple(group.indexes), group.example)
        for place in places.values()
        for group in place.groups.values()
    ]
    groups.sort(key=lambda group: (-group.count, group.indexes))
    return Summary(
        tally.ok,
        tally.failed,
        tally.crashed,
        tally.cancelled,
        total_ms,
        longest_ms,
        tuple(groups),
    )


@define
class _Group:
    cause: str
    example: ParallelResult[Any]
    count: int = 0
    indexes: list[int] = field(factory=list)


@define
class _Place:
    """The failures at one line: groups by the pattern of their text, or one group if too many."""

    kind: FailureKind
    groups: dict[str, _Group] = field(factory=dict)
    _is_mixed: bool = False

    def add(self, cause: Cause, index: int, result: ParallelResult[Any]) -> None:
        pattern = cause.pattern
        if self._is_mixed:
            pattern = ""
        elif pattern not in self.groups and len(self.groups) == _MOST_TEXTS:
            self._mix()
            pattern = ""
        group = self.groups.setdefault(pattern, _Group(cause.text, result))
        group.count += 1
        if len(group.indexes) < _MOST_INDEXES:
            group.indexes.append(index)

    def _mix(self) -> None:
        groups = list(self.groups.values())
        mixed = groups[0]
        mixed.count = sum(group.count for group in groups)
        indexes = sorted(index for group in groups for index in group.indexes)
        mixed.indexes = list(islice(indexes, _MOST_INDEXES))
        self.groups = {"": mixed}
        self._is_mixed = True
