"""The outcome of a callable: `Ok` or `Err`, inside a `ParallelResult`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, Literal, NoReturn, TypeVar

from attrs import define, field, frozen

from enact_pool._model.errors import ExecutionError
from enact_pool._model.ids import ExecutionId
from enact_pool._python.durations import duration_text
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.public_names import public
from enact_pool._python.reprs import bounded_repr, failed_repr_text

__all__ = [
    "CANCELLED",
    "OUTCOME_TYPE_IDS",
    "Err",
    "Ok",
    "Outcome",
    "ParallelResult",
    "RemoteError",
    "Tally",
    "outcome_of",
]

# What a task can end as; `outcome_of` says which.
Outcome = Literal["ok", "failed", "crashed", "cancelled"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@public
class RemoteError(Exception):
    """The exception of `Err.unwrap`; its text ends with the worker's own traceback.

    Attributes:
        err: The `Err`.
    """

    def __init__(self, err: Err) -> None:
        super().__init__(err)
        self.err = err

    def __str__(self) -> str:
        return str(self.err)


# How many characters of a value, and of an error's text, a `repr` shows.
_VALUE_LIMIT, _TEXT_LIMIT = 200, 500


def _shown(value: object, limit: int) -> str:
    """Return a repr of bounded size, even if the object's own `__repr__` raises."""
    try:
        return bounded_repr(value, limit)
    except BaseException as failure:
        raise_interrupt(failure)
        return failed_repr_text(value, failure)


@public
@frozen(repr=False)
class Ok(Generic[T_co]):
    """The callable returned `value`."""

    value: T_co
    is_ok: ClassVar[Literal[True]] = True

    def unwrap(self) -> T_co:
        """Return the value."""
        return self.value

    def __repr__(self) -> str:
        return f"Ok({_shown(self.value, _VALUE_LIMIT)})"


@public
@frozen(repr=False)
class Err:
    """The callable did not return a value.

    Its `str` ends with the traceback; its `repr` is short. `type` and `traceback` are ignored in
    comparisons: `Err("boom") == Err("boom")`.

    Attributes:
        error: Why there is no value.
        type: The qualified name of the exception's type (of built-in types without the module);
            empty if there is none.
        traceback: The worker's traceback, or the Python stack at a crash; empty if there is none.
    """

    error: str
    type: str = field(default="", eq=False)
    traceback: str = field(default="", eq=False)
    # The pickled exception, for futures; nothing else unpickles it.
    _pickled: bytes = field(default=b"", eq=False, repr=False, alias="pickled")
    is_ok: ClassVar[Literal[False]] = False

    def unwrap(self) -> NoReturn:
        """Raise `RemoteError`."""
        raise RemoteError(self)

    @property
    def _headline(self) -> str:
        return f"{self.type}: {self.error}" if self.type else self.error

    def _text_below(self, headline: str) -> str:
        return f"{headline}\n\n{self.traceback.rstrip()}" if self.traceback else headline

    def __str__(self) -> str:
        return self._text_below(self._headline)

    def __repr__(self) -> str:
        kind = f", type={_shown(self.type, _VALUE_LIMIT)}" if self.type else ""
        return f"Err({_shown(self.error, _TEXT_LIMIT)}{kind})"


# The output of a task that was cancelled.
CANCELLED = Err("cancelled")

# The ids of the types of outputs (a metaclass may make types unhashable). If a callable itself
# returns an `Ok` or `Err`, it is wrapped, so that it is not mistaken for an outcome.
OUTCOME_TYPE_IDS = frozenset({id(Ok), id(Err)})


# How to decode bytes that are not UTF-8.
_ESCAPED = "backslashreplace"


def _as_output(output: Any) -> Ok[Any] | Err:
    return output if id(type(output)) in OUTCOME_TYPE_IDS else Ok(output)


