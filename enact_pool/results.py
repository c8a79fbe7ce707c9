"""What a callable came to: `Ok` or `Err`, inside a `ParallelResult`."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Literal, NoReturn, TypeVar

from attrs import define, field, frozen

from enact_pool.errors import ExecutionError
from enact_pool.ids import ExecutionId

__all__ = ["CANCELLED", "TOLD", "Err", "Ok", "ParallelResult", "RemoteError"]

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
        headline = f"{self.err.type}: {self.err.error}" if self.err.type else self.err.error
        if not self.err.traceback:
            return headline
        return f"{headline}\n\n{self.err.traceback.rstrip()}"


@frozen
class Ok(Generic[T_co]):
    """The callable returned `value`."""

    value: T_co
    is_ok: ClassVar[Literal[True]] = True

    def unwrap(self) -> T_co:
        """The value."""
        return self.value


@frozen
class Err:
    """The callable has no value to give; `error` says why.

    `type` is the qualified name of the exception's type (built-in ones
    without their module) and `traceback` the worker's traceback, or the
    Python stack at a crash; both are empty where there is none. They take no
    part in equality: `Err("boom") == Err("boom")`.
    """

    error: str
    type: str = field(default="", eq=False)
    traceback: str = field(default="", eq=False, repr=False)
    # The pickled exception, for those who have asked for it: nobody else opens it.
    _pickled: bytes = field(default=b"", eq=False, repr=False, alias="pickled")
    is_ok: ClassVar[Literal[False]] = False

    def unwrap(self) -> NoReturn:
        """Raise `RemoteError`."""
        raise RemoteError(self)


# What a callable comes to that was cancelled. Those that are this very object are told as such.
CANCELLED = Err("cancelled")

# The ids of the types of outputs (types may refuse to be hashed). A returned value
# of one of them must be wrapped to be told from it.
TOLD = frozenset({id(Ok), id(Err)})


def _told(output: Any) -> Ok[Any] | Err:
    return output if id(type(output)) in TOLD else Ok(output)


@define(match_args=False, repr=False)
class ParallelResult(Generic[T]):
    """The outcome of one callable.

    `agent_name` is the callable's name, or `"unknown"` if its worker died.
    `output` is an `Ok` or an `Err`. `error` is there when the execution
    failed around the callable, rather than in it: a dead worker, say.
    `duration_ms` is the time in the worker from the callable's start to its
    end, or to its worker's death; 0.0 if it never started.
    """

    __match_args__ = ("agent_name", "execution_id", "output", "error", "duration_ms")

    # Results are made by the ten thousand, and most are hardly looked at: an id may
    # be a number still, and a value as it is instead of in an `Ok`.
    agent_name: str
    _execution_id: ExecutionId | int = field(alias="execution_id", eq=ExecutionId.spelled)
    _output: Ok[T] | Err = field(alias="output", eq=_told)
    error: ExecutionError | None = None
    duration_ms: float = 0.0

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

    def __repr__(self) -> str:
        return (
            f"ParallelResult(agent_name={self.agent_name!r}, output={self.output!r}, "
            f"error={self.error!r}, duration_ms={self.duration_ms!r})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (
            self.agent_name,
            self.execution_id,
            self.output,
            self.error,
            self.duration_ms,
        )
