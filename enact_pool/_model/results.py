"""What a callable came to: `Ok` or `Err`, inside a `ParallelResult`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar, Generic, Literal, NoReturn, TypeVar

from attrs import define, field, frozen

from enact_pool._model.errors import ExecutionError
from enact_pool._model.ids import ExecutionId
from enact_pool._python.durations import duration_text
from enact_pool._python.interrupts import raise_interrupt
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


class RemoteError(Exception):
    """Raised by `Err.unwrap`: its text ends with the worker's own traceback.

    `err` is the `Err` that was unwrapped.
    """

    def __init__(self, err: Err) -> None:
        super().__init__(err)
        self.err = err

    def __str__(self) -> str:
        return str(self.err)


# How many characters of a value, and of an error's text, a `repr` shows.
_VALUE_LIMIT, _TEXT_LIMIT = 200, 500


def _shown(value: object, limit: int) -> str:
    """A repr of bounded size, of whatever it may be."""
    try:
        return bounded_repr(value, limit)
    except BaseException as failure:
        raise_interrupt(failure)
        return failed_repr_text(value, failure)


@frozen(repr=False)
class Ok(Generic[T_co]):
    """The callable returned `value`."""

    value: T_co
    is_ok: ClassVar[Literal[True]] = True

    def unwrap(self) -> T_co:
        """The value."""
        return self.value

    def __repr__(self) -> str:
        return f"Ok({_shown(self.value, _VALUE_LIMIT)})"


@frozen(repr=False)
class Err:
    """The callable has no value to give; `error` says why.

    Its `str` ends with the traceback, its `repr` is short.

    `type` is the qualified name of the exception's type (built-in ones
    without their module) and `traceback` the worker's traceback, or the
    Python stack at a crash; both are empty where there is none. They take no
    part in equality: `Err("boom") == Err("boom")`.
    """

    error: str
    type: str = field(default="", eq=False)
    traceback: str = field(default="", eq=False)
    # The pickled exception, for those who have asked for it: nobody else opens it.
    _pickled: bytes = field(default=b"", eq=False, repr=False, alias="pickled")
    is_ok: ClassVar[Literal[False]] = False

    def unwrap(self) -> NoReturn:
        """Raise `RemoteError`."""
        raise RemoteError(self)

    @property
    def _headline(self) -> str:
        return f"{self.type}: {self.error}" if self.type else self.error

    def _told(self, headline: str) -> str:
        return f"{headline}\n\n{self.traceback.rstrip()}" if self.traceback else headline

    def __str__(self) -> str:
        return self._told(self._headline)

    def __repr__(self) -> str:
        kind = f", type={_shown(self.type, _VALUE_LIMIT)}" if self.type else ""
        return f"Err({_shown(self.error, _TEXT_LIMIT)}{kind})"


# The output of a task that was cancelled.
CANCELLED = Err("cancelled")

# The ids of the types of outputs (a metaclass may make types unhashable). If a callable itself
# returns an `Ok` or `Err`, it is wrapped, so that it is not mistaken for an outcome.
OUTCOME_TYPE_IDS = frozenset({id(Ok), id(Err)})


# How bytes are decoded that cannot be.
_ESCAPED = "backslashreplace"


def _told(output: Any) -> Ok[Any] | Err:
    return output if id(type(output)) in OUTCOME_TYPE_IDS else Ok(output)


@define(match_args=False, repr=False)
class ParallelResult(Generic[T]):
    """The outcome of one callable.

    `agent_name` is the callable's name, or `"unknown"` if its worker died.
    `output` is an `Ok` or an `Err`. `error` is there when the execution
    failed around the callable, rather than in it: a dead worker, say.
    `duration_ms` is the time in the worker from the callable's start to its
    end, or to its worker's death, as far as that was seen at once (code of the
    caller's may have been running); 0.0 if it never started. `stdout` and `stderr`
    are what it has printed, in runs with `capture_output=True`: up to its
    worker's death if that died. They take no part in equality.

    Its `repr` is short, whatever the value is; its `str` ends with the traceback, if
    there is one.
    """

    __match_args__ = ("agent_name", "execution_id", "output", "error", "duration_ms")

    # Results are made by the ten thousand, and most are hardly looked at: an id may
    # be a number still, and a value as it is instead of in an `Ok`.
    agent_name: str
    _execution_id: ExecutionId | int = field(alias="execution_id", eq=ExecutionId.spelled)
    _output: Ok[T] | Err = field(alias="output", eq=_told)
    error: ExecutionError | None = None
    duration_ms: float = 0.0
    # To stdout and to stderr; most have printed nothing.
    _printed: tuple[bytes, bytes] | None = field(default=None, alias="printed", eq=False)

    @property
    def execution_id(self) -> ExecutionId:
        """The id of this execution: made before it was dispatched, or when its worker had died."""
        self._execution_id = ExecutionId.spelled(self._execution_id)
        return self._execution_id

    @property
    def output(self) -> Ok[T] | Err:
        """What the callable came to."""
        output = self._output = _told(self._output)
        return output

    @property
    def stdout(self) -> str:
        """What the callable has printed; empty if nothing, or if it was not captured.

        Bytes that are no UTF-8 are shown as backslash escapes.
        """
        return self._printed_to(0)

    @property
    def stderr(self) -> str:
        """What the callable has printed to stderr, likewise."""
        return self._printed_to(1)

    def _printed_to(self, stream: int) -> str:
        return "" if self._printed is None else self._printed[stream].decode("utf-8", _ESCAPED)

    def __repr__(self) -> str:
        error = ""
        if self.error is not None:
            # Its message is in the output.
            error = f", error=<{self.error.category}: {self.error.code}>"
        name = _shown(self.agent_name, _VALUE_LIMIT)
        return (
            f"ParallelResult(agent_name={name}, output={self.output!r}{error}, "
            f"duration_ms={self.duration_ms:.3g})"
        )

    def __str__(self) -> str:
        output = self.output
        if self.error is not None:
            return str(output)  # which says who, and for how long
        took = f" ({duration_text(self.duration_ms)})" if self.duration_ms else ""
        if isinstance(output, Ok):
            return f"{self.agent_name}: {output!r}{took}"
        return output._told(f"{self.agent_name}: {output._headline}{took}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (
            self.agent_name,
            self.execution_id,
            self.output,
            self.error,
            self.duration_ms,
            self._printed,
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
    """How many results of each outcome there are."""

    ok: int = 0
    failed: int = 0
    crashed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """The number of all of them."""
        return self.ok + self.failed + self.crashed + self.cancelled

    def add(self, results: Sequence[ParallelResult[Any]]) -> None:
        """Count these results."""
        for outcome, count in Counter(map(outcome_of, results)).items():
            setattr(self, outcome, getattr(self, outcome) + count)

    def mishaps(self) -> dict[str, int]:
        """Return the numbers of what is not ok, by outcome, where there are any."""
        counts = {"failed": self.failed, "crashed": self.crashed, "cancelled": self.cancelled}
        return {outcome: count for outcome, count in counts.items() if count}

    def mishaps_text(self) -> str:
        """Return the same as a text: "3 failed, 1 crashed"."""
        return ", ".join(f"{count} {outcome}" for outcome, count in self.mishaps().items())
