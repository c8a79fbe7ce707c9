"""Locks of multiprocessing, and objects that have them: queues, events, shared values.

A worker can receive one only as it starts, and only one whose semaphore has a name. The
standard library's message is written for programs that start processes themselves; and up
to Python 3.10 it sends a semaphore without a name, which crashes the process that uses it.
"""

from __future__ import annotations

import multiprocessing.context
import sys
from _thread import LockType, RLock
from types import CodeType

from enact_pool._python.tracebacks import traceback_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["AdvisingPickler", "check_lock"]

_SHARED = 'created by multiprocessing.get_context("spawn")'
_OF_THREADS = LockType, RLock
_assert_spawning: CodeType = vars(multiprocessing.context)["assert_spawning"].__code__


class AdvisingPickler:
    """A base for picklers in Python: their errors about locks say what to do."""

    def dump(self, value: Any) -> None:
        """Pickle the value. Raises what that raises."""
        try:
            super().dump(value)  # type: ignore[misc]
        except RuntimeError as error:
            if _raised_in(error) is _assert_spawning:
                # Keep the exception: its traceback shows where the value comes from.
                advice = f"pass it in the `initargs` of a pool, {_SHARED}"
                error.args = (f"{error}; {advice}",)
            raise


def _raised_in(error: BaseException) -> CodeType | None:
    code, position = None, traceback_of(error)
    while position is not None:
        code, position = position.tb_frame.f_code, position.tb_next
    return code


def check_lock(value: Any) -> None:
    """Raise `RuntimeError` for a lock whose semaphore has no name, `TypeError` for one of threads.

    Any other value, a lock or not, is accepted.
    """
    kind = type(value)
    if kind in _OF_THREADS:
        raise TypeError(
            f"{kind.__name__} objects of threading cannot be shared with workers; use one {_SHARED}"
        )
    # A module that was never imported has made no lock.
    synchronize: Any = sys.modules.get("multiprocessing.synchronize")
    if (
        synchronize is not None
        and issubclass(kind, synchronize.SemLock)
        and value._semlock.name is None
    ):
        raise RuntimeError(
            f"{kind.__name__} objects of multiprocessing's fork context cannot be shared with "
            f"workers; use one {_SHARED}"
        )
