"""Events: what happened, told in the order of the callables; or live, as it happens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from reprlib import repr
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, get_args

from attrs import asdict, define, field, frozen

from enact_pool._model.errors import ExecutionError, now_ms
from enact_pool._model.field_readers import (
    Reader,
    one_of,
    or_none,
    read_fields,
    read_integer,
    read_number,
    read_text,
)
from enact_pool._model.ids import ExecutionId, StepId
from enact_pool._model.results import Err, Ok, Outcome

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "ExecutionCancelled",
    "ExecutionFailed",
    "Span",
    "StepEnd",
    "StreamEvent",
]

# JSON has neither NaN nor infinities. What has them is refused, rather than written
# as what only Python reads.
_encode = json.JSONEncoder(allow_nan=False).encode


@frozen
class Span:
    """Where and when a callable ran, and to what end. Told to emitters that are live.

    `run_id` is the execution id of the run, which `ExecutionStart` has, `index` the
    callable's place in it, and `name` its name. `lane` is the number of the place in
    the pool where it ran, from 0 on: a worker that replaces a dead one takes its
    lane. The times are in milliseconds since the epoch, with fractions:
    `queued_at` when the callable was known to the run, `started_at` and
    `finished_at` as its worker says, or for one that died, as its parent saw it.
    Lane, worker and start are None for a callable that never started, and
    `finished_at` and `outcome` for one that has not finished. An outcome that is
    `"failed"` is an `Err` of the callable's own, with the worker's `traceback` if
    there is one; one that is `"crashed"` is its worker's death, or a limit's.
    """

    run_id: ExecutionId
    index: int
    name: str
    lane: int | None
    worker_pid: int | None
    queued_at: float
    started_at: float | None
    finished_at: float | None
    outcome: Outcome | None = None
    traceback: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, as JSON-able values."""
        return asdict(self, recurse=False)

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Span:
        """The span whose `to_dict` this was; raises `ValueError` for anything else."""
        return cls(**read_fields("a span", mapping, _SPAN))


# The kinds of events, by their types.
_kinds: dict[str, type[StreamEvent]] = {}


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number there")


@define(match_args=False, repr=False)
class StreamEvent:
    """Something that happened to one execution; its kinds are the subclasses.

    `type` names the kind, `timestamp` is in milliseconds since the epoch.
    `span` tells where and when a callable ran, to emitters that are live.
    Events are made by the ten thousand and most are never read, so ids and
    outputs are spelled out when asked for.
    """

    type: ClassVar[str]

    def __init_subclass__(cls) -> None:
        # Kinds that users make have fields that are not known here.
        if cls.__module__.startswith("enact_pool"):
            _kinds[cls.type] = cls

    _execution_id: ExecutionId | int = field(alias="execution_id", eq=ExecutionId.spelled)
    span: Span | None = field(default=None, kw_only=True)

    @property
    def execution_id(self) -> ExecutionId:
        """The execution that this is about: the `execution_id` of its result, or a run's."""
        self._execution_id = ExecutionId.spelled(self._execution_id)
        return self._execution_id

    @staticmethod
    def step_end(
        execution_id: ExecutionId | int,
        step_id: StepId | int,
        output: str | None,
        duration_ms: float,
    ) -> StepEnd:
        """A callable returned or raised."""
        return StepEnd(execution_id, step_id, output, duration_ms)

    @staticmethod
    def execution_failed(execution_id: ExecutionId | int, error: ExecutionError) -> ExecutionFailed:
        """An execution failed around its callable: its worker died, say."""
        return ExecutionFailed(execution_id, error)

    @staticmethod
    def execution_cancelled(execution_id: ExecutionId | int, reason: str) -> ExecutionCancelled:
        """An execution was cancelled: it was killed, or never started."""
        return ExecutionCancelled(execution_id, reason)

    def _fields(self) -> dict[str, Any]:
        names = self.__match_args__  # type: ignore[attr-defined]
        fields = {name: getattr(self, name) for name in names}
        return fields if self.span is None else {**fields, "span": self.span}

    def to_dict(self) -> dict[str, Any]:
        """The type and the fields by name, as JSON-able values."""
        plain = {
            name: value.to_dict() if isinstance(value, (ExecutionError, Span)) else value
            for name, value in self._fields().items()
        }
        return {"type": self.type, **plain}

    def to_json(self) -> str:
        """The event as a JSON object, on one line and in ASCII.

        Raises `ValueError` for a number that is not finite, and `TypeError` for
        details of an error that are no JSON.
        """
        return _encode(self.to_dict())

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Self:
        """The event whose `to_dict` this was, of the kind that it says.

        Raises `ValueError`, which says what is wrong, for anything else. Each kind
        takes its own only: `StepEnd.from_dict` no `ExecutionFailed`.
        """
        if not isinstance(mapping, Mapping):
            raise ValueError(f"an event must be a mapping with its fields, not {repr(mapping)}")
        fields = dict(mapping)
        type = fields.pop("type", None)
        if type is None:
            raise ValueError("an event must have a type")
        found = _kinds.get(type) if isinstance(type, str) else None
        if found is None:
            raise ValueError(f"there is no event of type {repr(type)}")
        if not issubclass(found, cls):
            raise ValueError(f"a {cls.type} was expected, not a {type}")
        names: tuple[str, ...] = found.__match_args__  # type: ignore[attr-defined]
        readers = {name: _NAMED[name] for name in names}
        if "span" in fields:
            readers["span"] = Span.from_dict
        return found(**read_fields(f"a {type}", fields, readers))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The event whose `to_json` this was; raises what `from_dict` raises.

        It is equal to that one, as far as JSON can tell: two surrogates in a row that
        make a pair come back as the character that they stand for.
        """
        try:
            value = json.loads(text, parse_constant=_refuse)
        except RecursionError:
            raise ValueError("the text is no event: it is nested too deep") from None
        except ValueError as error:
            raise ValueError(f"the text is no JSON: {error}") from None
        return cls.from_dict(value)

    def to_sse(self, id: object = None) -> str:
        """The event as a server-sent event: its id, its type and its JSON, and an empty line.

        `id` is what a client that has lost its connection sends as `Last-Event-ID`.
        By default it is the step's, or where there is none the execution's: enough to
        tell outcomes apart, but a step's start has the same as its end. Raises
        `ValueError` for one that would end its line, and what `to_json` raises.
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


