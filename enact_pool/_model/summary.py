"""A summary of results: how many came to what, and the failures by their causes.

Failures are of one group if they are of one kind and happened at one line of the
user's; those whose texts differ in more than numbers are told apart if the texts of
that line are few. So ten thousand results make a text that can be read.
"""

from __future__ import annotations

import re
import site
import sysconfig
from collections.abc import Iterable
from itertools import islice
from typing import Any, Literal

from attrs import define, field, frozen

from enact_pool._model.errors import ExecutionError, ExecutionErrorCategory
from enact_pool._model.results import Err, ParallelResult, Tally, outcome_of
from enact_pool._python.durations import duration_text

__all__ = ["FailureGroup", "FailureKind", "Summary", "summarize"]

FailureKind = Literal["failed", "crashed", "timeout", "quota_exceeded", "cancelled", "not_started"]

# Of how many results of a group the indexes are kept.
_MOST_INDEXES = 20
# With more texts than that at one line, each seems to be different.
_MOST_TEXTS = 5
# How much of a text is shown, and compared.
_SHOWN_CHARS = 200
# How many of the indexes, and of the groups, are written out in a text.
_SHOWN_INDEXES, _SHOWN_GROUPS = 8, 20

# What of texts may differ in one group: words with digits in them (numbers, addresses, ids).
_NUMBER = re.compile(r"(?<![\w.:+-])[\w.:+-]*\d[\w.:+-]*")
# In a traceback, and in what faulthandler writes.
_FRAME = re.compile(r'^(?:  |  \|   )File "(.+)", line (\d+)(?:, in | in )(.+)$')
_HEADERS = ("Traceback (most recent call last):", "  + Exception Group Traceback (most rec")

_LIBRARIES = tuple(
    f"{folder}/"
    for folder in (
        *map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")),
        *site.getsitepackages(),
        site.getusersitepackages(),
    )
)


