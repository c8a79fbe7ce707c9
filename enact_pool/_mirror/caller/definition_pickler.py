"""The pickler of definitions and globals, which are sent once and stay in the worker.

Unlike the pickler of tasks, it accepts what a module may have: see `fresh_objects`. It refers to
other globals by key, so that definitions that share an object here share its copy there.
"""

from __future__ import annotations

import pickle
import types
from collections import ChainMap
from collections.abc import Callable
from io import BytesIO
from itertools import islice
from typing import Any, ClassVar

from enact_pool._mirror.caller.definition import CONTAINERS, Definition, is_dispatcher
from enact_pool._mirror.caller.definitions import definitions
from enact_pool._mirror.caller.fresh_objects import FRESH, reduce_fresh
from enact_pool._mirror.caller.global_instances import reduce_attribute, reduce_global_instance
from enact_pool._mirror.caller.module_globals import imported_place
from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.caller.pickler import PROTOCOL, ByValuePickler
from enact_pool._mirror.caller.scopes import scopes
from enact_pool._mirror.registry import module_of
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.tracebacks import describe
from enact_pool._wire.frames import SHAREABLE

__all__ = ["DefinitionPickler", "dumps", "unpicklable_path"]

# Containers with more elements are large: see `_is_large`. Also how many parts of a value
# `unpicklable_path` searches.
_MANY = 10_000


def dumps(
    value: Any, own: Definition | None = None, *, instances_by_key: bool = True
) -> tuple[bytes, list[pickle.PickleBuffer], Needs]:
    """Return a pickle of a part of the definition `own`, its buffers, and its needs."""
    if own is not None and own.kind == "container" and _is_plain(own.value):
        return pickle.dumps(value, PROTOCOL), [], Needs()
    file = BytesIO()
    buffers: list[pickle.PickleBuffer] = []
    if own is not None and not instances_by_key:
        own.refers_to = set()
    kind = DefinitionPickler if own is not None and _is_large(own) else _SharingPickler
    pickler = kind(file, buffers.append, own=own, instances_by_key=instances_by_key)
    pickler.dump(value)
    return file.getvalue(), buffers, pickler.needs


def _is_plain(container: Any) -> bool:
    """Return whether plain pickle, which is ten times as fast, can pickle all elements."""
    plain = SHAREABLE.issuperset(map(type, container))
    return plain and (
        type(container) is not dict or SHAREABLE.issuperset(map(type, container.values()))
    )


def _is_large(own: Definition) -> bool:
    """Return whether a container has too many elements to call `persistent_id` for each object.

    Then only the elements themselves are referred to by key; the objects inside them are copied.
    """
    value = own.value
    if own.kind != "container" or len(value) <= _MANY:
        return False
    elements = value.values() if type(value) is dict else value
    return not any(type(each) in CONTAINERS and definitions.is_shared(each) for each in elements)


def unpicklable_path(name: str, value: Any, depth: int = 4) -> str:
    """Return the path from a value to its part that cannot be pickled: `config['db'][0]`."""
    if not depth:
        return name
    parts: list[tuple[str, Any]] = []
    kind: Any = type(value)
    if kind is dict:
        first = islice(value.items(), _MANY)
        parts = [(f"{name}[{key!r}]", part) for key, part in first if type(key) in SHAREABLE]
    elif kind in (list, tuple):
        parts = [(f"{name}[{index}]", part) for index, part in enumerate(value[:_MANY])]
    elif kind.__getattribute__ is object.__getattribute__:
        fields = islice(getattr(value, "__dict__", {}).items(), _MANY)
        parts = [(f"{name}.{key}", part) for key, part in fields]
    for path, part in parts:
        if type(part) not in SHAREABLE:
            try:
                dumps(part)
            except Exception:
                return unpicklable_path(path, part, depth - 1)
    return name


def _check(definition: Definition) -> None:
    """Raise the error if a global cannot be pickled: nothing that refers to it can be sent."""
    if definition.can_be_sent:
        return
    # Set before pickling, since the global may refer to itself.
    definition.can_be_sent = True
    if definition.place is not None:
        return  # the worker's own, if the caller's state cannot be sent
    value = definition.value
    try:
        if definition.kind == "container":
            dumps(list(value.items()) if type(value) is dict else list(value), definition)
        else:
            dumps(value, definition, instances_by_key=False)
    except BaseException:
        definition.can_be_sent = False
        raise


def _reaches(one: Definition, other: Definition) -> bool:
    """Return whether a value refers to another one, directly or through other values."""
    waiting, seen = [one], {one}
    while waiting:
        each = waiting.pop()
        if each is other:
            return True
        new = each.refers_to - seen
        waiting += new
        seen |= new
    return False


