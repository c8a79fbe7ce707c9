"""Events of outcomes, and the base class of all events, which writes and reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from reprlib import repr
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from attrs import define, field

from enact_pool._events.span import Span
from enact_pool._model.errors import ExecutionError, now_ms
from enact_pool._model.field_readers import (
    Reader,
    or_none,
    read_fields,
    read_integer,
    read_number,
    read_text,
)
from enact_pool._model.ids import ExecutionId, StepId
from enact_pool._model.results import Err, Ok
from enact_pool._python.public_names import public

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "ExecutionCancelled",
    "ExecutionFailed",
    "StepEnd",
    "StreamEvent",
]

# JSON has neither NaN nor infinities. Refuse them: only Python could read the text back.
_encode = json.JSONEncoder(allow_nan=False).encode


# The event classes of this package, by their `type`.
_event_classes: dict[str, type[StreamEvent]] = {}


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


@public
@define(match_args=False, repr=False)
class StreamEvent:
    """Something that happened in a run; the subclasses are the kinds of events.

    Ids and outputs are converted when they are read: events are made by the ten thousand, and most
    are never read.

    Attributes:
        type: The kind of event, as in JSON and in server-sent events.
        timestamp: Milliseconds since the epoch.
        span: Where and when the callable ran; None unless the emitter is live.
    """

    type: ClassVar[str]

    def __init_subclass__(cls) -> None:
        # Subclasses that users define have fields without a reader.
        if cls.__module__.startswith("enact_pool"):
            _event_classes[cls.type] = cls

    _execution_id: ExecutionId | int = field(alias="execution_id", eq=ExecutionId.spelled)
    span: Span | None = field(default=None, kw_only=True)

    @property
    def execution_id(self) -> ExecutionId:
        """The id of the execution: that of the callable's result, or that of a run."""
        self._execution_id = ExecutionId.spelled(self._execution_id)
        return self._execution_id

    @staticmethod
    def step_end(
        execution_id: ExecutionId | int,
        step_id: StepId | int,
        output: str | None,
        duration_ms: float,
    ) -> StepEnd:
        """Return the event of a callable that returned or raised."""
        return StepEnd(execution_id, step_id, output, duration_ms)

    @staticmethod
    def execution_failed(execution_id: ExecutionId | int, error: ExecutionError) -> ExecutionFailed:
        """Return the event of an execution that failed: for example, its worker died."""
        return ExecutionFailed(execution_id, error)

    @staticmethod
    def execution_cancelled(execution_id: ExecutionId | int, reason: str) -> ExecutionCancelled:
        """Return the event of an execution that was cancelled: killed, or never started."""
        return ExecutionCancelled(execution_id, reason)

    def _fields(self) -> dict[str, Any]:
        names = self.__match_args__  # type: ignore[attr-defined]
        fields = {name: getattr(self, name) for name in names}
        return fields if self.span is None else {**fields, "span": self.span}

    def to_dict(self) -> dict[str, Any]:
        """Return the type and the fields by name, as JSON-able values."""
        plain = {
            name: value.to_dict() if isinstance(value, (ExecutionError, Span)) else value
            for name, value in self._fields().items()
        }
        return {"type": self.type, **plain}

    def to_json(self) -> str:
        """Return the event as a JSON object, on one line and in ASCII.

        Raises:
            ValueError: A number is not finite.
            TypeError: The details of an error contain an object that JSON does not have.
        """
        return _encode(self.to_dict())

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Self:
        """Return the event whose `to_dict` is given; its "type" selects the class.

        Raises:
            ValueError: The mapping is not an event, or not one of this class: `StepEnd.from_dict`
                does not accept an `ExecutionFailed`.
        """
        if not isinstance(mapping, Mapping):
            raise ValueError(f"an event must be a mapping with its fields, not {repr(mapping)}")
        fields = dict(mapping)
        type = fields.pop("type", None)
        if type is None:
            raise ValueError("an event must have a type")
        found = _event_classes.get(type) if isinstance(type, str) else None
        if found is None:
            raise ValueError(f"there is no event of type {repr(type)}")
        if not issubclass(found, cls):
            raise ValueError(f"a {cls.type} was expected, not a {type}")
        names: tuple[str, ...] = found.__match_args__  # type: ignore[attr-defined]
        readers = {name: _READERS[name] for name in names}
        if "span" in fields:
            readers["span"] = Span.from_dict
        return found(**read_fields(f"a {type}", fields, readers))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the event whose `to_json` is given; raises what `from_dict` raises.

        It equals the original event, except that JSON turns two surrogates that form a pair into
        the character that they encode.
        """
        try:
            value = json.loads(text, parse_constant=_refuse)
        except RecursionError:
            raise ValueError("the text is not an event: it is nested too deep") from None
        except ValueError as error:
            raise ValueError(f"the text is not JSON: {error}") from None
        return cls.from_dict(value)

    def to_sse(self, id: object = None) -> str:
        """Return the event as a server-sent event: its id, its type, its JSON, and an empty line.

        Args:
            id: What a client sends as `Last-Event-ID` after it has lost its connection; default:
                the step's id, or the execution's if there is no step. The defaults of two outcomes
                differ, but the start of a step has the same as its end.

        Raises:
            ValueError: `id` contains a character that would end its line.
            Exception: What `to_json` raises.
        """
        if id is None:
            id = getattr(self, "step_id", self.execution_id)
        if not {"\n", "\r", "\0"}.isdisjoint(text := str(id)):
            raise ValueError(f"the id of a server-sent event cannot be {text!r}")
        return f"id: {text}\nevent: {self.type}\ndata: {self.to_json()}\n\n"

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self._fields().items())
        return f"{type(self).__name__}({fields})"


def _output_text(output: Any) -> str | None:
    if output is None or isinstance(output, str):
        return output
    if isinstance(output, Err):
        return f"Error: {output.error}"
    return str(output.value if isinstance(output, Ok) else output)


@public
@define(match_args=False, repr=False)
class StepEnd(StreamEvent):
    """A callable returned or raised.

    Attributes:
        step_id: The id of the step.
        output: The returned value as text (a `str` unchanged, anything else as a repr of bounded
            size), or `"Error: "` and the text of the exception.
        duration_ms: Milliseconds from the callable's start to its end, in the worker.
    """

    type = "data-step-end"

    __match_args__ = ("execution_id", "step_id", "output", "duration_ms", "timestamp")

    _step_id: StepId | int = field(alias="step_id", eq=StepId.spelled)
    # A text, or the output of a result: an `Err`, or a value that `str` shows, in an `Ok` or not.
    _output: Any = field(alias="output", eq=_output_text)
    duration_ms: float
    timestamp: int = field(factory=now_ms)

    @property
    def step_id(self) -> StepId:
        """The id of the step that ended."""
        self._step_id = StepId.spelled(self._step_id)
        return self._step_id

    @property
    def output(self) -> str | None:
        """The returned value as text, or `"Error: "` and the text of the exception."""
        text = _output_text(self._output)
        if not isinstance(self._output, Err):
            self._output = text
        return text

    @property
    def err(self) -> Err | None:
        """The `Err` of a callable that raised; None if it returned, or if the event was read."""
        return self._output if isinstance(self._output, Err) else None


@public
@define(match_args=False, repr=False)
class ExecutionFailed(StreamEvent):
    """An execution failed outside its callable, for example by a dead worker: see `error`."""

    type = "data-execution-failed"

    __match_args__ = ("execution_id", "error", "timestamp")

    error: ExecutionError
    timestamp: int = field(factory=now_ms)


@public
@define(match_args=False, repr=False)
class ExecutionCancelled(StreamEvent):
    """An execution was cancelled: it was killed, or never started. `reason` is the cause."""

    type = "data-execution-cancelled"

    __match_args__ = ("execution_id", "reason", "timestamp")

    reason: str
    timestamp: int = field(factory=now_ms)


# A field name means the same in all kinds of events.
_READERS: dict[str, Reader] = {
    "execution_id": ExecutionId.read,
    "step_id": StepId.read,
    "timestamp": read_integer,
    "duration_ms": read_number,
    "output": or_none(read_text),
    "error": ExecutionError.from_dict,
    "reason": read_text,
    "callables": or_none(read_integer),
    "max_workers": read_integer,
    "ok": read_integer,
    "failed": read_integer,
    "crashed": read_integer,
    "cancelled": read_integer,
    "lane": read_integer,
    "worker_pid": read_integer,
    "resident_bytes": read_integer,
}