@frozen
class FailureGroup:
    """Results that are not `Ok`, for one cause.

    `kind` says what happened, `cause` why and where, in words. `indexes` are those of
    the first 20 of them, from 0, and `example` is the first.
    """

    kind: FailureKind
    cause: str
    count: int
    indexes: tuple[int, ...]
    example: ParallelResult[Any]

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as JSON-able values."""
        output, error = self.example.output, self.example.error
        assert isinstance(output, Err)
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
        output = self.example.output
        assert isinstance(output, Err)
        lines = [f"{self.count} x {self.cause}"]
        text = _first_line(output.error)
        if self.example.error is None and not self.cause.endswith(text):
            lines.append(f"    {text}")
        shown = ", ".join(map(str, self.indexes[:_SHOWN_INDEXES]))
        more = ", ..." if self.count > _SHOWN_INDEXES else ""
        lines.append(f"    index {shown}{more}")
        return "\n".join(lines)


@frozen
class Summary:
    """What results came to: see `summarize`.

    `crashed` counts those that could not run to their end: the worker died, was
    killed for a limit, or could not be started. `duration_ms` is the time of all of
    them in their workers, `longest_ms` that of the longest. `groups` are those of
    the failures, the largest first.
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
        """How many results there are."""
        return self.ok + self.failed + self.crashed + self.cancelled

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as JSON-able values."""
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


def summarize(results: Iterable[ParallelResult[Any]]) -> Summary:
    """Count results, and group those that are not `Ok` by cause; keeps one of each group.

    Exceptions are of one cause if their types and the lines that raised them are the
    same: the last line of the user's own, if there is one, rather than the library's
    that it called. Crashes are if the signal or exit code, the top of the Python stack
    and the user's line are. Texts that differ at one line make causes of their own, up
    to 5; numbers, addresses and ids in them make no difference.

    Raises `TypeError` for what is no result.
    """
    tally = Tally()
    places: dict[tuple[str, ...], _Place] = {}
    total_ms = longest_ms = 0.0
    for index, result in enumerate(results):
        if not isinstance(result, ParallelResult):
            raise TypeError(f"results[{index}] is no ParallelResult, but {type(result).__name__}")
        total_ms += result.duration_ms
        longest_ms = max(longest_ms, result.duration_ms)
        tally.add([result])
        output = result.output
        if not isinstance(output, Err):
            continue
        kind = _kind(result)
        cause, key, text = _cause(kind, output, result.error)
        place = places.setdefault((kind, *key), _Place(kind))
        place.add(text, cause, index, result)
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
    """What happened at one line: groups by their texts, or one if there are too many."""

    kind: FailureKind
    groups: dict[str, _Group] = field(factory=dict)
    _is_mixed: bool = False

    def add(self, text: str, cause: str, index: int, result: ParallelResult[Any]) -> None:
        if self._is_mixed:
            text = ""
        elif text not in self.groups and len(self.groups) == _MOST_TEXTS:
            self._mix()
            text = ""
        group = self.groups.setdefault(text, _Group(cause, result))
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


def _kind(result: ParallelResult[Any]) -> FailureKind:
    """Return the outcome of a result that is not ok; of those that crashed, in which way."""
    error = result.error
    if error is None:
        return "cancelled" if outcome_of(result) == "cancelled" else "failed"
    if error.category is ExecutionErrorCategory.TIMEOUT:
        return "timeout"
    if error.category is ExecutionErrorCategory.QUOTA_EXCEEDED:
        return "quota_exceeded"
    return "not_started" if error.code == "start_failed" else "crashed"


def _cause(
    kind: FailureKind, output: Err, error: ExecutionError | None
) -> tuple[str, tuple[str, ...], str]:
    """The cause in words, what failures of one place have in common, and what of their text."""
    if error is None:
        user, _ = _origin(_frames_of_traceback(output.traceback))
        if user:
            cause = f"{output.type} at {user}"
        else:
            cause = _first_line(output.error)
            if output.type not in cause:
                cause = f"{output.type}: {cause}"
        return cause, (output.type, user), _NUMBER.sub("#", output.error[:_SHOWN_CHARS])
    # Whom it happened to is told by the indexes.
    says = error.message
    if "index" in error.details and "name" in error.details:
        who = f"callable {error.details['index']} ({error.details['name']})"
        before, _, after = says.partition(who)
        says = before.strip() or after.strip()
    cause = _first_line(says)
    user, top = _origin(_frames_of_stack(output.traceback))
    if user:
        cause += f", at {user}"
    if top != user:
        cause += f" (in {top})"
    return cause, (str(error.code), user, top), _NUMBER.sub("#", says[:_SHOWN_CHARS])


_Frame = tuple[str, str, str]


def _frames_of_traceback(traceback: str) -> list[_Frame]:
    """The frames of the exception that ended the callable, without its causes; the last first."""
    lines = traceback.split("\n")
    starts = [at for at, line in enumerate(lines) if line.startswith(_HEADERS)]
    for start in reversed(starts):
        # A text may have a traceback in it; then it comes behind that of its exception.
        if start == 0 or (not lines[start - 1] and lines[start - 2].endswith("exception:")):
            break
    else:
        return []
    frames = []
    for line in lines[start + 1 :]:
        if not line.startswith("  "):
            break
        if found := _FRAME.match(line):
            frames.append((found[1], found[2], found[3]))
        elif line.startswith("  | ") and not line.startswith("  |  "):
            break
    return frames[::-1]


def _frames_of_stack(stack: str) -> list[_Frame]:
    """The frames that faulthandler wrote, the last first."""
    found = map(_FRAME.match, stack.split("\n"))
    return [(match[1], match[2], match[3]) for match in found if match is not None]


def _origin(frames: list[_Frame]) -> tuple[str, str]:
    """Where it happened: in the user's code, and at all; of those that come last first."""
    spelled = [f"{path}:{line}, in {function}" for path, line, function in frames]
    own = [
        text
        for text, (path, _, _) in zip(spelled, frames, strict=True)
        if not path.startswith(("<frozen ", *_LIBRARIES))
    ]
    top = next(iter(spelled), "")
    return next(iter(own), top), top


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= _SHOWN_CHARS else line[:_SHOWN_CHARS] + "..."
