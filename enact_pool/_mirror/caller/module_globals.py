"""The globals of importable modules by the objects that they are bound to.

A script may have an object of a library: a sentinel, a lock, a registry. Its workers must have the
one that the library has there, not a copy: the library compares, acquires or fills it.
"""

from __future__ import annotations

import sys
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from enact_pool._mirror.caller.definition import CONTAINERS
from enact_pool._mirror.caller.fresh_objects import FRESH
from enact_pool._mirror.caller.instances import has_plain_state
from enact_pool._mirror.caller.scopes import scopes
from enact_pool._mirror.module_versions import belongs_to_program
from enact_pool._mirror.registry import unwrapped
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._wire.frames import SHAREABLE

__all__ = ["imported_place", "is_of_standard_library", "module_globals", "provides", "value_at"]

# Their objects are found by name, or are the same in all processes.
_OTHERS = SHAREABLE | {FunctionType, BuiltinFunctionType, ModuleType, tuple, frozenset}


class _ModuleGlobals:
    """An index of the globals of all modules, made when it is first used. Any thread may use it."""

    def __init__(self) -> None:
        # How many modules there were, and the modules and names of globals by the ids of their
        # values. Replaced as a whole.
        self._index: tuple[int, dict[int, list[tuple[str, str]]]] = 0, {}
        # The program's own modules, each with the spec of its last import.
        self._specs: list[tuple[ModuleType, Any]] = []
        # By id: the class and its place.
        self._classes: dict[int, tuple[type, tuple[str, str]]] = {}

    def place_of(self, value: Any) -> tuple[str, str] | None:
        """Return the importable module that has this very object, and its name there."""
        count, places = self._index
        if count != len(sys.modules):
            places = self._make()
        for module_name, name in places.get(id(value), ()):
            module = sys.modules.get(module_name)
            if (
                type(module) is ModuleType
                and module.__dict__.get(name) is value
                and scopes.is_importable(module_name, module)
            ):
                return module_name, name
        return None

    def place_of_class(self, cls: type) -> tuple[str, str] | None:
        """Return where an importable module has a class that is not under its own name there.

        Classes of C extensions and of namespaces that were renamed say that they are elsewhere.
        """
        known = self.known_place_of_class(cls)
        if known is not None:
            return known
        for module_name, module in sys.modules.copy().items():
            if type(module) is ModuleType:
                for name, value in list(module.__dict__.items()):
                    if value is cls and scopes.is_importable(module_name, module):
                        self._classes[id(cls)] = cls, (module_name, name)
                        return module_name, name
        return None

    def known_place_of_class(self, cls: type) -> tuple[str, str] | None:
        """Return what `place_of_class` has found before; None if it has found nothing."""
        found, place = self._classes.get(id(cls), (None, None))
        return place if found is cls else None

    def refresh(self) -> None:
        """Make the index again if modules of the program were reloaded."""
        if any(module.__dict__.get("__spec__") is not spec for module, spec in self._specs):
            self._index = 0, {}

    def _make(self) -> dict[int, list[tuple[str, str]]]:
        modules = sys.modules.copy().items()
        places: dict[int, list[tuple[str, str]]] = {}
        specs = []
        for module_name, module in modules:
            # (Reading an attribute of a module that loads itself lazily would load it.)
            if type(module) is not ModuleType:
                continue
            spec = module.__dict__.get("__spec__")
            origin = getattr(spec, "origin", None)
            if isinstance(origin, str) and belongs_to_program(module_name, origin):
                specs.append((module, spec))
            for name, value in list(module.__dict__.items()):
                kind = type(value)
                if kind not in _OTHERS and not issubclass(kind, type) and not name.startswith("__"):
                    places.setdefault(id(value), []).append((module_name, name))
        self._index, self._specs = (len(modules), places), specs
        return places


module_globals = _ModuleGlobals()


def imported_place(value: Any) -> tuple[str, str] | None:
    """Return the module and name of a global that a definition may be found by, and then filled.

    None for an object that no importable module has, or whose state is not plain attributes.
    """
    place = module_globals.place_of(value)
    if place is None:
        return None
    kind = type(value)
    can_be_filled = kind in CONTAINERS or kind is object or kind in FRESH or has_plain_state(kind)
    return place if can_be_filled else None


def is_of_standard_library(place: tuple[str, str]) -> bool:
    """Return whether a module belongs to Python: the state of its objects is each process's own."""
    return place[0].partition(".")[0] in sys.stdlib_module_names


def value_at(contents: Any, path: str) -> Any:
    """Return the object with a qualified name, without running the user's code; None if absent."""
    for part in path.split("."):
        if issubclass(type(contents), type):
            contents = contents.__dict__
        if not hasattr(type(contents), "get"):
            return None
        contents = contents.get(part)
        if contents is None:
            return None
    return unwrapped(contents)


def provides(module: ModuleType, path: str, value: Any) -> bool:
    """Return whether an importable module has an object under a qualified name."""
    contents = module.__dict__
    if value_at(contents, path) is value:
        return True
    name = path.partition(".")[0]
    if name in contents or "__getattr__" not in contents:
        return False
    try:
        # It may make its names when they are used. Unpickling will use this one.
        found = getattr(module, name)
    except Exception as error:
        raise_interrupt(error)
        return False
    return value_at({name: found}, path) is value
