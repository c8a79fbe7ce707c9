"""Objects that each process makes anew, and objects that pickle alone cannot make."""

from __future__ import annotations

import os
import sys
from functools import cached_property
from threading import Lock, RLock
from types import MethodType
from weakref import WeakMethod, ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "bare_instance",
    "cached_property_of",
    "call_with_keywords",
    "load_library",
    "make_context_variable",
    "memoryview_of",
    "new_instance",
    "new_lock",
    "new_rlock",
    "own_generator",
    "own_instance",
    "own_seed_sequence",
    "own_torch_generator",
    "set_contents",
    "weak_method",
    "weak_reference",
]


def new_lock() -> Any:
    """Make a lock that is not held."""
    return Lock()


def new_rlock() -> Any:
    """Make a re-entrant lock that is not held."""
    return RLock()


def weak_reference(value: Any) -> Any:
    """Make a weak reference; another reference must keep the object alive."""
    return ref(value)


def weak_method(owner: Any, function: Any) -> Any:
    """Make a weak reference to a method; another reference must keep its object alive."""
    return WeakMethod(MethodType(function, owner))


def own_instance(kind: Any) -> Any:
    """Make an object that is this process's own, such as a random generator."""
    return kind()


def own_seed_sequence(kind: Any, entropy: Any, spawn_key: Any, pool_size: int) -> Any:
    """Make a seed sequence with this entropy whose numbers are this process's own."""
    own = int.from_bytes(os.urandom(8), "little")
    return kind(entropy, spawn_key=(*spawn_key, own), pool_size=pool_size)


def own_generator(kind: Any, bits: Any) -> Any:
    """Make a NumPy generator whose stream is this process's own."""
    return kind(bits())


def own_torch_generator(device: str) -> Any:
    """Make a torch generator whose stream is this process's own."""
    torch: Any = sys.modules["torch"] if "torch" in sys.modules else __import__("torch")
    generator = torch.Generator(device)
    generator.seed()
    return generator


def make_context_variable(name: str, default: tuple[Any, ...]) -> Any:
    """Make a context variable, with a default if it has one."""
    import contextvars

    if default:
        return contextvars.ContextVar(name, default=default[0])
    return contextvars.ContextVar(name)


def cached_property_of(function: Any, name: str | None) -> Any:
    """Make a cached property with a lock of its own."""
    made: Any = cached_property(function)
    made.attrname = name
    return made


def set_contents(made: Any, contents: tuple[Any, list[Any], list[Any]]) -> None:
    """Set the state of a list or dict, and then its items, without methods of its class."""
    state, items, pairs = contents
    if hasattr(type(made), "__setstate__"):
        if state is not None:
            made.__setstate__(state)
    else:
        attributes, slots = state if type(state) is tuple else (state, None)
        if attributes:
            vars(made).update(attributes)
        for name, value in (slots or {}).items():
            object.__setattr__(made, name, value)
    if items:
        list.extend(made, items)
    for key, value in pairs:
        dict.__setitem__(made, key, value)


def new_instance(kind: Any, *arguments: Any) -> Any:
    """Make an instance with the `__new__` of its class."""
    return kind.__new__(kind, *arguments)


def bare_instance(kind: Any) -> Any:
    """Make an instance without calling the `__new__` of its class."""
    return object.__new__(kind)


def load_library(kind: Any, name: Any, functions: list[tuple[str, Any, Any]]) -> Any:
    """Load a library with ctypes, and set the types of its functions."""
    loaded = kind(name)
    for function_name, result, arguments in functions:
        function = getattr(loaded, function_name)
        function.restype = result
        if arguments is not None:
            function.argtypes = arguments
    return loaded


def memoryview_of(content: bytes | bytearray, format: str, shape: tuple[int, ...]) -> Any:
    """Return a view of its own memory, writable if that is. Raises `ValueError` or `TypeError`."""
    view: Any = memoryview(content)
    return view.cast(format) if len(shape) == 1 else view.cast(format, shape)


def call_with_keywords(function: Any, keywords: dict[str, Any]) -> Any:
    """Return what a function returns for these keywords: a pickle cannot pass keywords."""
    return function(**keywords)
