"""The data of page.js: columns of numbers, and tables of the texts that the numbers refer to."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Iterable
from typing import Any

from attrs import define, field

from enact_pool.timeline.history import Ending, History, WorkerMark, bounded
from enact_pool.timeline.rows import Row

__all__ = ["columns_of"]

_NAME_LIMIT = 120
_ERROR_LIMIT = 400
_TRACEBACK_LIMIT = 3_000
# The characters of all texts of errors: a larger page would open slowly.
_TEXTS_LIMIT = 4_000_000
_LEFT_OUT = "(left out: there are too many errors for one page)"


def columns_of(history: History, endings: list[Ending]) -> dict[str, Any]:
    """Return the history as JSON-able values; an ending is its index in `endings`.

    Columns are little-endian numbers in base 64, of the types that page.js expects.
    """
    slices = history.slices
    names, texts = _Table(), _Table(_TEXTS_LIMIT)
    numbers = {row: number for number, row in enumerate(history.rows)}
    spans = [each.span for each in slices]
    return {
        "rows": [row.label for row in history.rows],
        "start": _column("d", (each.start for each in slices)),
        "duration": _column("f", (each.duration for each in slices)),
        "waited": _column("f", (each.waited for each in slices)),
        "row": _column("I", (numbers[each.row] for each in slices)),
        "ending": _column("B", (endings.index(each.ending) for each in slices)),
        "index": _column("I", (span.index for span in spans)),
        "pid": _column("I", (span.worker_pid or 0 for span in spans)),
        "name": _column("I", (names.number(span.name, _NAME_LIMIT) for span in spans)),
        "error": _column("I", (texts.number(each.error, _ERROR_LIMIT) for each in slices)),
        "traceback": _column(
            "I", (texts.number(each.traceback, _TRACEBACK_LIMIT) for each in slices)
        ),
        "deaths": _marks(history.deaths, numbers, texts),
        "respawns": _marks(history.respawns, numbers, texts),
        "names": names.texts,
        "texts": texts.texts,
    }


def _marks(marks: Iterable[WorkerMark], numbers: dict[Row, int], texts: _Table) -> dict[str, str]:
    marks = list(marks)
    return {
        "time": _column("d", (mark.time for mark in marks)),
        "row": _column("I", (numbers[mark.row] for mark in marks)),
        "pid": _column("I", (mark.worker_pid for mark in marks)),
        "reason": _column("I", (texts.number(mark.reason, _ERROR_LIMIT) for mark in marks)),
    }


def _column(kind: str, numbers: Iterable[float]) -> str:
    column = array(kind, numbers)
    if sys.byteorder == "big":
        column.byteswap()
    return base64.b64encode(column.tobytes()).decode()


@define
class _Table:
    """A table of distinct texts; the first is the empty text.

    When the table has no more room for characters, further texts are left out.
    """

    _room: float = float("inf")
    texts: list[str] = field(factory=lambda: [""], init=False)
    _numbers: dict[str, int] = field(factory=lambda: {"": 0}, init=False)

    def number(self, text: str, limit: int) -> int:
        """Return the index of a text, cut to `limit` characters."""
        text = bounded(text, limit)
        if text not in self._numbers:
            if len(text) > self._room:
                return self.number(_LEFT_OUT, limit) if text != _LEFT_OUT else 0
            self._room -= len(text)
            self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return self._numbers[text]
