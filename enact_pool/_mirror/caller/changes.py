"""Records of definitions, and what the caller has changed since they were sent."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, ModuleType
from typing import Any

from enact_pool._mirror.caller.definition import Definition, LruCache
from enact_pool._mirror.caller.definition_pickler import dumps, unpicklable_path
from enact_pool._mirror.caller.fingerprint import Fingerprint
from enact_pool._mirror.caller.items import Item
from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.caller.parts import DESCRIPTORS, MADE, registered_with
from enact_pool._mirror.rebuild.attributes import REGISTERED
from enact_pool._mirror.registry import member_key, registry, unwrapped
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.tracebacks import describe
from enact_pool._wire.frames import SHAREABLE

__all__ = [
    "Record",
    "fields_of",
    "may_change",
    "missing_attribute",
    "note_changes",
    "note_fields",
]

_ABSENT: Any = object()


class Record:
    """What was pickled of a definition, and the fields that it had then.

    Attributes:
        items: the items that make the definition in a worker.
        changes: the items of the attributes that have changed since, by name.
        needs: what a worker must have for all these items.
        version: grows with each change.
    """

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.changes: dict[str, Item] = {}
        self.needs = Needs()
        # The fields of the definition, and the fingerprints of those that may change in place.
        self.fields: dict[str, Any] = {}
        self.ids: list[int] = []
        self.fingerprints: dict[str, Any] = {}
        # For a large value, once it was compared: see `plain_comparison`.
        self.plain: Any = None
        self.version = 0
        # The token of the inspection that compared it last.
        self.inspection: object = None
        # When a patient inspection compares it again, on the monotonic clock in seconds.
        self.due = 0.0
        # The same for an inspection of definitions that no code names.
        self.unnamed_due = 0.0


def missing_attribute(definition: Definition, name: str, reason: str) -> Item:
    """Return the item of an attribute that cannot be sent, for this reason."""
    key = definition.key
    return Item(("attribute", key, name), "lack", (key, name, reason))


def fields_of(definition: Definition) -> dict[str, Any]:
    """Return the fields that the caller can change, by name; for methods: `method.__defaults__`."""
    value = definition.value
    if issubclass(type(value), type):
        fields = definition.attributes()
        fields["__bases__"] = value.__bases__
        for name in definition.functions:
            function = unwrapped(fields.get(name))
            if function is not None and function is registry.objects.get(
                member_key(definition.key, name)
            ):
                fields.update((f"{name}.{each}", v) for each, v in _fields_of(function).items())
        if "_abc_impl" in fields:
            fields.update((REGISTERED + str(id(each)), each) for each in registered_with(value))
        return fields
    if issubclass(type(value), CellType):
        try:
            return {"": value.cell_contents}
        except ValueError:
            return {}
    if type(value) is LruCache:
        return {name: v for name, v in value.__dict__.items() if name != "__wrapped__"}
    return _fields_of(value)


def _fields_of(function: Any) -> dict[str, Any]:
    return {
        "__code__": function.__code__,
        "__defaults__": function.__defaults__,
        "__kwdefaults__": function.__kwdefaults__,
        **function.__dict__,
    }


# How many fields a function without attributes has.
_PLAIN_FIELDS = 3

# Attributes of classes that no code changes in place.
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


def may_change(value: Any) -> bool:
    """Return whether values of this type can be changed in place."""
    kind = type(value)
    if kind in SHAREABLE or kind in _FIXED_TYPES or issubclass(type(value), (type, Enum)):
        return False
    if kind is tuple or kind is frozenset:
        return any(map(may_change, value))
    return True


# A function whose result changes when another object takes the place of a value.
NumberOf = Callable[[Definition], int]


def _fingerprint(definition: Definition, value: Any, number_of: NumberOf) -> Any:
    try:
        content, buffers, needs = dumps(value, definition)
        numbers = [number_of(each) for each in needs.definitions if each.kind == "value"]
    except BaseException as error:
        raise_interrupt(error)
        return None  # it cannot be sent: the attribute's item says so
    return Fingerprint.of(content, buffers), numbers


def note_fields(definition: Definition, record: Record, number_of: NumberOf) -> None:
    """Note the fields that a definition has now."""
    record.fields = fields_of(definition)
    record.ids = list(map(id, record.fields.values()))
    members = definition.value._member_map_ if definition.kind == "enum" else ()
    for name, value in record.fields.items():
        if name in MADE or name in members or name in _NEVER_CHANGED:
            continue
        if may_change(value):
            record.fingerprints[name] = _fingerprint(definition, value, number_of)


def note_changes(
    definition: Definition, record: Record, number_of: NumberOf, *, patient: bool
) -> None:
    """Compare a definition with its record, and note in the record what the caller has changed."""
    function = definition.value
    if (
        type(function) is FunctionType
        and not function.__dict__
        and not record.fingerprints
        and not record.changes
    ):
        # Most functions: compare them without making a dict or a list.
        known = record.fields
        if (
            len(known) == _PLAIN_FIELDS
            and function.__code__ is known["__code__"]
            and function.__defaults__ is known["__defaults__"]
            and function.__kwdefaults__ is known["__kwdefaults__"]
        ):
            return
    fields = fields_of(definition)
    ids = list(map(id, fields.values()))
    if ids != record.ids or fields.keys() != record.fields.keys():
        for name in record.fields.keys() - fields.keys():
            method, dot, _ = name.partition(".")
            if dot and f"{method}.__code__" not in fields:
                record.fingerprints.pop(name, None)  # another function has replaced the method
            else:
                _note_change(definition, record, name, (), number_of)
        for name, value in fields.items():
            if name not in MADE and record.fields.get(name, _ABSENT) is not value:
                _note_change(definition, record, name, (value,), number_of)
        record.fields, record.ids = fields, ids
    for name, before in list(record.fingerprints.items()):
        if _fingerprint(definition, fields[name], number_of) != before:
            _note_change(definition, record, name, (fields[name],), number_of)
    if record.changes and not patient:
        for name, item in list(record.changes.items()):
            if item.kind == "lack" and name in fields:
                # Try again: its parts may have changed.
                _note_change(definition, record, name, (fields[name],), number_of)


def _note_change(
    definition: Definition,
    record: Record,
    name: str,
    contents: tuple[Any, ...],
    number_of: NumberOf,
) -> None:
    item = _change(definition, record, name, contents)
    if name in record.changes:
        known = record.changes[name]
        if known.kind == item.kind == "lack" and known.arguments == item.arguments:
            return
        item.base = known.base
    else:
        before = record.fields.get(name, _ABSENT)
        if not contents or before is not contents[0]:
            item.base = _change(definition, record, name, () if before is _ABSENT else (before,))
    is_watched = item.kind == "change" and contents and may_change(contents[0])
    fingerprint = _fingerprint(definition, contents[0], number_of) if is_watched else None
    # Change the record only now: the code above may be interrupted, and then runs again.
    record.fingerprints.pop(name, None)
    if fingerprint is not None:
        record.fingerprints[name] = fingerprint
    record.changes[name] = item
    record.version += 1


def _change(definition: Definition, record: Record, name: str, contents: tuple[Any, ...]) -> Item:
    """Return the item that sets an attribute, deletes it, or says why its value cannot be sent."""
    key = definition.key
    try:
        content, buffers, needs = dumps(contents, definition)
    except BaseException as error:
        raise_interrupt(error)
        owner = getattr(definition.value, "__qualname__", "")
        path = unpicklable_path(f"{owner}.{name}", contents[0])
        return missing_attribute(definition, name, f"{path}: {describe(error)[0]}")
    record.needs.add(needs)
    needed = [each.key for each in needs.definitions]
    slot = "attribute", key, name
    return Item(slot, "change", (key, name, needed), content, buffers)
