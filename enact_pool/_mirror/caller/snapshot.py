"""What is sent of the caller's definitions and globals, and when it has to be sent again.

A run takes a snapshot when it begins: whatever its pickles need is looked at once, compared
with what was sent before, and stays as it was then for the rest of the run.
"""

from __future__ import annotations

import os
import threading
from typing import Any

from enact_pool._mirror.caller.bindings import bound, others_of, scope_item, value_of
from enact_pool._mirror.caller.items import Item, Manifest
from enact_pool._mirror.caller.pickler import EVERY_NAME, Needs
from enact_pool._mirror.caller.records import Look, current
from enact_pool._mirror.caller.scopes import IMPLICIT, Definition, Scope, scopes
from enact_pool._mirror.caller.sweeping import let_go_of_rebound, sweep_if_due
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._python.tracebacks import describe

__all__ = ["Snapshot", "manifest_of"]


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


def _look_at_globals() -> None:
    releases = scopes.releases
    if scopes.look():
        let_go_of_rebound()
    sweep_if_due()
    if scopes.releases != releases:
        _last.clear()  # they keep what was let go of


class Snapshot:
    """The definitions and globals of a run, as they were when it first needed each.

    A `patient` one does not compare large values with what was sent if that was done lately:
    it takes a tenth of the time at most. It is for calls that are submitted while others are
    in progress.
    """

    def __init__(self, *, patient: bool = False, begins: bool = False) -> None:
        """`begins` notes the values of all globals now, for those that are needed later."""
        self._patient = patient
        self._begun = scopes.contents() if begins else None
        # Made when something is needed, which is never for most runs (the row noops-1).
        self._view: _View | None = None

    def manifest(self, needs: Needs) -> Manifest:
        """Return what a worker must have for a pickle with these needs.

        It is the same tuple as long as nothing changes: lanes know it by its identity.
        """
        if not needs:
            return ()
        if self._view is None:
            self._view = _View(self._patient, self._begun)
        return self._view.manifest(needs)


class _View:
    """What a snapshot has looked at, which stays as it was then."""

    def __init__(self, patient: bool, begun: dict[Scope, dict[str, Any]] | None) -> None:
        self._look = Look(patient, begun)
        self._chosen: dict[tuple[Any, ...], Item] = {}
        self._manifests: dict[tuple[Any, ...], Manifest] = {}
        self._looked_at: dict[Any, tuple[list[Item], Needs]] = {}
        # What nothing names is always looked at patiently.
        self._glance = Look(True, self._look.begun, glances=True)
        self._glanced_at: dict[Any, tuple[list[Item], Needs]] = {}

    def manifest(self, needs: Needs) -> Manifest:
        key = needs.key()
        found = self._manifests.get(key)
        if found is None:
            with _turn:
                _look_at_globals()
                # What was looked at before, or when this began, stays as it was then.
                is_first = not self._looked_at and self._look.is_up_to_date()
                last = _last.get(key)
                if last is None or not is_first or not last.is_current(self._look):
                    releases = scopes.releases
                    last = self._collected(needs, last)
                    if scopes.releases != releases or len(_last) > _MOST_REMEMBERED:
                        _last.clear()
                    if is_first:
                        _last[key] = last
                found = self._manifests[key] = last.manifest
        return found

    def _collected(self, needs: Needs, last: _Collected | None) -> _Collected:
        now: dict[Item, None] = {}
        reached: dict[Scope, None] = {}
        definitions: dict[Definition, None] = {}
        names = self._reach(needs, now, reached, definitions)
        later: dict[Item, None] = {}
        others: dict[Definition, None] = {}
        for scope in list(reached):
            names |= self._reach(others_of(scope), later, {}, others, glance=True)
        entries = [
            *((item, True) for item in now),
            *((item, False) for item in later if item not in now),
        ]
        # All else belongs to a scope.
        manifest = tuple(sorted(entries, key=lambda entry: entry[0].kind != "scope"))
        if last is not None and last.manifest == manifest:
            manifest = last.manifest
        return _Collected(manifest, list(reached), names, list(definitions), list(others))

    def _reach(
        self,
        needs: Needs,
        into: dict[Item, None],
        reached: dict[Scope, None],
        definitions: dict[Definition, None],
        *,
        glance: bool = False,
    ) -> dict[tuple[Scope, str], Any]:
        """Add what is needed; return the globals that this depends on, by their names."""
        names: dict[tuple[Scope, str], Any] = {}
        waiting: list[Any] = [*needs.scopes, *needs.definitions, *needs.names]
        seen: set[Any] = set()
        while waiting:
            what = waiting.pop()
            if what in seen:
                continue
            seen.add(what)
            found = self._looked_at.get(what)
            if found is None and glance:
                found = self._glanced_at.get(what)
                if found is None:
                    found = self._glanced_at[what] = _looked_up(what, self._glance)
            elif found is None:
                found = self._looked_at[what] = _looked_up(what, self._look)
            items, more = found
            if isinstance(what, Scope):
                reached[what] = None
            elif isinstance(what, Definition):
                definitions[what] = None
            else:
                names[what] = value_of(*what)
            for item in items:
                chosen = self._chosen.get if glance else self._chosen.setdefault
                into[chosen(item.slot, item)] = None
            waiting += [*more.names, *more.definitions, *more.scopes]
        return names


