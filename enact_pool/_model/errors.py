"""`ExecutionError`: why an execution failed, as a value in events and results."""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import Enum
from typing import Any

from attrs import Factory, asdict, field, frozen

from enact_pool._model.field_readers import (
    Reader,
    one_of,
    or_none,
    read_fields,
    read_integer,
    read_mapping,
    read_text,
)
from enact_pool._python.public_names import public

__all__ = ["ExecutionError", "ExecutionErrorCategory", "now_ms"]


@public
class ExecutionErrorCategory(str, Enum):
    """The kind of an execution error."""

    LLM_ERROR = "llm_error"
    TOOL_ERROR = "tool_error"
    POLICY_VIOLATION = "policy_violation"
    TIMEOUT = "timeout"
    QUOTA_EXCEEDED = "quota_exceeded"
    KERNEL_INTERNAL = "kernel_internal"
    VALIDATION_ERROR = "validation_error"
    NETWORK_ERROR = "network_error"

    def __str__(self) -> str:
        return self.value


_FATAL = frozenset(
    {
        ExecutionErrorCategory.POLICY_VIOLATION,
        ExecutionErrorCategory.QUOTA_EXCEEDED,
        ExecutionErrorCategory.KERNEL_INTERNAL,
        ExecutionErrorCategory.VALIDATION_ERROR,
    }
)


def now_ms() -> int:
    """Return the milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@public
@frozen
class ExecutionError:
    """Why an execution failed: a value, not an exception.

    Attributes:
        category: The kind of the error.
        message: The error as a sentence.
        code: A short machine-readable cause; for a dead worker the name of the signal, or `exit_`
            and the exit code.
        attempt: The number of the attempt, from 1.
        details: Facts that depend on the category, as JSON-able values.
        occurred_at: Milliseconds since the epoch.
    """

    category: ExecutionErrorCategory = field(converter=ExecutionErrorCategory)
    message: str
    code: str | None = None
    attempt: int = 1
    details: Mapping[str, Any] = field(factory=dict, hash=False)
    occurred_at: int = Factory(now_ms)

    @classmethod
    def kernel_internal(
        cls, message: str, *, code: str | None = None, details: Mapping[str, Any] | None = None
    ) -> ExecutionError:
        """Return the error of a worker that died, or could not be started."""
        return cls(
            ExecutionErrorCategory.KERNEL_INTERNAL, message, code=code, details=dict(details or {})
        )

    @property
    def is_fatal(self) -> bool:
        """Whether a second, unchanged attempt would fail, too."""
        return self.category in _FATAL

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, as JSON-able values."""
        return {**asdict(self, recurse=False), "category": self.category.value}

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> ExecutionError:
        """Return the error whose `to_dict` is given; raises `ValueError` for anything else."""
        return cls(**read_fields("an error", mapping, _READERS))

    def __str__(self) -> str:
        return f"{self.category}: {self.message}"


_READERS: dict[str, Reader] = {
    "category": one_of(*ExecutionErrorCategory),
    "message": read_text,
    "code": or_none(read_text),
    "attempt": read_integer,
    "details": read_mapping,
    "occurred_at": read_integer,
}
