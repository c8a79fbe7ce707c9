"""How callables, inputs and calls are pickled; each pickle comes with what it needs.

Plain pickle is several times faster than the pickler of `mirror`, and knows functions and
classes by their names only. It is used where that is enough.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterable
from io import BytesIO
from types import BuiltinFunctionType, FunctionType
from typing import Any

from enact_pool._mirror.caller.importable import by_value_modules, is_importable
from enact_pool._mirror.caller.pickler import ByValuePickler, Needs
from enact_pool._wire.frames import SHAREABLE

__all__ = [
    "NAMED",
    "Buffers",
    "is_named",
    "pickle_callables",
    "pickle_function",
    "pickle_input",
    "pickle_inputs",
    "pickle_repeated",
    "pickle_value",
]

# To which what a pickle leaves out of band is added; None if it may not.
Buffers = list[pickle.PickleBuffer] | None

# Types of functions, which travel by name, or as their code and what they have captured.
NAMED = (FunctionType, BuiltinFunctionType)


def pickle_value(
    value: object, needs: Needs, buffers: Buffers = None, *, repeated: bool = False
) -> bytes:
    """Return one pickle of any value; add what it needs. `repeated`: it is loaded many times."""
    file = BytesIO()
    add = None if buffers is None else buffers.append
    pickler = ByValuePickler(file, add, repeated=repeated)
    pickler.dump(value)
    needs.add(pickler.needs)
    return file.getvalue()


def pickle_callables(callables: Any, needs: Needs) -> bytes:
    """Return one pickle of many callables: what they have in common is pickled once."""
    return pickle_value(callables, needs)


def pickle_function(function: Any, needs: Needs, buffers: Buffers = None) -> bytes:
    """Return a pickle of a function, which is loaded by each worker."""
    if is_named(function):
        return pickle.dumps(function, pickle.HIGHEST_PROTOCOL)
    return pickle_value(function, needs, buffers, repeated=True)


def pickle_repeated(function: Any, count: int, needs: Needs) -> bytes:
    """Return what `pickle_callables` returns for the same callable so many times."""
    value: tuple[list[Any], list[Any]] = [function] * count, []
    if is_named(function):
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return pickle_callables(value, needs)


def is_named(function: Any) -> bool:
    """Return whether a worker finds a function by its name: then plain pickle does it.

    The pickler of `mirror` finds that out as well, but takes ten times as long.
    """
    if type(function) not in NAMED or type(function.__module__) is not str:
        return False
    name = function.__module__
    module = sys.modules.get(name)
    if vars(module).get(function.__name__) is not function if module is not None else True:
        return False
    if function.__qualname__ != function.__name__ or by_value_modules():
        return False
    return name == "builtins" or is_importable(name)


def pickle_input(value: object, needs: Needs, buffers: Buffers) -> bytes:
    """Return a pickle of the input of a run, of which each callable gets a copy."""
    if type(value) in SHAREABLE:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return pickle_value(value, needs, buffers, repeated=True)


def pickle_inputs(inputs: Iterable[Any], needs: Needs) -> bytes:
    """Return a batch of inputs: whether they are there as they are, and these or their pickles."""
    inputs = list(inputs)
    if SHAREABLE.issuperset(map(type, inputs)):
        return pickle.dumps((True, inputs), pickle.HIGHEST_PROTOCOL)
    # A pickle for each: in one pickle they would share what they have in common.
    file = BytesIO()
    pickler = ByValuePickler(file)
    pickles = []
    for value in inputs:
        pickler.dump(value)
        pickler.clear_memo()
        pickles.append(file.getvalue())
        file.seek(0)
        file.truncate()
    needs.add(pickler.needs)
    return pickle.dumps((False, pickles), pickle.HIGHEST_PROTOCOL)
