"""The report of a run: results as readable lines, or as JSON."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any, TextIO

from attrs import define, field

from enact_pool._model.results import Err, Outcome, ParallelResult, outcome_of
from enact_pool._python.reprs import display_text, type_name

__all__ = ["Report"]

_encode = json.JSONEncoder(allow_nan=False).encode


@define
class Report:
    """Writes results one by one, as they arrive, and counts them."""

    _stream: TextIO
    _as_json: bool
    _began: float = field(factory=time.monotonic, init=False)
    _counts: Counter[Outcome] = field(factory=Counter, init=False)

    def write(self, result: ParallelResult[Any]) -> None:
        """Write the next result. Raises `BrokenPipeError` if the reader closed the pipe."""
        index = self._counts.total()
        self._counts[outcome_of(result)] += 1
        self._stream.write((_json_line if self._as_json else _text)(index, result) + "\n")
        self._stream.flush()

    @property
    def all_ok(self) -> bool:
        """Whether all results are `Ok`."""
        return self._counts.total() == self._counts["ok"]

    def summary(self) -> str:
        """Return the number of results by outcome, and the duration of the run."""
        seconds = time.monotonic() - self._began
        total = self._counts.total()
        counts = ", ".join(f"{count} {outcome}" for outcome, count in self._counts.items())
        results = "1 result" if total == 1 else f"{total} results"
        return f"{results} in {seconds:.2f} s{': ' if counts else ''}{counts}"


def _name(result: ParallelResult[Any]) -> str:
    """Return the name of the callable, even if its worker died."""
    details = {} if result.error is None else result.error.details
    return str(details.get("name", result.agent_name))


def _text(index: int, result: ParallelResult[Any]) -> str:
    if isinstance(result.output, Err):
        kind = f"{result.output.type}: " if result.output.type else ""
        text = f"error: {kind}{result.output.error}"
    else:
        text = display_text(result.output.value)
    # Indented, so that no line of the text looks like the next result.
    text = text.replace("\n", "\n    ")
    return f"{index} {_name(result)}: {text}"


def _json_line(index: int, result: ParallelResult[Any]) -> str:
    line: dict[str, Any] = {
        "index": index,
        "name": _name(result),
        "execution_id": result.execution_id,
        "ok": result.output.is_ok,
    }
    duration = {"duration_ms": result.duration_ms}
    if isinstance(result.output, Err):
        err = result.output
        line |= {"error": err.error, "type": err.type or None, "traceback": err.traceback or None}
        if result.error is not None:
            line |= {"category": result.error.category, "details": result.error.details}
        return _encode(line | duration)
    value = result.output.value
    line["type"] = type_name(type(value))
    try:
        if _has_texts_as_keys(value):
            return _encode({**line, "value": value, **duration})
    except (TypeError, ValueError, RecursionError):
        pass  # JSON cannot represent the value
    return _encode({**line, "value": display_text(value), "value_is_repr": True, **duration})


def _has_texts_as_keys(value: Any) -> bool:
    """Return whether all keys in a value are texts: JSON turns other keys into texts."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _has_texts_as_keys(value[key]) for key in value)
    return not isinstance(value, (list, tuple)) or all(map(_has_texts_as_keys, value))
