"""What is sent of the caller's definitions and globals, and when it has to be sent again.

A run takes a snapshot when it begins: whatever its pickles need is looked at once, compared
with what was sent before, and stays as it was then for the rest of the run.
"""

from __future__ import annotations

import linecache
import os
import pickle
import sys
import threading
import time
from collections.abc import Iterable
from contextvars import ContextVar
from enum import Enum
from io import BytesIO
from itertools import count
from os.path import exists
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary, ref

from enact_pool.interrupts import is_interrupt
from enact_pool.mirror.definition_pickler import DefinitionPickler, culprit, dumps
from enact_pool.mirror.fingerprint import Fingerprint
from enact_pool.mirror.parts import DESCRIPTORS, MADE, parts_of, registered_with
from enact_pool.mirror.pickler import EVERY_NAME, Needs
from enact_pool.mirror.rebuild import REGISTERED
from enact_pool.mirror.scopes import (
    CONTAINERS,
    IMPLICIT,
    Definition,
    LruCache,
    Scope,
    kind_of_global,
    scopes,
)
from enact_pool.texts import describe
from enact_pool.wire import SHAREABLE

__all__ = ["Item", "Manifest", "Snapshot", "manifest_of", "scope_item"]

_numbers = count(1)


class Item:
    """One thing that a worker may have to be sent. It never changes.

    `slot` is what it is the latest state of. `kind` and `arguments` say what the worker does
    with it: see `copies`. `content` is a pickle, and `buffers` what that leaves out of band.
    """

    __slots__ = ("arguments", "buffers", "content", "kind", "large", "number", "pin", "slot")

    def __init__(
        self,
        slot: tuple[Any, ...],
        kind: str,
        arguments: tuple[Any, ...],
        content: bytes | None = None,
        buffers: Iterable[pickle.PickleBuffer] = (),
        pin: Any = None,
    ) -> None:
        self.slot = slot
        self.number = next(_numbers)
        self.kind = kind
        self.arguments = arguments
        self.content = content
        self.buffers = buffers
        # Kept alive as long as a result may name it.
        self.pin = pin
        # The file in memory that it travels in: see `delivery`.
        self.large: Any = None

    def as_kind(self, kind: str) -> Item:
        """Return the same thing, with which the worker does something else."""
        twin = Item(self.slot, kind, self.arguments, self.content, self.buffers, self.pin)
        twin.number = self.number
        return twin


# Items in the order in which they are sent, and whether the worker has to complete each
# before it runs anything.
Manifest = tuple[tuple[Item, bool], ...]

_ABSENT: Any = object()


class _Turn:
    """Whose turn it is to look at definitions: one thread's.

    Re-entrant, since a signal handler, or a `__getstate__`, may start a run. A forked child
    has another one: a thread that it does not have may have held this one.
    """

    def __init__(self) -> None:
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


_turn = _Turn()

# The last manifests, by their needs.
_last: dict[tuple[Any, ...], _Collected] = {}
_MOST_REMEMBERED = 256

# A value with a larger pickle is large: see `Snapshot`.
_LARGE_BYTES = 1 << 16
_SHARE = 0.1


class _Look:
    """One look at the definitions: what was compared in it is not compared again."""

    __slots__ = ("_begun", "mark", "patient")

    def __init__(self, patient: bool, begun: dict[Scope, dict[str, Any]] | None = None) -> None:
        self.patient = patient
        self.mark = object()
        self._begun = begun or {}

    def global_of(self, scope: Scope, name: str) -> Any:
        """Return the value of a global, or `_ABSENT`."""
        return self._begun.get(scope, scope.contents).get(name, _ABSENT)


