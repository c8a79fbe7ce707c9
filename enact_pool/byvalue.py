"""Pickling by value: lambdas, closures, and what is defined in `__main__` or a notebook.

cloudpickle does it, but forgets in which file a function was defined (since its
version 3.1, for pickles that are the same everywhere). Then no traceback of a worker
could show the line that raised, nor a crash the line where it happened.
"""

from __future__ import annotations

from collections import ChainMap
from io import BytesIO
from types import CodeType

import cloudpickle

from enact_pool.locks import AdvisingPickler

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pickle
    from collections.abc import Callable
    from typing import Any, ClassVar

__all__ = ["ByValuePickler", "dumps"]

_FORGOTTEN = "<dynamic-code>"
_reduce_code = cloudpickle.Pickler.dispatch_table[CodeType]


def _reduce_whole_code(code: CodeType) -> tuple[Any, ...]:
    kind, fields = _reduce_code(code)
    return kind, tuple(
        code.co_filename if type(field) is str and field == _FORGOTTEN else field
        for field in fields
    )


class ByValuePickler(AdvisingPickler, cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle's, with the file names of functions."""

    dispatch_table: ClassVar[Any] = ChainMap(
        {CodeType: _reduce_whole_code}, cloudpickle.Pickler.dispatch_table
    )


def dumps(
    value: object, protocol: int, buffer_callback: Callable[[pickle.PickleBuffer], object] | None
) -> bytes:
    """One pickle; raises whatever pickling the value raises."""
    file = BytesIO()
    ByValuePickler(file, protocol, buffer_callback).dump(value)
    return file.getvalue()
