"""Objects that are bound to their process: refused, or passed by their descriptors.

Files, generators, threads and the like mean nothing in another process. Connections, sockets and
shared tensors can be passed to one process: multiprocessing and torch have reducers for these.
"""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from multiprocessing.reduction import ForkingPickler
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from enact_pool._mirror.rebuild.values import memoryview_of
from enact_pool._mirror.registry import module_of
from enact_pool._python.process_local import ProcessLocal

__all__ = ["REFUSALS", "Unsendable", "check_type", "reduce_shared", "shared_reducers"]

# The reducers of `multiprocessing`, by type. torch adds its own to this very dict.
shared_reducers: dict[type, Any] = vars(ForkingPickler)["_extra_reducers"]

# Instances of these types and of their subclasses are refused.
_REFUSED = (threading.Thread, Future, Executor, subprocess.Popen)


class Unsendable(pickle.PicklingError, TypeError):
    """An object exists in one process only."""


def check_type(kind: type) -> None:
    """Raise `Unsendable` for types whose instances belong to one process."""
    # A `ProcessLocal` raises an error with better advice itself.
    if issubclass(kind, _REFUSED) and not issubclass(kind, ProcessLocal):
        raise Unsendable(
            f"a {kind.__name__} cannot be sent to another process: create it in the callable"
        )


def reduce_shared(obj: Any, kind: type, *, repeated: bool) -> Any:
    """Return how to pass an object of a type in `shared_reducers`.

    Args:
        repeated: whether the pickle is loaded more than once.

    Raises:
        Unsendable: if the object can be passed once only, and `repeated` is set.
    """
    is_tensor = module_of(kind).partition(".")[0] == "torch"
    if is_tensor and (repeated or not getattr(obj, "is_shared", bool)()):
        # Each task gets its own copy.
        return NotImplemented
    if repeated and module_of(kind) not in ("builtins", "functools"):
        raise Unsendable(
            f"a {kind.__name__} can be sent to one task only: pass it as an argument of an "
            "executor's call, or as an input of map_parallel"
        )
    if kind is partial:
        return NotImplemented
    return shared_reducers[kind](obj)


def _refuse_file(file: Any) -> Any:
    for name in ("stdout", "stderr"):
        if file is getattr(sys, name):
            return getattr, (sys, name)
    raise Unsendable(
        f"the open file {getattr(file, 'name', '?')!r} cannot be sent to another process: "
        "send its name, and open it in the callable"
    )


def _refuse_temporary_file(file: Any) -> Any:
    raise Unsendable(
        "a temporary file cannot be sent to another process, which would delete it: send its name"
    )


def _reduce_memoryview(view: memoryview) -> tuple[Any, ...]:
    """Pickle a view with its contents, its format and its shape. Raises `Unsendable`."""
    content = view.tobytes() if view.readonly else bytearray(view.tobytes())
    shape: Any = view.shape
    try:
        memoryview_of(content, view.format, shape)
    except (TypeError, ValueError) as error:
        raise Unsendable(
            f"a memoryview of format {view.format!r} and shape {view.shape} cannot be sent to "
            "another process: send its bytes, or an array"
        ) from error
    return memoryview_of, (content, view.format, shape)


def _refuse_generator(generator: Any) -> Any:
    kind = type(generator).__name__.replace("_", " ")
    article = "an" if kind[0] in "a" else "a"
    raise Unsendable(
        f"{article} {kind} cannot be sent to another process: send a list of its values"
    )


_private: Any = tempfile
# By type, as in a pickler's dispatch table. Views are refused only if they are of an odd format.
REFUSALS: dict[type, Callable[[Any], Any]] = {
    memoryview: _reduce_memoryview,
    **dict.fromkeys(
        (io.TextIOWrapper, io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.FileIO),
        _refuse_file,
    ),
    **dict.fromkeys((GeneratorType, CoroutineType, AsyncGeneratorType), _refuse_generator),
    **dict.fromkeys(
        (
            _private._TemporaryFileWrapper,
            _private._TemporaryFileCloser,
            tempfile.SpooledTemporaryFile,
        ),
        _refuse_temporary_file,
    ),
}