class Snapshot:
    """The definitions and globals of a run, as they were when it first needed each.

    A `patient` one does not compare large values with what was sent if that was done lately:
    it takes a tenth of the time at most. It is for calls that are submitted while others are
    in progress.
    """

    def __init__(self, *, patient: bool = False, begins: bool = False) -> None:
        """`begins` notes the values of all globals now, for those that are needed later."""
        self._look = _Look(patient, scopes.contents() if begins else None)
        self._chosen: dict[tuple[Any, ...], Item] = {}
        self._manifests: dict[tuple[Any, ...], Manifest] = {}
        self._looked_at: dict[Any, tuple[list[Item], Needs]] = {}

    def manifest(self, needs: Needs) -> Manifest:
        """Return what a worker must have for a pickle with these needs.

        It is the same tuple as long as nothing changes: lanes know it by its identity.
        """
        if not needs:
            return ()
        key = needs.key()
        found = self._manifests.get(key)
        if found is None:
            with _turn:
                scopes.look()
                last, is_first = _last.get(key), not self._looked_at
                # What was looked at before stays as it was then.
                if last is None or not is_first or not last.is_current(self._look):
                    last = self._collected(needs, last)
                    if is_first:
                        _last[key] = last
                    if len(_last) > _MOST_REMEMBERED:
                        _last.clear()
                found = self._manifests[key] = last.manifest
        return found

    def _collected(self, needs: Needs, last: _Collected | None) -> _Collected:
        now: dict[Item, None] = {}
        reached: dict[Scope, None] = {}
        definitions: dict[Definition, None] = {}
        self._reach(needs, now, reached, definitions)
        later: dict[Item, None] = {}
        others: dict[Definition, None] = {}
        for scope in list(reached):
            self._reach(_others_of(scope), later, {}, others)
        entries = [
            *((item, True) for item in now),
            *((item, False) for item in later if item not in now),
        ]
        # All else belongs to a scope.
        manifest = tuple(sorted(entries, key=lambda entry: entry[0].kind != "scope"))
        if last is not None and last.manifest == manifest:
            manifest = last.manifest
        return _Collected(manifest, list(reached), list(definitions), list(others))

    def _reach(
        self,
        needs: Needs,
        into: dict[Item, None],
        reached: dict[Scope, None],
        definitions: dict[Definition, None],
    ) -> None:
        waiting: list[Any] = [*needs.scopes, *needs.definitions, *needs.names]
        seen: set[Any] = set()
        while waiting:
            what = waiting.pop()
            if what in seen:
                continue
            seen.add(what)
            found = self._looked_at.get(what)
            if found is None:
                found = self._looked_at[what] = _looked_up(what, self._look)
            items, more = found
            if isinstance(what, Scope):
                reached[what] = None
            elif isinstance(what, Definition):
                definitions[what] = None
            for item in items:
                into[self._chosen.setdefault(item.slot, item)] = None
            waiting += [*more.names, *more.definitions, *more.scopes]


def manifest_of(needs: Needs, key: tuple[Any, ...], *, patient: bool) -> Manifest:
    """Return what a `Snapshot` does, which is most often what it did for these needs before.

    `key` is that of the needs. (This takes a third of the time: the row of `submit` in
    docs/executors.md.)
    """
    last = _last.get(key)
    if last is not None:
        with _turn:
            scopes.look()
            if last.is_current(_Look(patient)):
                return last.manifest
    return Snapshot(patient=patient).manifest(needs)


class _Collected:
    """What a pickle with certain needs was found to take, and what that depends on."""

    def __init__(
        self,
        manifest: Manifest,
        reached: list[Scope],
        definitions: list[Definition],
        others: list[Definition],
    ) -> None:
        self.manifest = manifest
        self._scopes = [(scope, scope.version, scope.names_in_modules()) for scope in reached]
        self._definitions = [(each, each.record, _version(each)) for each in definitions]
        # Which a task may find, though nothing names them.
        self._others = [(each, each.record, _version(each)) for each in others]
        # What could not be sent may be whole by now.
        self._is_whole = not any(item.kind == "absent" for item, now in manifest if now)

    def is_current(self, look: _Look) -> bool:
        """Return whether nothing has changed since."""
        if not self._is_whole and not look.patient:
            return False
        for scope, version, names in self._scopes:
            if scope.version != version or scope.names_in_modules() != names:
                return False
        looked_at = self._definitions if look.patient else [*self._definitions, *self._others]
        try:
            for definition, record, version in looked_at:
                if _current(definition, look) is not record or record.version != version:
                    return False
        except BaseException as error:
            if is_interrupt(error):
                raise
            return False  # it cannot be sent any more
        return True


