"""Snapshots: the definitions and globals that a run requires of its workers.

A run makes a snapshot when it begins. Each definition that its pickles need is inspected once and
compared with what was sent before. Its state at that moment is valid for the rest of the run.
"""

from __future__ import annotations

from typing import Any

from enact_pool._mirror.caller.bindings import (
    current_binding,
    functions_and_classes_of,
    scope_item,
    value_of,
)
from enact_pool._mirror.caller.definition import Definition
from enact_pool._mirror.caller.definitions import definitions
from enact_pool._mirror.caller.fork_safe_lock import ForkSafeLock
from enact_pool._mirror.caller.items import Item, Manifest
from enact_pool._mirror.caller.module_globals import module_globals
from enact_pool._mirror.caller.needs import EVERY_NAME, Needs
from enact_pool._mirror.caller.records import Inspection, current_record
from enact_pool._mirror.caller.scopes import IMPLICIT, Scope, scopes
from enact_pool._mirror.caller.sweeping import release_replaced, sweep_if_due
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.tracebacks import describe

__all__ = ["Snapshot", "manifest_of"]


# One thread at a time inspects definitions. Re-entrant, since a signal handler, or a
# `__getstate__`, may start a run.
_lock = ForkSafeLock()

# The last manifests, by their needs.
_last: dict[tuple[Any, ...], _Collected] = {}
_MOST_REMEMBERED = 256


def _refresh_globals() -> None:
    releases = definitions.releases
    if scopes.refresh():
        module_globals.refresh()
        release_replaced()
    sweep_if_due()
    if definitions.releases != releases:
        _last.clear()  # the manifests keep released definitions alive


class Snapshot:
    """The definitions and globals of a run, as they were when the run first needed each.

    Args:
        patient: whether to skip comparing large values that were compared recently. Comparing
            then takes a tenth of the time at most. This is for calls that are submitted while
            other calls are in progress.
        begun: the values of all globals when the run began, from `scopes.contents`; None if the
            values at the time of each inspection count.
    """

    def __init__(
        self, *, patient: bool = False, begun: dict[Scope, dict[str, Any]] | None = None
    ) -> None:
        self._patient = patient
        self._begun = begun
        # Made when a pickle has needs.
        self._view: _View | None = None

    def manifest(self, needs: Needs) -> Manifest:
        """Return the items that a worker must have for a pickle with these needs.

        Returns the same tuple as long as nothing changes: lanes compare it by identity.
        """
        if not needs:
            return ()
        if self._view is None:
            self._view = _View(self._patient, self._begun)
        return self._view.manifest(needs)


class _View:
    """What a snapshot has inspected so far. It never inspects an object again."""

    def __init__(self, patient: bool, begun: dict[Scope, dict[str, Any]] | None) -> None:
        self._inspection = Inspection(patient, begun)
        # By slot: the item that this snapshot uses, even if a newer one exists by now.
        self._chosen: dict[tuple[Any, ...], Item] = {}
        self._manifests: dict[tuple[Any, ...], Manifest] = {}
        self._found: dict[Any, tuple[list[Item], Needs]] = {}
        # Definitions that no code names are always inspected patiently.
        self._unnamed_inspection = Inspection(True, self._inspection.begun, unnamed=True)
        self._unnamed_found: dict[Any, tuple[list[Item], Needs]] = {}

    def manifest(self, needs: Needs) -> Manifest:
        key = needs.key()
        found = self._manifests.get(key)
        if found is None:
            with _lock:
                _refresh_globals()
                # A manifest of an earlier snapshot is valid for this one only if this one has
                # not inspected anything yet, and its globals are the current ones.
                is_first = not self._found and self._inspection.is_up_to_date()
                last = _last.get(key)
                if last is None or not is_first or not last.is_current(self._inspection):
                    releases = definitions.releases
                    last = self._collected(needs, last)
                    if definitions.releases != releases or len(_last) > _MOST_REMEMBERED:
                        _last.clear()
                    if is_first:
                        _last[key] = last
                found = self._manifests[key] = last.manifest
        return found

    def _collected(self, needs: Needs, last: _Collected | None) -> _Collected:
        now: dict[Item, None] = {}
        reached: dict[Scope, None] = {}
        named: dict[Definition, None] = {}
        names = self._reach(needs, now, reached, named)
        later: dict[Item, None] = {}
        unnamed: dict[Definition, None] = {}
        for scope in list(reached):
            own = functions_and_classes_of(scope)
            names |= self._reach(own, later, {}, unnamed, is_unnamed=True)
        entries = [
            *((item, True) for item in now),
            *((item, False) for item in later if item not in now),
        ]
        # Scopes first: all other items belong to one.
        manifest = tuple(sorted(entries, key=lambda entry: entry[0].kind != "scope"))
        if last is not None and last.manifest == manifest:
            manifest = last.manifest
        return _Collected(manifest, list(reached), names, list(named), list(unnamed))

    def _reach(
        self,
        needs: Needs,
        into: dict[Item, None],
        reached: dict[Scope, None],
        reached_definitions: dict[Definition, None],
        *,
        is_unnamed: bool = False,
    ) -> dict[tuple[Scope, str], Any]:
        """Add everything that is needed; return the globals that this depends on, by name."""
        names: dict[tuple[Scope, str], Any] = {}
        waiting: list[Any] = [*needs.scopes, *needs.definitions, *needs.names]
        seen: set[Any] = set()
        while waiting:
            need = waiting.pop()
            if need in seen:
                continue
            seen.add(need)
            found = self._found.get(need)
            if found is None and is_unnamed:
                found = self._unnamed_found.get(need)
                if found is None:
                    found = self._unnamed_found[need] = _inspect(need, self._unnamed_inspection)
            elif found is None:
                found = self._found[need] = _inspect(need, self._inspection)
            items, more = found
            if isinstance(need, Scope):
                reached[need] = None
            elif isinstance(need, Definition):
                reached_definitions[need] = None
            else:
                names[need] = value_of(*need)
            for item in items:
                chosen = self._chosen.get if is_unnamed else self._chosen.setdefault
                into[chosen(item.slot, item)] = None
            waiting += [*more.names, *more.definitions, *more.scopes]
        return names


