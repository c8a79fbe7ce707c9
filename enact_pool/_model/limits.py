"""The limits of callables, and their violations."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, isfinite
from operator import index
from typing import Any

from attrs import Attribute, field, frozen

from enact_pool._model.errors import ExecutionErrorCategory

__all__ = [
    "NO_LIMITS",
    "LimitViolation",
    "Limits",
    "check_flag",
    "checked_count",
    "checked_seconds",
]


def checked_seconds(name: str, value: Any) -> float | None:
    """Return an option in seconds as a float; None if it is None.

    Raises:
        TypeError: It is not a number.
        ValueError: It is not above 0, or not finite.
    """
    if value is None:
        return None
    # Numbers of NumPy are welcome; texts have no such method.
    if isinstance(value, bool) or not hasattr(type(value), "__float__"):
        raise TypeError(f"{name} must be seconds or None, not {value!r}")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = inf
    if not (isfinite(seconds) and seconds > 0):
        raise ValueError(f"{name} must be above 0 seconds, and finite, not {value}")
    return seconds


def checked_count(name: str, value: Any, what: str) -> int | None:
    """Return an option that counts `what` as an int; None if it is None.

    Raises:
        TypeError: It is not an integer.
        ValueError: It is less than 1.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise TypeError(f"{name} must be an integer ({what}) or None, not {value!r}")
    count = index(value)
    if count < 1:
        raise ValueError(f"{name} must be at least 1 ({what}), not {count}")
    return count


def _timeout(value: Any) -> float | None:
    return checked_seconds("timeout", value)


def _max_memory(value: Any) -> int | None:
    return checked_count("max_memory", value, "bytes")


def _max_tasks(value: Any) -> int | None:
    return checked_count("max_tasks_per_worker", value, "callables")


def check_flag(_: object, attribute: Attribute[Any], value: Any) -> None:
    """Validate an attrs field: raise `TypeError` for a value that is neither True nor False."""
    if not isinstance(value, bool):
        raise TypeError(f"{attribute.name} must be True or False, not {value!r}")


@frozen
class Limits:
    """The limits of a run's callables; None: no limit.

    Attributes:
        timeout: Seconds that a callable may run, from its start in the worker.
        max_memory: Bytes that its worker and the worker's children may own: see
            `process_tree.own_bytes`.
        max_tasks_per_worker: Callables after which a worker is replaced.
        fail_fast: Whether the first outcome that is not `Ok` ends the run.

    Raises:
        TypeError: A limit has the wrong type.
        ValueError: A limit is out of range.
    """

    timeout: float | None = field(default=None, converter=_timeout)
    max_memory: int | None = field(default=None, converter=_max_memory)
    max_tasks_per_worker: int | None = field(default=None, converter=_max_tasks)
    fail_fast: bool = field(default=False, validator=check_flag)

    def over(self, usual: Limits) -> Limits:
        """Return these limits, with the `usual` ones where these are None."""
        return Limits(
            self.timeout or usual.timeout,
            self.max_memory or usual.max_memory,
            self.max_tasks_per_worker or usual.max_tasks_per_worker,
            self.fail_fast,
        )


# For pools and runs without limits.
NO_LIMITS = Limits()


@frozen
class LimitViolation:
    """A limit that a callable exceeded, for which its worker was killed.

    Attributes:
        category: The category of the error.
        code: Its machine-readable cause.
        predicate: What the callable did; continues the sentence "the callable ...".
        details: The limit and the measured value, as JSON-able values.
    """

    category: ExecutionErrorCategory
    code: str
    predicate: str
    details: Mapping[str, Any]

    @classmethod
    def of_time(cls, timeout: float) -> LimitViolation:
        """Return the violation of a time limit, in seconds."""
        return cls(
            ExecutionErrorCategory.TIMEOUT,
            "timeout",
            f"exceeded its time limit of {timeout:g} s",
            {"timeout_s": timeout},
        )

    @classmethod
    def of_memory(cls, max_memory: int, peak: int) -> LimitViolation:
        """Return the violation of a memory limit: the worker owned `peak` bytes."""
        return cls(
            ExecutionErrorCategory.QUOTA_EXCEEDED,
            "max_memory",
            f"used {peak / 1e6:.6g} MB of memory, above its limit of {max_memory / 1e6:.6g} MB,",
            {"max_memory_bytes": max_memory, "peak_bytes": peak},
        )