class DefinitionPickler(ByValuePickler):
    """Pickles the parts of a definition, or the value of a global.

    Args:
        own: the definition that is being pickled.
        instances_by_key: whether to refer to all other globals that are instances by key. If
            not, only to those that do not refer to `own`: of two values that refer to each
            other, one must be made first.

    Attributes:
        unsendable: the attributes of a class that cannot be sent, and why.
    """

    dispatch_table: ClassVar[Any] = ChainMap(FRESH, *ByValuePickler.dispatch_table.maps)

    def __init__(
        self,
        file: BytesIO,
        buffer_callback: Callable[[pickle.PickleBuffer], object] | None,
        *,
        own: Definition | None = None,
        instances_by_key: bool = False,
    ) -> None:
        super().__init__(file, buffer_callback, repeated=True)
        self._own = own
        self.unsendable: dict[str, str] = {}
        self._instances_by_key = instances_by_key

    def _reduce_instance(self, obj: Any, kind: Any) -> Any:
        if kind not in SHAREABLE:
            definition = self._global(obj)
            if definition is not None and self._may_refer(definition):
                return self.refer(definition)
        fresh = reduce_fresh(obj, kind)
        if fresh is not None:
            return fresh
        if self._own is not None and obj is self._own.value:
            reduced = reduce_global_instance(obj, kind, self.dispatch_table)
            if reduced is not None:
                return reduced
        if self._own is not None:
            reduced = reduce_attribute(obj, kind, self._own.value, self.dispatch_table)
            if reduced is not None:
                return reduced
        return super()._reduce_instance(obj, kind)

    def _may_refer(self, definition: Definition) -> bool:
        own = self._own
        if definition is own:
            return own.place is not None  # the worker has it before its state
        if own is None or self._instances_by_key:
            _check(definition)
            return True
        # Before the check, in which the other value may refer to this one.
        own.refers_to.add(definition)
        _check(definition)
        if _reaches(definition, own):
            own.refers_to.discard(definition)
            return False
        own.refers_to.add(definition)
        return True

    def without_unsendable(
        self, definition: Definition, attributes: dict[str, Any]
    ) -> dict[str, Any]:
        """Return the attributes that can be pickled; note why the others cannot."""
        try:
            dumps(attributes, definition)
        except BaseException as error:
            raise_interrupt(error)
        else:
            return attributes
        sendable = {}
        for name, value in attributes.items():
            try:
                dumps(value, definition)
            except BaseException as error:
                raise_interrupt(error)
                path = unpicklable_path(f"{definition.value.__qualname__}.{name}", value)
                self.unsendable[name] = f"{path}: {describe(error)[0]}"
            else:
                sendable[name] = value
        return sendable

    def refer_to_member(
        self, function: types.FunctionType, definition: Definition, name: str
    ) -> Any:
        """Refer to a function of a class, unless that class is being pickled."""
        if definition is self._own and name not in definition.functions:
            return ByValuePickler.function_by_value(self, function)
        return super().refer_to_member(function, definition, name)

    def function_by_value(self, function: types.FunctionType) -> Any:
        """Refer to a function by key even if no global names it: definitions may share it."""
        if not is_dispatcher(function) and scopes.scope_of(function.__globals__) is not None:
            definition = definitions.define(function, "function")
            if definition is not self._own:
                return self.refer(definition)
        return super().function_by_value(function)

    def cells(self, function: types.FunctionType) -> tuple[types.CellType, ...] | None:
        """Return the cells of a function, each as a definition: other functions may share it."""
        for cell in function.__closure__ or ():
            definitions.define(cell, "cell")
        return function.__closure__

    def _global(self, obj: Any) -> Definition | None:
        definition = definitions.known(obj)
        if definition is not None:
            return definition if definition.kind == "value" else None
        for scope in scopes:
            kind = type(obj)
            if scope.name_of(obj) is not None and (kind is object or module_of(kind) != "builtins"):
                return definitions.define(obj, "value", scope.module)
        if imported_place(obj) is not None:
            return definitions.define(obj, "value")
        return None


class _SharingPickler(DefinitionPickler):
    """Refers to lists, dicts and sets that are globals by key, too.

    The C pickler calls `persistent_id` for each object that it pickles.
    """

    def persistent_id(self, obj: Any) -> Any:
        """Return the key of a list, dict or set that is a global; None for other objects."""
        if type(obj) not in CONTAINERS:
            return None
        definition = definitions.known(obj)
        if definition is None:
            for scope in scopes:
                if scope.name_of(obj) is not None and not scope.is_implicit(obj):
                    definition = definitions.define(obj, "container", scope.module)
                    break
            else:
                if imported_place(obj) is None:
                    return None
                definition = definitions.define(obj, "container")
        if definition is not self._own:
            _check(definition)
        self.needs.definitions[definition] = None
        definition.used = definitions.sweeps
        return definition.key