@public
@define(match_args=False, repr=False)
class ParallelResult(Generic[T]):
    """The outcome of one callable.

    Its `repr` is short for any value; its `str` ends with the traceback, if there is one.
    Comparisons ignore `stdout` and `stderr`.

    Attributes:
        agent_name: The name of the callable, or "unknown" if its worker died.
        execution_id: The id of the execution.
        output: An `Ok` or an `Err`.
        error: Set if the execution failed outside the callable: for example, the worker died.
        duration_ms: Milliseconds in the worker from the callable's start to its end, or to the
            death of the worker (which the parent may notice late, while code of the caller runs);
            0.0 if the callable never started.
        stdout, stderr: What the callable printed, up to the death of its worker; empty without
            `capture_output=True`.
    """

    __match_args__ = ("agent_name", "execution_id", "output", "error", "duration_ms")

    # Results are made by the ten thousand, and most of their fields are never read: an id may still
    # be a number, and a value may not be in an `Ok` yet.
    agent_name: str
    _execution_id: ExecutionId | int = field(alias="execution_id", eq=ExecutionId.spelled)
    _output: Ok[T] | Err = field(alias="output", eq=_as_output)
    error: ExecutionError | None = None
    duration_ms: float = 0.0
    # To stdout and to stderr; None if the callable printed nothing.
    _captured: tuple[bytes, bytes] | None = field(default=None, alias="printed", eq=False)

    @property
    def execution_id(self) -> ExecutionId:
        """The id of this execution, made before its task was sent, or after its worker had died."""
        self._execution_id = ExecutionId.spelled(self._execution_id)
        return self._execution_id

    @property
    def output(self) -> Ok[T] | Err:
        """The outcome as an `Ok` or an `Err`."""
        output = self._output = _as_output(self._output)
        return output

    @property
    def stdout(self) -> str:
        """What the callable printed to stdout; empty if it was not captured.

        Bytes that are not UTF-8 are backslash escapes.
        """
        return self._captured_from(0)

    @property
    def stderr(self) -> str:
        """What the callable printed to stderr, likewise."""
        return self._captured_from(1)

    def _captured_from(self, stream: int) -> str:
        return "" if self._captured is None else self._captured[stream].decode("utf-8", _ESCAPED)

    def __repr__(self) -> str:
        error = ""
        if self.error is not None:
            # The output contains the message.
            error = f", error=<{self.error.category}: {self.error.code}>"
        name = _shown(self.agent_name, _VALUE_LIMIT)
        return (
            f"ParallelResult(agent_name={name}, output={self.output!r}{error}, "
            f"duration_ms={self.duration_ms:.3g})"
        )

    def __str__(self) -> str:
        output = self.output
        if self.error is not None:
            return str(output)  # contains the name and the duration already
        took = f" ({duration_text(self.duration_ms)})" if self.duration_ms else ""
        if isinstance(output, Ok):
            return f"{self.agent_name}: {output!r}{took}"
        return output._text_below(f"{self.agent_name}: {output._headline}{took}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (
            self.agent_name,
            self.execution_id,
            self.output,
            self.error,
            self.duration_ms,
            self._captured,
        )


def outcome_of(result: ParallelResult[Any]) -> Outcome:
    """Return what a task ended as.

    Returns:
        "ok": The callable returned.
        "failed": It raised, or it or its value could not be pickled: an `Err` of its own.
        "crashed": It could not run to its end: its worker died, was killed for a limit
            violation, or could not be started. The result has an `error`.
        "cancelled": It was killed on request, or never started.
    """
    if result.error is not None:
        return "crashed"
    output = result._output
    if type(output) is not Err:
        return "ok"
    # By its value, not its identity: results are pickled. (What a callable raises has a type.)
    return "cancelled" if output == CANCELLED and not output.type else "failed"


@define
class Tally:
    """The number of results with each outcome."""

    ok: int = 0
    failed: int = 0
    crashed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """The number of results."""
        return self.ok + self.failed + self.crashed + self.cancelled

    def add(self, results: Sequence[ParallelResult[Any]]) -> None:
        """Count these results."""
        for outcome, count in Counter(map(outcome_of, results)).items():
            setattr(self, outcome, getattr(self, outcome) + count)

    def mishaps(self) -> dict[str, int]:
        """Return the numbers of results that are not ok, by outcome, without zeros."""
        counts = {"failed": self.failed, "crashed": self.crashed, "cancelled": self.cancelled}
        return {outcome: count for outcome, count in counts.items() if count}

    def mishaps_text(self) -> str:
        """Return these numbers as a text: "3 failed, 1 crashed"."""
        return ", ".join(f"{count} {outcome}" for outcome, count in self.mishaps().items())
