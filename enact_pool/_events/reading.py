"""Reading: from plain values, as JSON has them, back to events, spans and errors.

Each kind of them has exactly the fields that its `to_dict` writes, and a reader for
each, which gives the value or raises `ValueError` with what is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import isfinite
from reprlib import repr
from typing import Any, NoReturn, TypeVar, get_args

from enact_pool._events import events, live_events
from enact_pool._events.events import Span, StreamEvent
from enact_pool._model.errors import ExecutionError, ExecutionErrorCategory
from enact_pool._model.ids import ExecutionId, StepId
from enact_pool._model.results import Outcome

__all__ = ["read_error", "read_event", "read_json", "read_span"]

Event = TypeVar("Event", bound=StreamEvent)
Reader = Callable[[Any], Any]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{repr(value)} is no text")
    return value


def _integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{repr(value)} is no integer")
    return value


def _number(value: Any) -> float:
    if isinstance(value, float) and isfinite(value):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{repr(value)} is no finite number")
    return value


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{repr(value)} is no mapping")
    return dict(value)


def _or_none(read: Reader) -> Reader:
    return lambda value: None if value is None else read(value)


def _execution_id(value: Any) -> ExecutionId:
    return ExecutionId(_text(value))


def _step_id(value: Any) -> StepId:
    return StepId(_text(value))


def _one_of(*known: str) -> Reader:
    def read(value: Any) -> str:
        if value not in known:
            raise ValueError(f"{repr(value)} is none of {', '.join(known)}")
        return _text(value)

    return read


def read_error(mapping: object) -> ExecutionError:
    """See `ExecutionError.from_dict`."""
    return ExecutionError(**_fields("an error", mapping, _ERROR))


def read_span(mapping: object) -> Span:
    """See `Span.from_dict`."""
    return Span(**_fields("a span", mapping, _SPAN))


def read_event(kind: type[Event], mapping: object) -> Event:
    """See `StreamEvent.from_dict`; the event is of this kind, or it is refused."""
    if not isinstance(mapping, Mapping):
        raise ValueError(f"an event must be a mapping with its fields, not {repr(mapping)}")
    fields = dict(mapping)
    type = fields.pop("type", None)
    if type is None:
        raise ValueError("an event must have a type")
    found = _KINDS.get(type) if isinstance(type, str) else None
    if found is None:
        raise ValueError(f"there is no event of type {repr(type)}")
    if not issubclass(found, kind):
        raise ValueError(f"a {kind.type} was expected, not a {type}")
    readers = _READERS[found]
    if "span" in fields:
        readers = {**readers, "span": read_span}
    return found(**_fields(f"a {type}", fields, readers))


def read_json(kind: type[Event], text: str) -> Event:
    """See `StreamEvent.from_json`."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("the text is no event: it is nested too deep") from None
    except ValueError as error:
        raise ValueError(f"the text is no JSON: {error}") from None
    return read_event(kind, value)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number there")


def _fields(what: str, mapping: object, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """The fields of this mapping, as they were read, if it has exactly those."""
    if not isinstance(mapping, Mapping):
        raise ValueError(f"{what} must be a mapping with its fields, not {repr(mapping)}")
    if mapping.keys() != readers.keys():
        for name in readers:
            if name not in mapping:
                raise ValueError(f"{what} must have {name}")
        for name in mapping:
            if name not in readers:
                raise ValueError(f"{what} has no field {repr(name)}")
    fields = {}
    for name, read in readers.items():
        try:
            fields[name] = read(mapping[name])
        except ValueError as error:
            raise ValueError(f"{what} has a bad {name}: {error}") from None
    return fields


_ERROR: dict[str, Reader] = {
    "category": _one_of(*ExecutionErrorCategory),
    "message": _text,
    "code": _or_none(_text),
    "attempt": _integer,
    "details": _mapping,
    "occurred_at": _integer,
}

_SPAN: dict[str, Reader] = {
    "run_id": _execution_id,
    "index": _integer,
    "name": _text,
    "lane": _or_none(_integer),
    "worker_pid": _or_none(_integer),
    "queued_at": _number,
    "started_at": _or_none(_number),
    "finished_at": _or_none(_number),
    "outcome": _or_none(_one_of(*get_args(Outcome))),
    "traceback": _text,
}

# A name means the same in all kinds of events.
_NAMED: dict[str, Reader] = {
    "execution_id": _execution_id,
    "step_id": _step_id,
    "timestamp": _integer,
    "duration_ms": _number,
    "output": _or_none(_text),
    "error": read_error,
    "reason": _text,
    "callables": _or_none(_integer),
    "max_workers": _integer,
    "ok": _integer,
    "failed": _integer,
    "crashed": _integer,
    "cancelled": _integer,
    "lane": _integer,
    "worker_pid": _integer,
    "resident_bytes": _integer,
}

_KINDS: dict[str, type[StreamEvent]] = {
    kind.type: kind
    for kind in (
        events.StepEnd,
        events.ExecutionFailed,
        events.ExecutionCancelled,
        live_events.ExecutionStart,
        live_events.ExecutionEnd,
        live_events.StepStart,
        live_events.WorkerStart,
        live_events.WorkerEnd,
        live_events.WorkerMemory,
    )
}

_READERS: dict[type[StreamEvent], dict[str, Reader]] = {
    kind: {name: _NAMED[name] for name in kind.__match_args__}  # type: ignore[attr-defined]
    for kind in _KINDS.values()
}
