"""The pickler of definitions and globals, which are sent once and stay.

Beside what tasks are sent, it takes what a module may have: locks, which are made anew, and
random generators, of which each worker has its own. Another global is referred to by its key,
so that all who have the same object here have the same object there.
"""

from __future__ import annotations

import contextvars
import copyreg
import pickle
import queue
import random
import sys
import threading
import types
import weakref
from collections import ChainMap
from collections.abc import Callable
from io import BytesIO
from itertools import islice
from typing import Any, ClassVar

from enact_pool._mirror import rebuild
from enact_pool._mirror.caller.pickler import (
    PROTOCOL,
    ByValuePickler,
    Needs,
    Unsendable,
    place_of_variable,
)
from enact_pool._mirror.caller.scopes import CONTAINERS, Definition, is_dispatcher, scopes
from enact_pool._mirror.registry import module_of
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.tracebacks import describe
from enact_pool._wire.frames import SHAREABLE

__all__ = ["DefinitionPickler", "culprit", "dumps"]

_LOCK, _RLOCK = type(threading.Lock()), type(threading.RLock())


def _reduce_simple_queue(waiting: Any) -> Any:
    if not waiting.empty():
        raise Unsendable("a SimpleQueue with something in it cannot be sent to another process")
    return queue.SimpleQueue, ()


def _reduce_weak_reference(reference: Any) -> Any:
    value = reference()
    if value is None or reference.__callback__ is not None:
        raise Unsendable("a weak reference that is dead, or has a callback, cannot be sent")
    return rebuild.weak_reference, (value,)


_REPAIRS: dict[type, Callable[[Any], Any]] = {
    _LOCK: lambda lock: (rebuild.new_lock, ()),
    _RLOCK: lambda lock: (rebuild.new_rlock, ()),
    threading.local: lambda local: (threading.local, ()),
    queue.SimpleQueue: _reduce_simple_queue,
    weakref.ref: _reduce_weak_reference,
    weakref.WeakValueDictionary: lambda d: (weakref.WeakValueDictionary, (dict(d),)),
    weakref.WeakKeyDictionary: lambda d: (weakref.WeakKeyDictionary, (dict(d),)),
    weakref.WeakSet: lambda d: (weakref.WeakSet, (list(d),)),
    contextvars.Token: lambda token: (_never, ()),
}


def _never() -> Any:
    raise Unsendable("a token of a context variable cannot be sent to another process")


def dumps(
    value: Any, own: Definition | None = None, *, instances_by_key: bool = True
) -> tuple[bytes, list[pickle.PickleBuffer], Needs]:
    """Return a pickle of what a definition consists of, its buffers, and its needs."""
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
    """Whether a container has only what plain pickle knows, which is ten times as fast."""
    plain = SHAREABLE.issuperset(map(type, container))
    return plain and (
        type(container) is not dict or SHAREABLE.issuperset(map(type, container.values()))
    )


def _is_large(own: Definition) -> bool:
    """Whether a container has so many elements that asking about each takes too long.

    Then only the elements themselves are asked about: what is inside them is copied.
    """
    value = own.value
    if own.kind != "container" or len(value) <= _MANY:
        return False
    elements = value.values() if type(value) is dict else value
    return not any(type(each) in CONTAINERS and scopes.is_shared(each) for each in elements)


# Of so many elements at most, one is looked for that cannot be pickled.
_MANY = 10_000


def culprit(name: str, value: Any, depth: int = 4) -> str:
    """Return where in a value the part is that cannot be pickled: `config['db'][0]`."""
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
                return culprit(path, part, depth - 1)
    return name


def _check(definition: Definition) -> None:
    """Raise the error if a global cannot be pickled: what refers to it cannot be sent either."""
    if definition.can_be_sent:
        return
    # First: it may refer to itself.
    definition.can_be_sent = True
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
    """Return whether a value refers to another, or to one that does."""
    waiting, seen = [one], {one}
    while waiting:
        each = waiting.pop()
        if each is other:
            return True
        new = each.refers_to - seen
        waiting += new
        seen |= new
    return False


_newobj: Any = vars(copyreg)["__newobj__"]


def _has_own_new(kind: type) -> bool:
    """Whether instances are made by Python code of the user's, and by no other."""
    makers = [base.__dict__["__new__"] for base in kind.__mro__ if "__new__" in base.__dict__]
    python = [isinstance(getattr(new, "__func__", new), types.FunctionType) for new in makers]
    return python[0] and all(python[:-1]) and makers[-1] is object.__new__


def _state_of(obj: Any, kind: type) -> Any:
    """What plain pickle keeps of an instance that does not say how."""
    slots: Any = vars(copyreg)["_slotnames"](kind)
    values = {name: getattr(obj, name) for name in slots if hasattr(obj, name)}
    attributes = getattr(obj, "__dict__", None) or None
    return (attributes, values) if values else attributes


