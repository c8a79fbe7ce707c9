"""What each callable finds in its worker as its caller has it when a run or a call begins.

That is the state of the caller's process, the context variables, and `__main__`.
"""

from __future__ import annotations

import contextvars
import pickle
import sys
from typing import Any

from enact_pool.caller_state import Part, observe
from enact_pool.interrupts import is_interrupt
from enact_pool.mirror.fingerprint import Fingerprint
from enact_pool.mirror.pickler import Needs, can_refer_to_variable
from enact_pool.mirror.scopes import scopes
from enact_pool.mirror.snapshot import Item, Manifest, Snapshot, scope_item
from enact_pool.pickles import pickle_value
from enact_pool.wire import SHAREABLE

__all__ = ["caller_manifests", "caller_streams", "starting_manifest"]

# What a process that is started has from its parent.
_INHERITED = frozenset(("folder", "variables", "path", "streams", "modules"))


class _State:
    """The state of the process, as the items that workers are sent of it."""

    def __init__(self) -> None:
        self._parts: tuple[Part, ...] = ()
        self._main: Any = None
        self._items: dict[Part, Item] = {}
        self._manifest: Manifest = ()

    def manifest(self) -> Manifest:
        """Return the same manifest as long as nothing changes."""
        parts, main = observe(), sys.modules.get("__main__")
        if parts is not self._parts or main is not self._main:
            before, self._items = self._items, {}
            for part in parts:
                self._items[part] = before.get(part) or _item_of(part)
            items = list(self._items.values())
            scope = None if main is None else scopes.scope_of_module(main)
            if scope is not None:
                items.append(scope_item(scope))
            self._manifest = tuple((item, True) for item in items)
            self._parts, self._main = parts, main
        return self._manifest


def _item_of(part: Part) -> Item:
    slot = "process", part.name
    return Item(slot, "process", (part.name,), pickle.dumps(part.value, pickle.HIGHEST_PROTOCOL))


_state = _State()


def caller_manifests() -> tuple[Manifest, ...]:
    """Return what workers must have of the caller's process and of its context variables."""
    state = _state.manifest()
    context = _context.manifests()
    return (state, *context) if context else (state,)


def caller_streams() -> Manifest:
    """Return what a worker must have to print to the caller's descriptors."""
    return tuple(entry for entry in _state.manifest() if entry[0].slot == ("process", "streams"))


def starting_manifest() -> Manifest:
    """Return the state that a worker has which is started now."""
    manifest = []
    for item, now in _state.manifest():
        if item.kind == "process" and item.arguments[0] in _INHERITED:
            item = item.as_kind("assume")
        manifest.append((item, now))
    return tuple(manifest)


class _Context:
    """The caller's context variables, as far as workers can have them."""

    def __init__(self) -> None:
        self._values: list[tuple[Any, Any]] = []
        self._fingerprint: Fingerprint | None = None
        self._item: Item | None = None

    def manifests(self) -> tuple[Manifest, ...]:
        """Return what workers must have for the variables; nothing if none was ever set."""
        context = contextvars.copy_context()
        if not len(context) and self._item is None:
            return ()
        values = [
            (variable, value)
            for variable, value in context.items()
            if can_refer_to_variable(variable)
        ]
        if not values and self._item is None:
            return ()
        same = len(values) == len(self._values) and all(
            one[0] is other[0] and one[1] is other[1]
            for one, other in zip(values, self._values, strict=True)
        )
        if same and all(type(value) in SHAREABLE for _, value in values):
            assert self._item is not None
            return (self._whole(self._item, Needs() if not values else self._needs),)
        return (self._renewed(values),)

    _needs = Needs()

    def _renewed(self, values: list[tuple[Any, Any]]) -> Manifest:
        needs = Needs()
        sendable = []
        for pair in values:
            try:
                pickle_value(pair, needs, repeated=True)
            except BaseException as error:
                if is_interrupt(error):
                    raise
                continue  # documented: only values that can be pickled are sent
            sendable.append(pair)
        pickled = pickle_value(sendable, needs, repeated=True)
        fingerprint = Fingerprint.of(pickled)
        if fingerprint != self._fingerprint or self._item is None:
            self._item = Item(("context",), "context", (), pickled)
            self._fingerprint = fingerprint
        self._values, self._needs = values, needs
        return self._whole(self._item, needs)

    def _whole(self, item: Item, needs: Needs) -> Manifest:
        return (*Snapshot().manifest(needs), (item, True))


_context = _Context()