def _version(definition: Definition) -> int:
    return 0 if definition.record is None else definition.record.version


def _looked_up(what: Any, look: _Look) -> tuple[list[Item], Needs]:
    """Return the items of a scope, a definition or a global as it is now, and what they need."""
    if isinstance(what, Scope):
        return [scope_item(what)], Needs()
    if isinstance(what, Definition):
        try:
            record = _current(what, look)
        except BaseException as error:
            if is_interrupt(error):
                raise
            if what.record is not None:
                # As it was when it could be sent, for those that have it.
                return list(what.record.items), what.record.needs
            name = what.name or getattr(what.value, "__qualname__", what.kind)
            reason = f"{name} cannot be sent: {describe(error)[0]}"
            return [Item(("object", what.key), "broken", (what.key, reason))], Needs()
        return [*record.items, *record.changes.values()], record.needs
    scope, name = what
    if name == EVERY_NAME:
        needs = Needs()
        for each in list(scope.contents):
            if each not in IMPLICIT:
                needs.names[scope, each] = None
        return [], needs
    binding = _bound(scope, name, look)
    return ([], Needs()) if binding is None else ([binding.item], binding.needs)


# Scopes


def scope_item(scope: Scope) -> Item:
    """Return what makes the mirror of a scope."""
    names = scope.names_in_modules()
    item: Item | None = scope.item
    if item is None or item.arguments[1] != names:
        contents = scope.contents
        attributes = {
            name: contents[name]
            for name in ("__name__", "__file__", "__package__", "__doc__", "__path__")
            if isinstance(contents.get(name), (str, list))
        }
        arguments = scope.key, names, attributes
        item = scope.item = Item(("scope", scope.key), "scope", arguments)
    return item


def _others_of(scope: Scope) -> Needs:
    """The definitions of a scope that nothing names: a task may find them by their names."""
    known = scope.others
    if known is None or known[0] != scope.version:
        needs = Needs()
        module = scope.contents.get("__name__")
        for name, value in list(scope.contents.items()):
            if name in IMPLICIT:
                continue
            if isinstance(value, type):
                is_own = value.__dict__.get("__module__") == module
            else:
                special = kind_of_global(value)
                is_own = special is not None and getattr(value, "__module__", None) == module
            if is_own:
                needs.names[scope, name] = None
        known = scope.others = scope.version, needs
    return known[1]  # type: ignore[no-any-return]


# Globals


class _Binding:
    """What a global was when it was looked at last."""

    __slots__ = ("definition", "item", "needs", "value")

    def __init__(
        self, value: Any, item: Item, needs: Needs, definition: Definition | None = None
    ) -> None:
        self.value = value
        self.item = item
        self.needs = needs
        self.definition = definition


def _bound(scope: Scope, name: str, look: _Look) -> _Binding | None:
    """Return what a global is now; None if there is none of that name, nor ever was."""
    if name in IMPLICIT:
        return None
    value = look.global_of(scope, name)
    known: _Binding | None = scope.bindings.get(name)
    # What could not be sent may be whole by now.
    if (
        known is not None
        and known.value is value
        and (known.item.kind != "absent" or look.patient)
        and (
            known.definition is None
            or _can_be_sent(known.definition, look)
            # It is sent to workers that are started, and never again.
            or type(value).__module__.startswith("multiprocessing.")
        )
    ):
        return known
    if value is _ABSENT:
        if known is None:
            return None
        item = Item(("name", scope.key, name), "unbind", (scope.key, name))
        binding = _Binding(value, item, Needs())
    else:
        binding = _new_binding(scope, name, value, look)
        if known is not None:
            if known.item.kind == "absent" and known.item.arguments == binding.item.arguments:
                binding.item = known.item
            elif known.definition is not None and known.value is not value:
                scopes.release(known.definition, scope, name)
                # They keep it.
                _last.clear()
    scope.bindings[name] = binding
    return binding


