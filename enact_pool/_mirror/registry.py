"""The objects that a caller and its workers share, by keys that are unique in all processes.

Pickles contain calls of the functions below: `resolve(key)` returns the caller's own object in
the caller, and the copy of it in a worker.
"""

from __future__ import annotations

import os
import sys
import weakref
from itertools import count
from types import FunctionType, ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = [
    "Mirror",
    "MissingDefinition",
    "complete_definition",
    "imported",
    "member",
    "member_key",
    "module_of",
    "note_members",
    "namespace",
    "qualname_of",
    "registry",
    "resolve",
    "scope_module",
    "unwrapped",
]


class MissingDefinition(Exception):
    """An object with this key does not exist in this process."""


class Registry:
    """Objects and namespaces by key, and the keys of objects by their ids.

    An entry keeps its object alive, so that no other object can get its id.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.keys: dict[int, str] = {}
        # The keys of the functions that classes were made with.
        self.members: dict[str, list[str]] = {}
        # The globals of scopes, and their modules.
        self.namespaces: dict[str, dict[str, Any]] = {}
        self.modules: dict[str, Any] = {}
        # Makes an object that was sent and not made yet. Raises `MissingDefinition`.
        self.load: Callable[[str], Any] = _missing
        # Sets the attributes of an object that were sent, if they are not set yet. Raises
        # `MissingDefinition`.
        self.complete: Callable[[str], None] = lambda key: None
        # Finds a global that a mirror does not contain yet. Raises `AttributeError`.
        self.find: Callable[[Mirror, str], Any] = _not_found
        self._released: dict[str, weakref.ref[Any]] = {}
        self._start_keys()
        os.register_at_fork(after_in_child=self._start_keys)

    def _start_keys(self) -> None:
        # A forked child makes its own keys.
        self._origin = os.urandom(6).hex()
        self._count = count(1)

    def new_key(self) -> str:
        """Return a key that no other object has in any process."""
        return f"{self._origin}.{next(self._count)}"

    def is_own(self, key: str) -> bool:
        """Return whether this process, and not its caller, has made a key."""
        return key.startswith(f"{self._origin}.")

    def add(self, key: str, value: Any) -> None:
        """Add an object under a key."""
        self.objects[key] = value
        self.keys[id(value)] = key

    def key_of(self, value: Any) -> str | None:
        """Return the key of an object, or None."""
        return self.keys.get(id(value))

    def discard(self, key: str) -> None:
        """Remove an object."""
        value = self.objects.pop(key, None)
        if self.keys.get(id(value)) == key:
            del self.keys[id(value)]

    def release(self, key: str) -> None:
        """Keep only a weak reference to an object, whose name another object has now."""
        value = self.objects.pop(key, None)
        if value is None:
            return
        identity = id(value)

        def forget(_: object) -> None:
            self._released.pop(key, None)
            if self.keys.get(identity) == key:
                del self.keys[identity]

        try:
            self._released[key] = weakref.ref(value, forget)
        except TypeError:
            self.objects[key] = value  # its type does not support weak references
            return
        for member in self.members.pop(key, ()):
            self.objects.pop(member, None)

    def released(self, key: str) -> Any:
        """Return a released object that still exists, or None."""
        reference = self._released.get(key)
        return None if reference is None else reference()


def _missing(key: str) -> Any:
    raise MissingDefinition(f"the definition {key} is not known in this process")


def _not_found(module: Any, name: str) -> Any:
    text = f"module {module.__name__!r} has no attribute {name!r}"
    raise AttributeError(text, name=name, obj=module)


registry = Registry()
_objects = registry.objects


def resolve(key: str) -> Any:
    """Return the object with this key. Raises `MissingDefinition`."""
    try:
        return _objects[key]
    except KeyError:
        found = registry.released(key)
        return registry.load(key) if found is None else found


def complete_definition(value: Any) -> None:
    """Complete a value if it is a definition. Raises `MissingDefinition`."""
    key = registry.key_of(value)
    if key is not None:
        registry.complete(key)


def member_key(key: str, name: str) -> str:
    """Return the key of the function that a class was made with under a name."""
    return f"{key}/{name}"


def member(key: str, name: str) -> Any:
    """Return the function that the class with this key was made with under a name.

    The class may have another function under that name by now.
    """
    cls = resolve(key)
    found = _objects.get(member_key(key, name))
    if found is not None:
        return found
    if name not in cls.__dict__:
        registry.complete(key)
    return unwrapped(cls.__dict__[name])


def note_members(key: str, cls: type) -> None:
    """Note the functions of a class, so that `member` finds them after others replace them."""
    members = []
    for name, attribute in list(cls.__dict__.items()):
        function = unwrapped(attribute)
        if type(function) is FunctionType:
            members.append(member_key(key, name))
            _objects.setdefault(members[-1], function)
    registry.members[key] = members


# The names of a class, read without its metaclass, which may refuse to return them.
_get_module = vars(type)["__module__"].__get__
qualname_of: Callable[[type], str] = vars(type)["__qualname__"].__get__


def module_of(cls: type) -> str:
    """Return the name of the module of a class; an empty string if that is not a plain string."""
    name = _get_module(cls)
    return name if type(name) is str else ""


def unwrapped(value: Any) -> Any:
    """Return the function in a static method or a class method, and any other value unchanged."""
    kind = type(value)
    return value.__func__ if kind is staticmethod or kind is classmethod else value


def namespace(scope: str) -> dict[str, Any]:
    """Return the globals of a scope."""
    return registry.namespaces[scope]


def scope_module(scope: str) -> Any:
    """Return the module of a scope."""
    return registry.modules[scope]


class Mirror(ModuleType):
    """A module in the place of one of the caller's that a worker cannot import."""

    def __getattr__(self, name: str) -> Any:
        return registry.find(self, name)


def imported(name: str) -> Any:
    """Import a module, and return it."""
    __import__(name)
    return sys.modules[name]
