"""Limits: what a callable may take of its worker, and what is told of one that took more."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from attrs import Attribute, field, frozen

from enact_pool._model.errors import ExecutionErrorCategory

__all__ = ["NO_LIMITS", "LimitViolation", "Limits", "check_flag"]


def _check_seconds(_: object, attribute: Attribute[Any], value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{attribute.name} must be seconds or None, not {value!r}")
    if not (isfinite(value) and value > 0):
        raise ValueError(f"{attribute.name} must be above 0 seconds, and finite, not {value}")


def _check_count(_: object, attribute: Attribute[Any], value: Any) -> None:
    if value is None:
        return
    what = "bytes" if attribute.name == "max_memory" else "callables"
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{attribute.name} must be an integer ({what}) or None, not {value!r}")
    if value < 1:
        raise ValueError(f"{attribute.name} must be at least 1 ({what}), not {value}")


def check_flag(_: object, attribute: Attribute[Any], value: Any) -> None:
    """An attrs validator: raises `TypeError` for what is neither True nor False."""
    if not isinstance(value, bool):
        raise TypeError(f"{attribute.name} must be True or False, not {value!r}")


@frozen
class Limits:
    """What the callables of a run may take; None: any.

    `timeout` is in seconds from a callable's start in the worker, `max_memory` in
    bytes of its own that its worker has, with its children (see `tree.own_bytes`). A
    worker is replaced after `max_tasks_per_worker` callables. `fail_fast` says whether the first
    outcome that is not `Ok` ends the run.

    Raises `TypeError` or `ValueError` for what makes no sense.
    """

    timeout: float | None = field(default=None, validator=_check_seconds)
    max_memory: int | None = field(default=None, validator=_check_count)
    max_tasks_per_worker: int | None = field(default=None, validator=_check_count)
    fail_fast: bool = field(default=False, validator=check_flag)

    def over(self, usual: Limits) -> Limits:
        """These, and the usual ones where these say nothing."""
        return Limits(
            self.timeout or usual.timeout,
            self.max_memory or usual.max_memory,
            self.max_tasks_per_worker or usual.max_tasks_per_worker,
            self.fail_fast,
        )

    @property
    def need_watching(self) -> bool:
        """Whether somebody has to look at the workers while they work."""
        return self.timeout is not None or self.max_memory is not None


# No limits at all.
NO_LIMITS = Limits()


@frozen
class LimitViolation:
    """A limit that a callable has broken, for which its worker was killed.

    `says` goes on from "the callable"; `details` are JSON-able.
    """

    category: ExecutionErrorCategory
    code: str
    says: str
    details: Mapping[str, Any]

    @classmethod
    def of_time(cls, timeout: float) -> LimitViolation:
        """It has run for longer than so many seconds."""
        return cls(
            ExecutionErrorCategory.TIMEOUT,
            "timeout",
            f"exceeded its time limit of {timeout:g} s",
            {"timeout_s": timeout},
        )

    @classmethod
    def of_memory(cls, max_memory: int, peak: int) -> LimitViolation:
        """Its worker had `peak` bytes of its own, more than `max_memory`."""
        return cls(
            ExecutionErrorCategory.QUOTA_EXCEEDED,
            "max_memory",
            f"exceeded its memory limit of {max_memory / 1e6:.6g} MB, "
            f"with {peak / 1e6:.6g} MB of its own in its worker",
            {"max_memory_bytes": max_memory, "peak_bytes": peak},
        )
