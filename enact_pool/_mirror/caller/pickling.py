"""How callables, inputs and calls are pickled, each with its needs.

Plain pickle is several times faster than `ByValuePickler`, but finds functions and classes only by
their names. It is used where that is enough.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterable
from io import BytesIO
from types import BuiltinFunctionType, FunctionType
from typing import Any

from enact_pool._mirror.caller.importable import by_value_modules, is_importable
from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.caller.pickler import ByValuePickler
from enact_pool._wire.frames import SHAREABLE

__all__ = [
    "NAMED",
    "Buffers",
    "is_named",
    "pickle_callables",
    "pickle_function",
    "pickle_input",
    "pickle_inputs",
    "pickle_value",
]

# The list that receives the buffers of a pickle; None if they must stay in the pickle.
Buffers = list[pickle.PickleBuffer] | None

# The types of functions. A function is pickled by name, or as its code and captured values.
NAMED = (FunctionType, BuiltinFunctionType)


def pickle_value(
    value: object, needs: Needs, buffers: Buffers = None, *, repeated: bool = False
) -> bytes:
    """Return a pickle of any value.

    Args:
        needs: receives what a worker must have to load the pickle.
        buffers: receives the buffers that travel out of band.
        repeated: whether the pickle is loaded more than once.
    """
    file = BytesIO()
    add = None if buffers is None else buffers.append
    pickler = ByValuePickler(file, add, repeated=repeated)
    pickler.dump(value)
    needs.add(pickler.needs)
    return file.getvalue()


def pickle_callables(callables: Any, needs: Needs) -> bytes:
    """Return one pickle of many callables: objects that they share are pickled once."""
    return pickle_value(callables, needs)


def pickle_function(function: Any, needs: Needs, buffers: Buffers = None) -> bytes:
    """Return a pickle of a function that every worker loads."""
    if is_named(function):
        return pickle.dumps(function, pickle.HIGHEST_PROTOCOL)
    return pickle_value(function, needs, buffers, repeated=True)


def is_named(function: Any) -> bool:
    """Return whether a worker finds a function by its name, so that plain pickle can pickle it.

    `ByValuePickler` detects this as well, but takes ten times as long.
    """
    if type(function) not in NAMED or type(function.__module__) is not str:
        return False
    name = function.__module__
    module = sys.modules.get(name)
    if vars(module).get(function.__name__) is not function if module is not None else True:
        return False
    if function.__qualname__ != function.__name__:
        return False
    return name == "builtins" or (not by_value_modules() and is_importable(name))


def pickle_input(value: object, needs: Needs, buffers: Buffers) -> bytes:
    """Return a pickle of the input of a run. Each callable receives its own copy."""
    if type(value) in SHAREABLE:
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return pickle_value(value, needs, buffers, repeated=True)


def pickle_inputs(inputs: Iterable[Any], needs: Needs) -> bytes:
    """Return a pickle of a batch: a flag, and the inputs if it is set, else the pickle of each."""
    inputs = list(inputs)
    if SHAREABLE.issuperset(map(type, inputs)):
        return pickle.dumps((True, inputs), pickle.HIGHEST_PROTOCOL)
    # One pickle for each: in a common pickle, they would share objects.
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