@define(match_args=False, repr=False)
class StepEnd(StreamEvent):
    """A callable returned or raised.

    `output` is the returned value as text (a `str` as it is, anything else as
    a repr of bounded size), or `"Error: "` and the exception's text.
    `duration_ms` is the time from its start to its end in the worker.
    """

    type = "data-step-end"

    __match_args__ = ("execution_id", "step_id", "output", "duration_ms", "timestamp")

    _step_id: StepId | int = field(alias="step_id", eq=StepId.spelled)
    # May be no text yet, but what a result has: an error, or a value that shows
    # itself (see `texts`), in an `Ok` or not.
    _output: Any = field(alias="output", eq=_output_text)
    duration_ms: float
    timestamp: int = field(factory=now_ms)

    @property
    def step_id(self) -> StepId:
        """The step that ended."""
        self._step_id = StepId.spelled(self._step_id)
        return self._step_id

    @property
    def output(self) -> str | None:
        """The returned value as text, or `"Error: "` and the exception's text."""
        text = _output_text(self._output)
        if not isinstance(self._output, Err):
            self._output = text
        return text

    @property
    def err(self) -> Err | None:
        """What it came to if it raised, with the exception's type; None if it returned."""
        return self._output if isinstance(self._output, Err) else None


@define(match_args=False, repr=False)
class ExecutionFailed(StreamEvent):
    """An execution failed around its callable; `error` says how."""

    type = "data-execution-failed"

    __match_args__ = ("execution_id", "error", "timestamp")

    error: ExecutionError
    timestamp: int = field(factory=now_ms)


@define(match_args=False, repr=False)
class ExecutionCancelled(StreamEvent):
    """An execution was cancelled: it was killed, or never started; `reason` says for what."""

    type = "data-execution-cancelled"

    __match_args__ = ("execution_id", "reason", "timestamp")

    reason: str
    timestamp: int = field(factory=now_ms)


_SPAN: dict[str, Reader] = {
    "run_id": ExecutionId.read,
    "index": read_integer,
    "name": read_text,
    "lane": or_none(read_integer),
    "worker_pid": or_none(read_integer),
    "queued_at": read_number,
    "started_at": or_none(read_number),
    "finished_at": or_none(read_number),
    "outcome": or_none(one_of(*get_args(Outcome))),
    "traceback": read_text,
}

# A name means the same in all kinds of events.
_NAMED: dict[str, Reader] = {
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
