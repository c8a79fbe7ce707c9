"""What was pickled of each definition, and when it must be pickled again."""

from __future__ import annotations

import linecache
import pickle
import time
from enum import Enum
from functools import partial
from io import BytesIO
from os.path import exists
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary, WeakSet, WeakValueDictionary, ref

from enact_pool._mirror.caller.changes import (
    Record,
    fields_of,
    missing_attribute,
    note_changes,
    note_fields,
)
from enact_pool._mirror.caller.definition import CONTAINERS, Definition
from enact_pool._mirror.caller.definition_pickler import DefinitionPickler, dumps
from enact_pool._mirror.caller.definitions import definitions
from enact_pool._mirror.caller.fingerprint import Fingerprint
from enact_pool._mirror.caller.items import Item
from enact_pool._mirror.caller.parts import parts_of
from enact_pool._mirror.caller.plain_comparison import plain_fingerprint
from enact_pool._mirror.caller.scopes import Scope
from enact_pool._python.interrupts import raise_interrupt

__all__ = ["Inspection", "current_record"]

# A value with a larger pickle is large: a patient inspection does not always compare it.
_LARGE_BYTES = 1 << 16
# Comparing takes at most this share of the time.
_SHARE = 0.1


class Inspection:
    """One comparison of definitions with their records. It compares each definition once.

    Args:
        patient: whether to skip large values that were compared recently.
        begun: copies of the globals that the inspection uses; None for the current globals.
        unnamed: whether it inspects definitions that no code names. It then is patient with
            small values, too.
    """

    __slots__ = ("begun", "patient", "token", "unnamed")

    def __init__(
        self,
        patient: bool,
        begun: dict[Scope, dict[str, Any]] | None = None,
        *,
        unnamed: bool = False,
    ) -> None:
        self.patient = patient or unnamed
        self.unnamed = unnamed
        # Records refer to this, so that they need not keep the inspection alive.
        self.token = object()
        self.begun = begun or {}

    def is_up_to_date(self) -> bool:
        """Return whether the last refresh of each scope saw the globals of this inspection."""
        return all(scope.matches(contents) for scope, contents in self.begun.items())

    def globals_of(self, scope: Scope) -> dict[str, Any]:
        """Return the globals of a scope that this inspection uses."""
        return self.begun.get(scope, scope.contents)


# The kinds that are compared as a whole.
_DATA = frozenset(("container", "value", "dispatcher"))
# They refer to objects that others keep alive.
_WEAK_TYPES = (ref, WeakSet, WeakKeyDictionary, WeakValueDictionary)
# The kinds that are never compared.
_CONSTANT = frozenset(("new_type", "type_variable", "alias", "with_alias", "context_variable"))


def current_record(definition: Definition, inspection: Inspection) -> Record:
    """Return the record of a definition, including what has changed since it was made.

    Raises:
        BaseException: what pickling the definition raises.
    """
    record: Record | None = definition.record
    if record is None:
        record = definition.record = Record()
        try:
            _pickle(definition, record)
            record.inspection = inspection.token
            definitions.new_bytes += sum(map(_size, record.items))
        except BaseException:
            definition.record = None
            raise
        if definition.kind not in _DATA and definition.kind not in _CONSTANT:
            note_fields(definition, record, partial(_number_of, inspection))
    elif definition.kind in _DATA:
        due = record.unnamed_due if inspection.unnamed else record.due
        if record.inspection is inspection.token or (inspection.patient and time.monotonic() < due):
            return record
        begun = time.monotonic()
        plain = plain_fingerprint(definition.value, record) if _is_large(record) else None
        if plain is not None and plain == record.plain:
            _note_comparison(record, begun)
            record.inspection = inspection.token
            return record
        fresh = Record()
        _pickle(definition, fresh)
        record.due, record.unnamed_due = fresh.due, fresh.unnamed_due
        record.inspection = fresh.inspection = inspection.token
        record.plain = fresh.plain = plain
        if fresh.fingerprints != record.fingerprints:
            # A worker has the container itself already; only its contents are new.
            definition.record = fresh
            fresh.items[:-1] = record.items[:-1]
            return fresh
    elif definition.kind not in _CONSTANT:
        number_of = partial(_number_of, inspection)
        note_changes(definition, record, number_of, patient=inspection.patient)
    return record


def _number_of(inspection: Inspection, definition: Definition) -> int:
    return current_record(definition, inspection).items[0].number


def _is_large(record: Record) -> bool:
    return _size(record.items[-1]) > _LARGE_BYTES


def _note_comparison(record: Record, begun: float) -> None:
    """Note that a value has been compared since that time: it is due again after a while."""
    ended = time.monotonic()
    record.unnamed_due = ended + (ended - begun) / _SHARE
    if _is_large(record):
        record.due = record.unnamed_due


def _size(item: Item) -> int:
    return len(item.content or b"") + sum(buffer.raw().nbytes for buffer in item.buffers)


def _pickle(definition: Definition, record: Record) -> None:
    """Pickle the parts of a definition: how it is made, and then what it refers to."""
    if definition.kind == "with_alias":
        return  # a parameter of a type alias, which is made along with the alias
    key, kind, begun = definition.key, definition.kind, time.monotonic()
    if kind not in _DATA and kind not in _CONSTANT:
        _define_shared_values(definition)
    pickler = DefinitionPickler(BytesIO(), None, own=definition)
    maker, arguments, setter, state = parts_of(pickler, definition)
    record.needs.add(pickler.needs)
    # A value refers by key only to values that do not refer back to it: of two values that refer
    # to each other, neither could be made first.
    by_key = kind == "context_variable" or type(definition.value) in _WEAK_TYPES
    content, buffers, needs = dumps((maker, arguments), definition, instances_by_key=by_key)
    record.needs.add(needs)
    needed = [each.key for each in needs.definitions] if kind == "value" else []
    slot = "object", key
    record.items = [
        Item(
            slot,
            "object",
            (key, kind, definition.label, needed),
            content,
            buffers,
            definition.value,
            needed=needed,
        )
    ]
    if setter is not None:
        try:
            content, buffers, needs = dumps((setter, state), definition)
        except BaseException as error:
            raise_interrupt(error)
            if definition.place is None:
                raise
            setter = None  # the worker's own has the state that its module gave it
    if setter is not None:
        record.needs.add(needs)
        needed = [each.key for each in needs.definitions]
        item = Item(("state", key), "state", (key, needed), content, buffers)
        if kind in _DATA:
            # The attributes of other kinds are items of their own.
            item.needed = frozenset(needed)
        record.items.append(item)
    if kind not in _DATA and kind not in _CONSTANT:
        record.items += _sources_of(definition)
    if kind in _DATA:
        record.fingerprints[""] = Fingerprint.of(content, buffers)
        _note_comparison(record, begun)
    for name, reason in pickler.unsendable.items():
        record.changes[name] = missing_attribute(definition, name, reason)


def _define_shared_values(definition: Definition) -> None:
    """Define the containers and instances that a definition refers to, so that they get keys.

    Other definitions may share them: a decorator may put one dict into a cell and an attribute.
    """
    for name, value in fields_of(definition).items():
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
                definitions.define(each, "container")
            elif (
                not issubclass(type(each), (type, Enum))
                and definitions.known(type(each)) is not None
            ):
                definitions.define(each, "value")


def _sources_of(definition: Definition) -> list[Item]:
    """Return items with the source lines of functions that are in no file: in a notebook, say."""
    value = definition.value
    if issubclass(type(value), type):
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


# By the names in the code objects, which are not those of files.
_sources: dict[str, Item] = {}