class DefinitionPickler(ByValuePickler):
    """Pickles what belongs to a definition, or is the value of a global.

    `own` is the definition that is being pickled. `instances_by_key` says whether it refers to
    all other globals that are instances by their keys; or only to those that do not refer to
    it: of two values that refer to each other, one has to be made first.
    """

    dispatch_table: ClassVar[Any] = ChainMap(_REPAIRS, *ByValuePickler.dispatch_table.maps)

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
        # The attributes of a class that cannot be sent, and why.
        self.unsendable: dict[str, str] = {}
        self._instances_by_key = instances_by_key

    def _reduce_instance(self, obj: Any, kind: type) -> Any:
        if kind not in SHAREABLE:
            definition = self._global(obj)
            if definition is not None and self._may_refer(definition):
                return self.refer(definition)
        if issubclass(kind, random.Random) and kind is not random.SystemRandom:
            return rebuild.own_random, (kind,)
        numpy: Any = sys.modules.get("numpy.random")
        if numpy is not None and kind is numpy.Generator:
            return rebuild.own_generator, (kind, type(obj.bit_generator))
        if numpy is not None and kind is numpy.RandomState:
            return rebuild.own_random, (kind,)
        if module_of(kind) == "torch._C" and kind.__name__ == "Generator":
            return rebuild.own_torch_generator, (str(obj.device),)
        is_own = self._own is not None and obj is self._own.value
        if is_own and _has_own_new(kind) and kind not in self.dispatch_table:
            reduced = obj.__reduce_ex__(PROTOCOL)
            if type(reduced) is tuple and reduced[0] is _newobj and len(reduced[1]) == 1:
                # It may look for this very object, as those of singletons do.
                return rebuild.bare_instance, reduced[1], *reduced[2:]
        if self._own is not None and obj is self._own.value and scopes.known(kind) is not None:
            reduced = obj.__reduce_ex__(PROTOCOL)
            if type(reduced) is str:
                # It says that it is a global: this one.
                return _newobj, (kind,), _state_of(obj, kind)
        return super()._reduce_instance(obj, kind)

    def _may_refer(self, definition: Definition) -> bool:
        own = self._own
        if definition is own:
            return False
        if own is None or self._instances_by_key:
            _check(definition)
            return True
        # First: the other may refer to this.
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
        """The attributes that can be pickled; notes why others cannot be."""
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
                path = culprit(f"{definition.value.__qualname__}.{name}", value)
                self.unsendable[name] = f"{path}: {describe(error)[0]}"
            else:
                sendable[name] = value
        return sendable

    def refer_to_member(
        self, function: types.FunctionType, definition: Definition, name: str
    ) -> Any:
        """Refer to a function of a class, unless it is this class that is being pickled."""
        if definition is self._own and name not in definition.functions:
            return ByValuePickler.function_by_value(self, function)
        return super().refer_to_member(function, definition, name)

    def function_by_value(self, function: types.FunctionType) -> Any:
        """A function that no global names has a key here, too: others may refer to it."""
        if not is_dispatcher(function) and scopes.scope_of(function.__globals__) is not None:
            definition = scopes.define(function, "function")
            if definition is not self._own:
                return self.refer(definition)
        return super().function_by_value(function)

    def cells(self, function: types.FunctionType) -> tuple[types.CellType, ...] | None:
        """Each is a definition, since other functions may share it."""
        for cell in function.__closure__ or ():
            scopes.define(cell, "cell")
        return function.__closure__

    def _reduce_context_variable(self, variable: contextvars.ContextVar[Any]) -> Any:
        place = place_of_variable(variable)
        if place is not None and isinstance(place[0], str):
            return super()._reduce_context_variable(variable)
        definition = scopes.define(variable, "context_variable")
        if definition is self._own:
            return NotImplemented
        return self.refer(definition)

    def _global(self, obj: Any) -> Definition | None:
        definition = scopes.known(obj)
        if definition is not None:
            return definition if definition.kind == "value" else None
        for scope in scopes:
            kind = type(obj)
            if scope.name_of(obj) is not None and (kind is object or module_of(kind) != "builtins"):
                return scopes.define(obj, "value", scope.module)
        return None


class _SharingPickler(DefinitionPickler):
    """Refers by their keys to lists, dicts and sets that are globals, too.

    It is asked about each object that it pickles, in Python.
    """

    def persistent_id(self, obj: Any) -> Any:
        """The key of a list, dict or set that a global is."""
        if type(obj) not in CONTAINERS:
            return None
        definition = scopes.known(obj)
        if definition is None:
            for scope in scopes:
                if scope.name_of(obj) is not None and not scope.is_implicit(obj):
                    definition = scopes.define(obj, "container", scope.module)
                    break
            else:
                return None
        if definition is not self._own:
            _check(definition)
        self.needs.definitions[definition] = None
        definition.used = scopes.sweeps
        return definition.key
