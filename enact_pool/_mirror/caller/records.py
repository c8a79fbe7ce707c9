"""What was pickled of each definition, and when it has to be pickled again."""

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

from enact_pool._mirror.caller.changes import Record, fields_of, lacking, note_changes, watch
from enact_pool._mirror.caller.definition_pickler import DefinitionPickler, dumps
from enact_pool._mirror.caller.fingerprint import Fingerprint
from enact_pool._mirror.caller.items import Item
from enact_pool._mirror.caller.parts import parts_of
from enact_pool._mirror.caller.scopes import CONTAINERS, Definition, Scope, scopes

__all__ = ["Look", "current"]

# A value with a larger pickle is large: see `Snapshot`.
_LARGE_BYTES = 1 << 16
_SHARE = 0.1


class Look:
    """One look at the definitions: what was compared in it is not compared again."""

    __slots__ = ("begun", "glances", "mark", "patient")

    def __init__(
        self,
        patient: bool,
        begun: dict[Scope, dict[str, Any]] | None = None,
        *,
        glances: bool = False,
    ) -> None:
        """`glances` is for what nothing names: it is patient with small values too."""
        self.patient = patient or glances
        self.glances = glances
        self.mark = object()
        self.begun = begun or {}

    def is_up_to_date(self) -> bool:
        """Return whether the globals that count are those that were seen last."""
        return all(scope.was_seen_with(contents) for scope, contents in self.begun.items())

    def globals_of(self, scope: Scope) -> dict[str, Any]:
        """Return the globals of a scope that count."""
        return self.begun.get(scope, scope.contents)


# Their contents are compared as a whole.
_DATA = frozenset(("container", "value", "dispatcher"))
# They refer to what others keep.
_WEAK_TYPES = (ref, WeakSet, WeakKeyDictionary, WeakValueDictionary)
_CONSTANT = frozenset(("new_type", "type_variable", "alias", "with_alias", "context_variable"))


def current(definition: Definition, look: Look) -> Record:
    """Return what was pickled of a definition, with all that has changed since."""
    record: Record | None = definition.record
    if record is None:
        record = definition.record = Record()
        try:
            _pickle(definition, record)
            record.look = look.mark
            scopes.new_bytes += sum(map(_size, record.items))
        except BaseException:
            definition.record = None
            raise
        if definition.kind not in _DATA and definition.kind not in _CONSTANT:
            watch(definition, record, partial(_number_of, look))
    elif definition.kind in _DATA:
        compare_at = record.glance_at if look.glances else record.compare_at
        if record.look is look.mark or (look.patient and time.monotonic() < compare_at):
            return record
        fresh = Record()
        _pickle(definition, fresh)
        record.compare_at, record.glance_at = fresh.compare_at, fresh.glance_at
        record.look = fresh.look = look.mark
        if fresh.fingerprints != record.fingerprints:
            # The container itself is there; what is in it is new.
            definition.record = fresh
            fresh.items[:-1] = record.items[:-1]
            return fresh
    elif definition.kind not in _CONSTANT:
        note_changes(definition, record, partial(_number_of, look), patient=look.patient)
    return record


def _number_of(look: Look, definition: Definition) -> int:
    return current(definition, look).items[0].number


def _size(item: Item) -> int:
    return len(item.content or b"") + sum(buffer.raw().nbytes for buffer in item.buffers)


def _pickle(definition: Definition, record: Record) -> None:
    """Pickle how an object is made, and then what it refers to."""
    if definition.kind == "with_alias":
        return  # a parameter of an alias, which is made along with that
    key, kind, begun = definition.key, definition.kind, time.monotonic()
    if kind not in _DATA and kind not in _CONSTANT:
        _key_what_others_may_share(definition)
    pickler = DefinitionPickler(BytesIO(), None, own=definition)
    maker, arguments, setter, state = parts_of(pickler, definition)
    record.needs.add(pickler.needs)
    # A value refers to others by their keys only if they do not refer back: of two that refer
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
            (key, kind, needed),
            content,
            buffers,
            definition.value,
            needed=needed,
        )
    ]
    if setter is not None:
        content, buffers, needs = dumps((setter, state), definition)
        record.needs.add(needs)
        needed = [each.key for each in needs.definitions]
        item = Item(("state", key), "state", (key, needed), content, buffers)
        if kind in _DATA:
            item.needed = frozenset(needed)  # of others, each attribute is sent by itself
        record.items.append(item)
    if kind not in _DATA and kind not in _CONSTANT:
        record.items += _sources_of(definition)
    if kind in _DATA:
        record.fingerprints[""] = Fingerprint.of(content, buffers)
        ended = time.monotonic()
        record.glance_at = ended + (ended - begun) / _SHARE
        if _size(record.items[-1]) > _LARGE_BYTES:
            record.compare_at = record.glance_at
    for name, reason in pickler.unsendable.items():
        record.changes[name] = lacking(definition, name, reason)


def _key_what_others_may_share(definition: Definition) -> None:
    """Give keys to the containers and instances that a definition refers to.

    A decorator puts the same dict into a cell and into an attribute, say.
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
                scopes.define(each, "container")
            elif not issubclass(type(each), (type, Enum)) and scopes.known(type(each)) is not None:
                scopes.define(each, "value")


def _sources_of(definition: Definition) -> list[Item]:
    """Items with the source lines of what is in no file: a cell of a notebook, say."""
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


# By the names of the files that there are not.
_sources: dict[str, Item] = {}
