"""Manifests of the caller's process state and context variables, when a run or call begins."""

from __future__ import annotations

import contextvars
import pickle
from typing import Any

from enact_pool._mirror.caller.definitions import definitions
from enact_pool._mirror.caller.items import Item, Manifest
from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.caller.pickling import pickle_value
from enact_pool._mirror.caller.process_state import Part, observe
from enact_pool._mirror.caller.snapshot import Snapshot
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._wire.frames import SHAREABLE

__all__ = ["caller_manifests", "caller_streams", "starting_manifest"]

# The parts that a new process inherits from its parent.
_INHERITED = frozenset(("folder", "variables", "path", "streams", "modules"))


class _State:
    """The manifest of the process state."""

    def __init__(self) -> None:
        # The parts, their items, and the manifest with these items. Any thread may read this, so
        # it is one tuple, which is replaced as a whole.
        self._seen: tuple[tuple[Part, ...], dict[Part, Item], Manifest] = (), {}, ()

    def manifest(self) -> Manifest:
        """Return the same manifest as long as nothing changes."""
        parts = observe()
        known, before, manifest = self._seen
        if parts is not known:
            items = {part: before.get(part) or _item_of(part) for part in parts}
            manifest = tuple((item, True) for item in items.values())
            self._seen = parts, items, manifest
        return manifest


def _item_of(part: Part) -> Item:
    slot = "process", part.name
    return Item(slot, "process", (part.name,), pickle.dumps(part.value, pickle.HIGHEST_PROTOCOL))


_state = _State()


def caller_manifests() -> tuple[Manifest, ...]:
    """Return what workers must have: the caller's process state and context variables."""
    state = _state.manifest()
    context = _context.manifests()
    return (state, *context) if context else (state,)


def caller_streams() -> Manifest:
    """Return the entry that makes a worker print to the caller's descriptors."""
    return tuple(entry for entry in _state.manifest() if entry[0].slot == ("process", "streams"))


def starting_manifest() -> Manifest:
    """Return the process state for a worker that starts now, which inherits some of it."""
    manifest = []
    for item, now in _state.manifest():
        if item.kind == "process" and item.arguments[0] in _INHERITED:
            item = item.as_kind("assume")
        manifest.append((item, now))
    return tuple(manifest)


class _Context:
    """The manifest of the caller's context variables."""

    def __init__(self) -> None:
        # The variables with their values, how many definitions were released when these were
        # pickled, and the manifest with them: see `_State`.
        self._seen: tuple[list[tuple[Any, Any]], int, Manifest] = [], 0, ()

    def manifests(self) -> tuple[Manifest, ...]:
        """Return the manifest of the variables; an empty tuple if no variable was ever set."""
        context = contextvars.copy_context()
        before, releases, manifest = self._seen
        if not len(context) and not manifest:
            return ()
        values = [
            (variable, value)
            for variable, value in context.items()
            # The variable of the decimal module is a part of the process state.
            if variable.name != "decimal_context"
        ]
        if not values and not manifest:
            return ()
        if not (
            # A variable whose definition was released has another key by now.
            releases == definitions.releases
            and len(values) == len(before)
            and all(
                one[0] is other[0] and one[1] is other[1] and type(one[1]) in SHAREABLE
                for one, other in zip(values, before, strict=True)
            )
        ):
            manifest = _with_values(values, manifest)
            self._seen = values, definitions.releases, manifest
        return (manifest,)


def _with_values(values: list[tuple[Any, Any]], before: Manifest) -> Manifest:
    """Return the manifest of the variables whose values, and defaults, can be pickled."""
    snapshot, needs, pickles = Snapshot(), Needs(), []
    for pair in values:
        own_needs = Needs()
        try:
            pickled = pickle_value(pair, own_needs, repeated=True)
        except BaseException as error:
            raise_interrupt(error)
            continue  # documented: only values that can be pickled are sent
        if not any(item.kind == "broken" for item, _ in snapshot.manifest(own_needs)):
            needs.add(own_needs)
            pickles.append(pickled)
    content = pickle.dumps(pickles, pickle.HIGHEST_PROTOCOL)
    item = before[-1][0] if before else None
    if item is None or item.content != content:
        item = Item(("context",), "context", (), content)
    return (*snapshot.manifest(needs), (item, True))


_context = _Context()
