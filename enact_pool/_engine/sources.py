"""Tasks made of the items of an iterable; and many callables over one input.

Items are taken from an iterable as they are needed, and dropped when they are settled. An iterable
is read ahead, and may then change what it has yielded, as a generator does that fills one buffer
again and again. So an item is kept as it is when it is taken: a closure with the values that it
has captured by then, and an input as its pickle (see `input_source`).
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Collection, Iterable, Iterator, Sized
from itertools import repeat
from operator import is_
from types import BuiltinFunctionType, FunctionType
from typing import Any

from enact_pool._core.batch_sizing import BATCH_BYTES
from enact_pool._core.timing import PULL_SECONDS
from enact_pool._engine.task_source import PENDING, Batch, TaskSource
from enact_pool._mirror.caller.definitions import definitions
from enact_pool._mirror.caller.items import Manifest
from enact_pool._mirror.caller.manifests import caller_manifests
from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.caller.pickling import (
    Buffers,
    is_named,
    pickle_callables,
    pickle_input,
)
from enact_pool._mirror.caller.scopes import scopes
from enact_pool._mirror.caller.snapshot import Snapshot
from enact_pool._python.callables import check_callable, name_of
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._wire.closures import split_closures, with_own_cells
from enact_pool._wire.frames import SHAREABLE
from enact_pool._wire.setup import INPUT, RunSetup

__all__ = ["CallableSource", "IterableSource", "kind_of"]

# No more is read ahead than makes so many bytes of pickles.
_AHEAD_BYTES = 8 * BATCH_BYTES
# Of so many callables at most it is worth knowing what they are.
_FEW = 64


class IterableSource(TaskSource):
    """Tasks made of the items of an iterable."""

    def __init__(self, items: Iterable[Any]) -> None:
        """Raises `TypeError` if there is nothing to iterate over."""
        if not isinstance(items, Iterable):
            raise TypeError(f"{self.item_is}s must be an iterable, not {type(items).__name__}")
        # Not kept for longer than the items that it holds are needed.
        self._iterable: Iterable[Any] | None = items
        self._source: Iterator[Any] | None = iter(items)
        # All at once in a list, or those that are there by their numbers.
        self._items: dict[int, Any] | list[Any] = {}
        # The size of the pickles among them that were not sent.
        self._unsent_bytes = 0
        self.exhausted = False
        # The globals as they are now, for what is needed later.
        self._begun = scopes.contents()
        self._snapshot: Snapshot | None = None
        self.manifests = caller_manifests()

    @property
    def has_more(self) -> bool:
        return not self.exhausted and self._unsent_bytes < _AHEAD_BYTES

    @property
    def total(self) -> int | None:
        if self._source is None:
            return self.pulled
        items: Any = self._iterable
        if not isinstance(items, Sized):
            return None
        try:
            return len(items)
        except Exception as error:
            raise_interrupt(error)
            return None  # to know it would have been useful, no more

    def manifest(self, needs: Needs) -> Manifest:
        if self._snapshot is None:
            self._snapshot = Snapshot(begun=self._begun)
        return self._snapshot.manifest(needs)

    def pull_all(self) -> None:
        """Take all items there are; raises what `pull` keeps for later."""
        source = self._source or ()
        if isinstance(self._iterable, Collection):
            items = list(source)  # it holds them, and does not change them meanwhile
        else:
            items = list(map(self._kept, source))
        self._check_all(items)
        self._items = items
        self.pulled = len(items)
        self._source = self._iterable = None
        self.exhausted = True
        self.is_lazy = False

    def pull(self, count: int) -> int:
        before, until = self.pulled, time.monotonic() + PULL_SECONDS
        while self._source is not None and self.pulled - before < count:
            try:
                item = next(self._source)
            except StopIteration:
                self.stop()
                break
            except BaseException as error:
                raise_interrupt(error)
                self.error = error
                self.stop()
                break
            if item is PENDING:
                break
            try:
                self._check(item, self.pulled)
            except TypeError as error:
                self.error = error
                self.stop()
            else:
                self._items[self.pulled] = self._kept(item)
                self.pulled += 1
            if time.monotonic() > until or self._unsent_bytes >= _AHEAD_BYTES:
                break
        return self.pulled - before

    def settle(self, tasks: Iterable[int]) -> list[str]:
        items = self._items
        if isinstance(items, dict):
            return self._names(list(map(items.pop, tasks)))
        settled = [items[task] for task in tasks]
        for task in tasks:
            items[task] = None
        return self._names(settled)

    def name(self, task: int) -> str:
        return self._names([self._items[task]])[0]

    def stop(self) -> None:
        self._source = self._iterable = None
        self.exhausted = True

    def _check(self, item: Any, index: int) -> None:
        """Raise `TypeError` if this cannot be an item."""

    def _kept(self, item: Any) -> Any:
        """Return an item as it is now: the iterable may change it."""
        raise NotImplementedError

    def _check_all(self, items: list[Any]) -> None:
        """Raise `TypeError` if one of these cannot be an item."""

    def _names(self, items: list[Any]) -> list[str]:
        """Return the names of the callables of these items."""
        raise NotImplementedError


class CallableSource(IterableSource):
    """Many callables over one input."""

    item_is, common_is = "callable", "input"

    def __init__(self, callables: Iterable[Any], input: Any, *, at_once: bool = False) -> None:
        """`at_once`: take all callables now. Raises `TypeError`, and what the iterable raises."""
        super().__init__(callables)
        self._input = input
        # The last closure without a global name that was taken, and what is kept of it.
        self._last: tuple[Any, Any] = None, None
        if at_once:
            self.pull_all()
            if self.pulled <= _FEW:
                self.workload_key = frozenset(map(kind_of, self._items))
        # A callable, and a batch that has it again and again. Not if tasks are taken as they
        # are needed: it may change meanwhile.
        self._repeated: tuple[Any, Batch] = None, Batch(0, b"")

    def _check(self, item: Any, index: int) -> None:
        check_callable(item, f"callables[{index}]")

    def _check_all(self, items: list[Any]) -> None:
        if not all(map(is_, map(type, items), repeat(FunctionType))):
            for index, item in enumerate(items):
                if type(item) is not FunctionType and type(item) is not BuiltinFunctionType:
                    self._check(item, index)

    def _kept(self, item: Any) -> Any:
        if type(item) is not FunctionType or not item.__closure__:
            return item
        last, kept = self._last
        is_like_last = last is not None and last.__code__ is item.__code__
        if not is_like_last and definitions.find_function(item) is not None:
            return item  # each worker has one of it, and its state
        own = with_own_cells(item, kept if last is item else None)
        self._last = item, own
        return own

    def _names(self, items: list[Any]) -> list[str]:
        count = len(items)
        if count > 1 and all(map(is_, items, repeat(items[0]))):
            return self._names(items[:1]) * count
        # One call less for what most are.
        return [
            item.__name__
            if type(item) is FunctionType or type(item) is BuiltinFunctionType
            else name_of(item)
            for item in items
        ]

    def setup(self, buffers: Buffers) -> tuple[RunSetup, Manifest]:
        if type(self._input) in SHAREABLE:
            pickled = pickle.dumps(self._input, pickle.HIGHEST_PROTOCOL)
            return RunSetup(INPUT, pickled, is_shared=True), ()
        needs = Needs()
        pickled = pickle_input(self._input, needs, buffers)
        return RunSetup(INPUT, pickled), self.manifest(needs)

    def pickle(self, tasks: list[int]) -> Batch:
        items = self._items
        callables = [items[task] for task in tasks]
        first = callables[0]
        if not all(map(is_, callables, repeat(first))):
            needs = Needs()
            pickled = pickle_callables(split_closures(callables), needs)
            return Batch(len(tasks), pickled, (*self.manifests, self.manifest(needs)))
        # One callable many times is common, and a function that a script defines is a long
        # pickle: its code.
        repeated, batch = self._repeated
        if self.is_lazy or repeated is not first or batch.count != len(tasks):
            if is_named(first):
                value: tuple[list[Any], list[Any]] = callables, []
                pickled, manifests = pickle.dumps(value, pickle.HIGHEST_PROTOCOL), self.manifests
            else:
                needs = Needs()
                pickled = pickle_callables((callables, []), needs)
                manifests = (*self.manifests, self.manifest(needs))
            batch = Batch(len(tasks), pickled, manifests)
            if not self.is_lazy:
                self._repeated = first, batch
        return batch


def kind_of(item: Any) -> int:
    """Return what calls of a callable, or of others like it, are remembered by."""
    # Types may refuse to be hashed. That the number may be another's some day costs a moment.
    return id(item.__code__ if type(item) is FunctionType else type(item))
