"""`Hazard`: a callable that does one harmful thing, and its outcome according to the contract."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tests.hazards.neighbours import slow_square, square

__all__ = [
    "INPUT",
    "NEIGHBOURS",
    "SQUARED",
    "Expected",
    "Hazard",
    "dies",
    "raises",
    "refused",
    "returns",
]

# The argument of all callables, and what neighbours return for it.
INPUT = 7
SQUARED = 49

# They run before the harmful callable, and again after it.
NEIGHBOURS = (square, slow_square) * 3


def _identity(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Expected:
    """The outcome of the harmful callable, according to enact_pool's contract.

    returns      `Ok`; `seen(value)` equals `value`
    raises       `Err` under the callable's own name; `seen(text)` equals `value`, the exception
                 has the `type`, and the traceback contains all texts of `traceback`
    is refused   `Err` under the callable's own name; its text begins with `value`
    dies         agent "unknown", kernel_internal; `value` is the code
    times out    `Err` under the callable's own name, timeout
    takes too much memory   `Err` under the callable's own name, quota_exceeded

    `may_return` if another library may return a value without being wrong: there was one.
    """

    outcome: Literal[
        "returns", "raises", "is refused", "dies", "times out", "takes too much memory"
    ]
    value: Any = None
    seen: Callable[[Any], Any] = _identity
    type: str = ""
    traceback: Sequence[str] = ()
    may_return: bool = False


@dataclass(frozen=True)
class Hazard:
    """A callable that does one harmful thing, and its expected outcome.

    Args:
        title: Continues "a callable that".
        timeout: The user's time limit in seconds, where the limit is the point; None by default.
        max_memory: The user's memory limit in bytes, likewise.
        starves: Whether neighbours in the same process may be unable to open a file.
        needs_small_disk: Whether /dev/shm and the temporary folder must be small: see `small_disk`.
        patience_s: How many seconds a caller may wait, if longer than usual.
    """

    name: str
    group: str
    title: str
    callable: Callable[[Any], Any]
    expected: Expected
    timeout: float | None = None
    max_memory: int | None = None
    starves: bool = False
    needs_small_disk: bool = False
    patience_s: float = 0.0
    neighbours: Sequence[Callable[[int], int]] = NEIGHBOURS

    @property
    def callables(self) -> list[Callable[[Any], Any]]:
        """The harmful callable between its neighbours."""
        return [*self.neighbours, self.callable, *self.neighbours]

    @property
    def index(self) -> int:
        """The index of the harmful callable among them."""
        return len(self.neighbours)


def returns(value: Any = None, seen: Callable[[Any], Any] = _identity) -> Expected:
    """Expect `Ok` with this value, as `seen` returns it."""
    return Expected("returns", value, seen)


def raises(
    type: str, text: Any, *traceback: str, seen: Callable[[Any], Any] = _identity
) -> Expected:
    """Expect an exception of this type and text, and texts in its traceback."""
    return Expected("raises", text, seen, type, traceback)


def refused(text: str) -> Expected:
    """Expect that the callable or its value cannot be sent."""
    return Expected("is refused", text, may_return=True)


def dies(code: str) -> Expected:
    """Expect that the worker dies with this code."""
    return Expected("dies", code)
