"""How callables, inputs and calls are pickled, each with its needs.

Plain pickle is several times faster than `ByValuePickler`, but finds functions and classes only by
their names. It is used where that is enough.
"""

from __future__ import annotations

import pickle
import sys
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
    "InputPickler",
    "PickledInput",
    "is_named",
    "pickle_callables",
    "pickle_function",
    "pickle_input",
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


class PickledInput:
    """An input as it was when this was made.

    Attributes:
        pickled: Its pickle.
        needs: What a worker must have to load it.
        is_sent: Whether it was sent to a worker.
    """

    __slots__ = ("is_sent", "needs", "pickled")

    def __init__(self, pickled: bytes, needs: Needs) -> None:
        self.pickled = pickled
        self.needs = needs
        self.is_sent = False


class InputPickler:
    """Pickles inputs, each alone: in a common pickle, they would share objects."""

    def __init__(self) -> None:
        self._file = BytesIO()
        self._pickler = ByValuePickler(self._file)

    def pickle(self, value: object) -> PickledInput:
        """Return the pickle of an input. Raises what pickling raises."""
        file, pickler = self._file, self._pickler
        try:
            pickler.dump(value)
            return PickledInput(file.getvalue(), pickler.needs)
        finally:
            pickler.clear_memo()
            if pickler.needs:
                pickler.needs = Needs()
            file.seek(0)
            file.truncate()