def manifest_of(needs: Needs, key: tuple[Any, ...], *, patient: bool) -> Manifest:
    """Return what a `Snapshot` does, which is most often what it did for these needs before.

    `key` is that of the needs. (This takes a third of the time: the row of `submit` in
    docs/executors.md.)
    """
    last = _last.get(key)
    if last is not None:
        with _turn:
            _look_at_globals()
            if last.is_current(Look(patient)):
                return last.manifest
    return Snapshot(patient=patient).manifest(needs)


class _Collected:
    """What a pickle with certain needs was found to take, and what that depends on."""

    def __init__(
        self,
        manifest: Manifest,
        reached: list[Scope],
        names: dict[tuple[Scope, str], Any],
        definitions: list[Definition],
        others: list[Definition],
    ) -> None:
        self.manifest = manifest
        # When their globals have changed, those that are needed may not have.
        self._scopes = {scope: scope.version for scope in reached}
        self._modules = [(scope, scope.names_in_modules()) for scope in reached]
        self._others_of = {scope: others_of(scope).names.keys() for scope in reached}
        self._names = names
        # A module that a global refers to may have been edited, and be sent from then on.
        self._known_modules = scopes.modules
        self._definitions = [(each, each.record, _version(each)) for each in definitions]
        # Which a task may find, though nothing names them.
        self._others = [(each, each.record, _version(each)) for each in others]
        # What could not be sent earlier may be sendable now.
        self._is_whole = not any(item.kind == "absent" for item, now in manifest if now)

    def is_current(self, look: Look) -> bool:
        """Return whether nothing has changed since."""
        if not self._is_whole and not look.patient:
            return False
        if self._known_modules != scopes.modules:
            return False
        if any(scope.names_in_modules() != names for scope, names in self._modules):
            return False
        changed = {scope for scope, version in self._scopes.items() if scope.version != version}
        if changed:
            for scope in changed:
                if others_of(scope).names.keys() != self._others_of[scope]:
                    return False
            for (scope, name), value in self._names.items():
                if scope in changed and (name == EVERY_NAME or value_of(scope, name) is not value):
                    return False
            self._scopes.update((scope, scope.version) for scope in changed)
        try:
            if not all(_is_unchanged(*each, look) for each in self._definitions):
                return False
            if not look.patient:
                glance = Look(True, glances=True)
                return all(_is_unchanged(*each, glance) for each in self._others)
        except BaseException as error:
            raise_interrupt(error)
            return False  # it cannot be sent any more
        return True


def _is_unchanged(definition: Definition, record: Any, version: int, look: Look) -> bool:
    return current(definition, look) is record and record.version == version


def _version(definition: Definition) -> int:
    return 0 if definition.record is None else definition.record.version


def _looked_up(what: Any, look: Look) -> tuple[list[Item], Needs]:
    """Return the items of a scope, a definition or a global as it is now, and what they need."""
    if isinstance(what, Scope):
        return [scope_item(what)], Needs()
    if isinstance(what, Definition):
        try:
            record = current(what, look)
        except BaseException as error:
            raise_interrupt(error)
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
        # Those that are gone, too.
        for each in {**scope.bindings, **scope.contents}:
            if each not in IMPLICIT:
                needs.names[scope, each] = None
        return [], needs
    binding = bound(scope, name, look)
    return ([], Needs()) if binding is None else ([binding.item], binding.needs)