def _can_be_sent(definition: Definition, look: _Look) -> bool:
    try:
        _current(definition, look)
    except BaseException as error:
        if is_interrupt(error):
            raise
        return False
    return True


def _new_binding(scope: Scope, name: str, value: Any, look: _Look) -> _Binding:
    slot = "name", scope.key, name
    needs = Needs()
    needs.scopes[scope] = None
    try:
        definition = _definition_of_global(scope, value)
        if definition is not None:
            _current(definition, look)
            needs.definitions[definition] = None
            item = Item(slot, "bind", (scope.key, name, definition.key), pin=value)
            return _Binding(value, item, needs, definition)
        content, buffers, more = dumps(value)
        needs.add(more)
        return _Binding(value, Item(slot, "set", (scope.key, name), content, buffers), needs)
    except BaseException as error:
        if is_interrupt(error):
            raise
        module = _module_with(name, value)
        if module is not None:
            item = Item(slot, "import", (scope.key, name, module, describe(error)[0]))
        else:
            reason = f"{culprit(name, value)}: {describe(error)[0]}"
            item = Item(slot, "absent", (scope.key, name, reason))
        return _Binding(value, item, needs)


def _definition_of_global(scope: Scope, value: Any) -> Definition | None:
    """Return the definition of the value of a global; None for a plain value."""
    kind = type(value)
    if kind in SHAREABLE or kind is ModuleType or isinstance(value, Enum):
        return None
    if isinstance(value, type):
        return scopes.find_class(value)
    known = scopes.known(value)
    if known is not None:
        return known
    special = kind_of_global(value)
    if special == "function":
        found = scopes.find_function(value)
        return found if isinstance(found, Definition) else None
    if special == "dispatcher":
        return scopes.define(value, "dispatcher", scope.module)
    if special is not None:
        return scopes.find_other(value)
    if kind in CONTAINERS:
        return scopes.define(value, "container", scope.module)
    if kind is ContextVar:
        return scopes.define(value, "context_variable", scope.module)
    if kind is not object and not _may_change(value):
        return None
    return scopes.define(value, "value", scope.module)


def _module_with(name: str, value: Any) -> str | None:
    """Return the module that has this very object under this name, and can be imported."""
    for module_name, module in list(sys.modules.items()):
        if (
            isinstance(module, ModuleType)
            and module.__dict__.get(name, _ABSENT) is value
            and scopes.is_importable(module_name, module)
        ):
            return module_name
    return None


# Definitions