def manifest_of(needs: Needs, key: tuple[Any, ...], *, patient: bool) -> Manifest:
    """Return what `Snapshot(patient=patient).manifest(needs)` returns, in a third of the time.

    It is faster if nothing has changed since the last call with these needs (the row of `submit`
    in docs/executors.md).

    Args:
        needs: the needs of a pickle.
        key: the result of `needs.key()`.
        patient: see `Snapshot`.
    """
    last = _last.get(key)
    if last is not None:
        with _lock:
            _refresh_globals()
            if last.is_current(Inspection(patient)):
                return last.manifest
    return Snapshot(patient=patient).manifest(needs)


class _Collected:
    """The manifest of a pickle with certain needs, and what the manifest depends on."""

    def __init__(
        self,
        manifest: Manifest,
        reached: list[Scope],
        names: dict[tuple[Scope, str], Any],
        named: list[Definition],
        unnamed: list[Definition],
    ) -> None:
        self.manifest = manifest
        # If other globals of a scope have changed, the needed ones may still be the same.
        self._scopes = {scope: scope.version for scope in reached}
        self._modules = [(scope, scope.names_in_modules()) for scope in reached]
        self._own_names = {scope: functions_and_classes_of(scope).names.keys() for scope in reached}
        self._names = names
        # A module that a global refers to becomes a scope when its file is edited.
        self._scope_count = len(scopes)
        self._named = [(each, each.record, _version(each)) for each in named]
        # No code names these, but a task may find them.
        self._unnamed = [(each, each.record, _version(each)) for each in unnamed]
        # A global that could not be sent earlier may be sendable now.
        self._is_whole = not any(item.kind == "absent" for item, now in manifest if now)

    def is_current(self, inspection: Inspection) -> bool:
        """Return whether nothing that the manifest depends on has changed."""
        if not self._is_whole and not inspection.patient:
            return False
        if self._scope_count != len(scopes):
            return False
        if any(scope.names_in_modules() != names for scope, names in self._modules):
            return False
        changed = {scope for scope, version in self._scopes.items() if scope.version != version}
        if changed:
            for scope in changed:
                if functions_and_classes_of(scope).names.keys() != self._own_names[scope]:
                    return False
            for (scope, name), value in self._names.items():
                if scope in changed and (name == EVERY_NAME or value_of(scope, name) is not value):
                    return False
            self._scopes.update((scope, scope.version) for scope in changed)
        try:
            if not all(_is_unchanged(*each, inspection) for each in self._named):
                return False
            if not inspection.patient:
                unnamed_inspection = Inspection(True, unnamed=True)
                return all(_is_unchanged(*each, unnamed_inspection) for each in self._unnamed)
        except BaseException as error:
            raise_interrupt(error)
            return False  # it cannot be sent any more
        return True


def _is_unchanged(
    definition: Definition, record: Any, version: int, inspection: Inspection
) -> bool:
    return current_record(definition, inspection) is record and record.version == version


def _version(definition: Definition) -> int:
    return 0 if definition.record is None else definition.record.version


def _inspect(need: Any, inspection: Inspection) -> tuple[list[Item], Needs]:
    """Return the items of a scope, a definition or a global as it is now, and their needs."""
    if isinstance(need, Scope):
        return [scope_item(need)], Needs()
    if isinstance(need, Definition):
        try:
            record = current_record(need, inspection)
        except BaseException as error:
            raise_interrupt(error)
            if need.record is not None:
                # Its last state that could be sent, which some workers already have.
                return list(need.record.items), need.record.needs
            reason = f"{need.label} cannot be sent: {describe(error)[0]}"
            return [Item(("object", need.key), "broken", (need.key, reason))], Needs()
        return [*record.items, *record.changes.values()], record.needs
    scope, name = need
    if name == EVERY_NAME:
        needs = Needs()
        # Including deleted globals.
        for each in {**scope.bindings, **scope.contents}:
            if each not in IMPLICIT:
                needs.names[scope, each] = None
        return [], needs
    binding = current_binding(scope, name, inspection)
    return ([], Needs()) if binding is None else ([binding.item], binding.needs)