class _Record:
    """What was pickled of a definition, and what it was like then."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        # What has changed since, by the names of attributes.
        self.changes: dict[str, Item] = {}
        self.needs = Needs()
        # What it refers to, by name, and the fingerprints of what may change in place.
        self.fields: dict[str, Any] = {}
        self.ids: list[int] = []
        self.fingerprints: dict[str, Fingerprint | None] = {}
        # Grows with each change.
        self.version = 0
        # The look in which it was compared last.
        self.look: object = None
        # When a patient snapshot compares it again, on the monotonic clock.
        self.compare_at = 0.0


# Their contents are compared as a whole.
_DATA = frozenset(("container", "value", "dispatcher"))
# They refer to what others keep.
_WEAK_TYPES = (ref, WeakSet, WeakKeyDictionary, WeakValueDictionary)
_CONSTANT = frozenset(("new_type", "type_variable", "alias", "with_alias", "context_variable"))


def _current(definition: Definition, look: _Look) -> _Record:
    """Return what was pickled of a definition, with all that has changed since."""
    record: _Record | None = definition.record
    if record is None:
        record = definition.record = _Record()
        try:
            _pickle(definition, record)
            record.look = look.mark
        except BaseException:
            definition.record = None
            raise
        if definition.kind not in _DATA and definition.kind not in _CONSTANT:
            _watch(definition, record)
    elif definition.kind in _DATA:
        if record.look is look.mark or (look.patient and time.monotonic() < record.compare_at):
            return record
        fresh = _Record()
        _pickle(definition, fresh)
        record.compare_at = fresh.compare_at
        record.look = fresh.look = look.mark
        if fresh.fingerprints != record.fingerprints:
            # The container itself is there; what is in it is new.
            definition.record = fresh
            fresh.items[:-1] = record.items[:-1]
            return fresh
    elif definition.kind not in _CONSTANT:
        _note_changes(definition, record)
    return record


def _pickle(definition: Definition, record: _Record) -> None:
    """Pickle how an object is made, and then what it refers to."""
    if definition.kind == "with_alias":
        return  # a parameter of an alias, which is made along with that
    key, kind, begun = definition.key, definition.kind, time.monotonic()
    if kind not in _DATA and kind not in _CONSTANT:
        _key_what_others_may_share(definition)
    pickler = DefinitionPickler(BytesIO(), None, own=definition)
    maker, arguments, setter, state = parts_of(pickler, definition)
    record.needs.add(pickler.needs)
    # A value's own parts are pickled by value: of two that refer to each other, neither
    # could be made first.
    by_key = kind == "context_variable" or type(definition.value) in _WEAK_TYPES
    content, buffers, needs = dumps((maker, arguments), definition, instances_by_key=by_key)
    record.needs.add(needs)
    needed = [each.key for each in needs.definitions] if kind == "value" else []
    slot = "object", key
    record.items = [Item(slot, "object", (key, kind, needed), content, buffers, definition.value)]
    if setter is not None:
        content, buffers, needs = dumps((setter, state), definition)
        record.needs.add(needs)
        needed = [each.key for each in needs.definitions]
        record.items.append(Item(("state", key), "state", (key, needed), content, buffers))
    if kind not in _DATA and kind not in _CONSTANT:
        record.items += _sources_of(definition)
    if kind in _DATA:
        record.fingerprints[""] = Fingerprint.of(content, buffers)
        if len(content) + sum(buffer.raw().nbytes for buffer in buffers) > _LARGE_BYTES:
            ended = time.monotonic()
            record.compare_at = ended + (ended - begun) / _SHARE
    for name, reason in pickler.unsendable.items():
        record.changes[name] = _lacking(definition, name, reason)


def _key_what_others_may_share(definition: Definition) -> None:
    """Give keys to the containers and instances that a definition refers to.

    A decorator puts the same dict into a cell and into an attribute, say.
    """
    for name, value in _fields(definition).items():
        if name.startswith("__") and name not in ("__defaults__", "__kwdefaults__"):
            continue
        for each in (
            value
            if name == "__defaults__" and value
            else value.values()
            if name == "__kwdefaults__" and value
            else (value,)
        ):
            if type(each) in CONTAINERS:
                scopes.define(each, "container")
            elif not isinstance(each, (type, Enum)) and scopes.known(type(each)) is not None:
                scopes.define(each, "value")


def _sources_of(definition: Definition) -> list[Item]:
    """Items with the source lines of what is in no file: a cell of a notebook, say."""
    value = definition.value
    if isinstance(value, type):
        functions = [value.__dict__[name] for name in definition.functions]
    else:
        functions = [getattr(value, "__wrapped__", value)]
    items = []
    for function in functions:
        function = getattr(function, "__func__", function)
        if type(function) is not FunctionType:
            continue
        name = function.__code__.co_filename
        lines = linecache.cache.get(name)
        if name not in _sources and lines is not None and len(lines) > 2 and not exists(name):
            content = pickle.dumps(list(lines[2]))
            _sources[name] = Item(("source", name), "source", (name,), content)
        if name in _sources:
            items.append(_sources[name])
    return items


# By the names of the files that there are not.
_sources: dict[str, Item] = {}


def _lacking(definition: Definition, name: str, reason: str) -> Item:
    key = definition.key
    return Item(("attribute", key, name), "lack", (key, name, reason))


# Changes


def _fields(definition: Definition) -> dict[str, Any]:
    """What can be changed of a definition, by name."""
    value = definition.value
    if isinstance(value, type):
        fields = definition.attributes()
        if "_abc_impl" in fields:
            fields.update((REGISTERED + str(id(each)), each) for each in registered_with(value))
        return fields
    if isinstance(value, CellType):
        try:
            return {"": value.cell_contents}
        except ValueError:
            return {}
    if type(value) is LruCache:
        return {name: v for name, v in value.__dict__.items() if name != "__wrapped__"}
    return {
        "__code__": value.__code__,
        "__defaults__": value.__defaults__,
        "__kwdefaults__": value.__kwdefaults__,
        **value.__dict__,
    }


# How many a function has without attributes.
_PLAIN_FIELDS = 3

# What nobody changes in place.
_NEVER_CHANGED = frozenset(
    (
        "__annotations__",
        "__dataclass_fields__",
        "__parameters__",
        "__orig_bases__",
        "__static_attributes__",
        "_member_map_",
        "_value2member_map_",
        "_member_names_",
    )
)
_FIXED_TYPES = frozenset(
    (
        FunctionType,
        BuiltinFunctionType,
        LruCache,
        property,
        classmethod,
        staticmethod,
        ModuleType,
        CellType,
        CodeType,
        *DESCRIPTORS,
    )
)


def _may_change(value: Any) -> bool:
    """Return whether a value may be changed in place, as far as its type tells."""
    kind = type(value)
    if kind in SHAREABLE or kind in _FIXED_TYPES or isinstance(value, (type, Enum)):
        return False
    if kind is tuple or kind is frozenset:
        return any(map(_may_change, value))
    return True


def _fingerprint(definition: Definition, value: Any) -> Fingerprint | None:
    try:
        return Fingerprint.of(*dumps(value, definition)[:2])
    except BaseException as error:
        if is_interrupt(error):
            raise
        return None  # it cannot be sent, which was noted


def _watch(definition: Definition, record: _Record) -> None:
    """Note what a definition is like now."""
    record.fields = _fields(definition)
    record.ids = list(map(id, record.fields.values()))
    members = definition.value._member_map_ if definition.kind == "enum" else ()
    for name, value in record.fields.items():
        if name in MADE or name in members or name in _NEVER_CHANGED:
            continue
        if _may_change(value):
            record.fingerprints[name] = _fingerprint(definition, value)


def _note_changes(definition: Definition, record: _Record) -> None:
    """Note what the caller has changed of a definition since."""
    function = definition.value
    if type(function) is FunctionType and not function.__dict__ and not record.fingerprints:
        # Most functions: nothing has to be made to compare them.
        known = record.fields
        if (
            len(known) == _PLAIN_FIELDS
            and function.__code__ is known["__code__"]
            and function.__defaults__ is known["__defaults__"]
            and function.__kwdefaults__ is known["__kwdefaults__"]
        ):
            return
    fields = _fields(definition)
    ids = list(map(id, fields.values()))
    if ids != record.ids or fields.keys() != record.fields.keys():
        for name in record.fields.keys() - fields.keys():
            _note_change(definition, record, name, ())
        for name, value in fields.items():
            if name not in MADE and record.fields.get(name, _ABSENT) is not value:
                _note_change(definition, record, name, (value,))
        record.fields, record.ids = fields, ids
    for name, before in list(record.fingerprints.items()):
        if _fingerprint(definition, fields[name]) != before:
            _note_change(definition, record, name, (fields[name],))


def _note_change(
    definition: Definition, record: _Record, name: str, contents: tuple[Any, ...]
) -> None:
    key = definition.key
    record.fingerprints.pop(name, None)
    record.version += 1
    try:
        content, buffers, needs = dumps(contents, definition)
    except BaseException as error:
        if is_interrupt(error):
            raise
        path = culprit(f"{getattr(definition.value, '__qualname__', '')}.{name}", contents[0])
        record.changes[name] = _lacking(definition, name, f"{path}: {describe(error)[0]}")
        return
    record.needs.add(needs)
    slot = "attribute", key, name
    needed = [each.key for each in needs.definitions]
    record.changes[name] = Item(slot, "change", (key, name, needed), content, buffers)
    if contents and _may_change(contents[0]):
        record.fingerprints[name] = _fingerprint(definition, contents[0])
