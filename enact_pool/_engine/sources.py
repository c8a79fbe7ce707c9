"""What a run has to do: many callables over one input, or one function over many inputs.

Either has something in common, which is sent to each worker once, and items, of
which each makes one task. Items are taken from an iterable as they are needed,
and let go of when they are settled.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import AbstractContextManager, nullcontext
from enum import Enum
from itertools import repeat
from operator import is_
from types import FunctionType
from typing import Any, Final, Literal, Protocol

from attrs import frozen

from enact_pool._engine.output_relay import (
    Relay,
    Use,
    end_unused,
    relays,
    replaced_streams,
    use_relay,
)
from enact_pool._mirror.caller.items import Manifest
from enact_pool._mirror.caller.manifests import caller_manifests
from enact_pool._mirror.caller.pickler import Needs
from enact_pool._mirror.caller.pickling import (
    Buffers,
    pickle_callables,
    pickle_function,
    pickle_input,
    pickle_inputs,
    pickle_repeated,
)
from enact_pool._mirror.caller.snapshot import Snapshot
from enact_pool._model.results import ParallelResult
from enact_pool._python.callables import check_callable, name_of
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._wire.closures import parted
from enact_pool._wire.frames import COMMON_FUNCTION, COMMON_SHARED, SHAREABLE

__all__ = [
    "NOT_YET",
    "Batch",
    "CallableSource",
    "InputSource",
    "NotYet",
    "TaskSource",
    "RunControl",
]


class _Answer(Enum):
    NOT_YET = "not yet"


# What an iterable can give in the place of an item that would have to be waited for:
# the run looks after what it has, and asks again at once.
NotYet = Literal[_Answer.NOT_YET]
NOT_YET: Final = _Answer.NOT_YET

# Of so many callables at most it is worth knowing what they are.
_FEW = 64

# An iterable that is this slow is not asked for many items in a row.
_PULL_SECONDS = 0.001


class RunControl(Protocol):
    """What a run lets others do with what it has; to be asked with the lock of its work held."""

    def withdraw(self, task: int) -> bool: ...

    def is_running(self, task: int) -> bool: ...

    def kill(self, task: int) -> bool: ...


@frozen
class Batch:
    """The pickled items of the first `count` tasks, and what a worker needs for them."""

    count: int
    payload: bytes
    manifests: tuple[Manifest, ...] = ()


class TaskSource:
    """The items of a run, numbered from 0 in the order of the iterable."""

    # What the items are, and what they have in common, in the words of messages.
    item_is: str
    common_is: str
    # Whether exceptions are to be told as themselves, beside the texts of them.
    wants_exceptions = False
    # Whether more items may come after some could not be run for want of workers.
    goes_on = False
    # Can be read when there may be more items, or when something else has happened to them.
    doorbell: int | None = None
    # Who may do something with the run, one at a time; and where the one who has it
    # lets others do so. (Most runs are one thread's alone.)
    lock: AbstractContextManager[object] = nullcontext()
    unlocked: AbstractContextManager[object] = nullcontext()

    def __init__(self, items: Iterable[Any]) -> None:
        """Raises `TypeError` if there is nothing to iterate over."""
        if not isinstance(items, Iterable):
            raise TypeError(f"{self.item_is}s must be an iterable, not {type(items).__name__}")
        # Not kept for longer than the items that it holds are needed.
        self._iterable: Iterable[Any] | None = items
        self._source: Iterator[Any] | None = iter(items)
        # All at once in a list, or those that are there by their numbers.
        self._items: dict[int, Any] | list[Any] = {}
        self._pulled = 0
        # Whether items are taken as they are needed.
        self.is_lazy = True
        # What the iterable has raised; to be raised when what came before is done.
        self.error: BaseException | None = None
        # The caller's definitions and globals, and the state of its process, as they are
        # when this begins.
        self.snapshot = Snapshot(begins=not self.goes_on)
        self.manifests = caller_manifests()
        # What is in the place of the caller's stdout and stderr, and the relay of it.
        self._replaced = replaced_streams()
        self._relay: Use | None = None
        # What the first `write` of such an object that failed has raised.
        self.relay_error: BaseException | None = None

    @property
    def exhausted(self) -> bool:
        """Whether there will be no more items."""
        return self._source is None

    @property
    def has_more(self) -> bool:
        """Whether it is worth asking for more items."""
        return self._source is not None

    @property
    def pulled(self) -> int:
        """How many items were taken so far."""
        return self._pulled

    @property
    def total(self) -> int | None:
        """How many items there are; None if that is not known yet."""
        if self.exhausted:
            return self._pulled
        items: Any = self._iterable
        if not isinstance(items, Sized):
            return None
        try:
            return len(items)
        except Exception as error:
            raise_interrupt(error)
            return None  # it would have been good to know, no more

    def pull_all(self) -> None:
        """Take all items there are; raises what `pull` keeps for later."""
        items = list(self._source or ())
        self._check_all(items)
        self._items = items
        self._pulled = len(items)
        self.stop()
        self.is_lazy = False

    def pull(self, count: int) -> int:
        """Take up to `count` more items from the iterable, fewer if it is slow; gives how many."""
        before, until = self._pulled, time.monotonic() + _PULL_SECONDS
        while self._source is not None and self._pulled - before < count:
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
            if item is NOT_YET:
                break
            try:
                self._check(item, self._pulled)
            except TypeError as error:
                self.error = error
                self.stop()
            else:
                self._items[self._pulled] = item
                self._pulled += 1
            if time.monotonic() > until:
                break
        return self._pulled - before

    @property
    def kinds(self) -> frozenset[int] | None:
        """Numbers for what the callables are, if they are few: the same take about as long."""
        raise NotImplementedError

    def settle(self, tasks: Iterable[int]) -> list[str]:
        """Let go of these items; gives the names of the callables that have done these tasks."""
        items = self._items
        if isinstance(items, dict):
            return self._names(list(map(items.pop, tasks)))
        settled = [items[task] for task in tasks]
        for task in tasks:
            items[task] = None
        return self._names(settled)

    def name(self, task: int) -> str:
        """The name of the callable of this task, which is not settled."""
        return self._names([self._items[task]])[0]

    def listen(self, wants: bool) -> None:
        """Whether it is to be rung for more items."""

    def quiet(self) -> None:
        """Wait for the next ring of the doorbell."""

    def begin(self, run: RunControl) -> None:
        """This run does it."""

    def open_relay(self) -> None:
        """Relay what is printed to the objects in the place of stdout and stderr, if there are any.

        Raises `OSError` or `RuntimeError`: see `relay`.
        """
        if self._replaced is not None:
            # Not kept here: after the run it is the relay that knows when it is not needed.
            replaced, self._replaced = self._replaced, None
            self._relay = use_relay(replaced)
            self.manifests = self._relay.relay.manifests(self.manifests)

    @property
    def is_relayed(self) -> bool:
        """Whether what is printed may be relayed."""
        return self._relay is not None

    def show_printed(self, tasks: Sequence[int]) -> None:
        """Write what these tasks have printed to the objects that it is relayed to."""
        if self._relay is not None:
            self._drain(self._relay.relay)

    def _drain(self, relay: Relay) -> None:
        relay.drain()
        if self.relay_error is None:
            self.relay_error = relay.error

    def close_relay(self) -> None:
        """End the relay, if nothing else uses it; can be called again."""
        use, self._relay = self._relay, None
        if use is not None:
            self._drain(use.relay)
            use.end()
        if relays.active:
            end_unused()

    def tell(self, tasks: Sequence[int], results: list[ParallelResult[Any]]) -> None:
        """The turn of these results has come."""

    def stop(self) -> None:
        """Take no more items."""
        self._source = self._iterable = None

    def _check(self, item: Any, index: int) -> None:
        """Raise `TypeError` if this cannot be an item."""

    def _check_all(self, items: list[Any]) -> None:
        """Raise `TypeError` if one of these cannot be an item."""

    def _names(self, items: list[Any]) -> list[str]:
        """The names of the callables that these items stand for."""
        raise NotImplementedError

    def pickle_common(self, buffers: Buffers) -> tuple[int, bytes, Manifest]:
        """What all tasks have in common: flags, a pickle, and what a worker needs for it."""
        raise NotImplementedError

    def pickle(self, tasks: list[int]) -> Batch:
        """The items of these tasks, or of the first of them, for one batch."""
        raise NotImplementedError


class CallableSource(TaskSource):
    """Many callables over one input."""

    item_is, common_is = "callable", "input"

    def __init__(self, callables: Iterable[Any], input: Any) -> None:
        super().__init__(callables)
        self._input = input
        # A callable, and a batch that has it again and again. Not of lazy work: it may
        # change meanwhile.
        self._repeated: tuple[Any, Batch] = None, Batch(0, b"")

    def _check(self, item: Any, index: int) -> None:
        check_callable(item, f"callables[{index}]")

    def _check_all(self, items: list[Any]) -> None:
        if not all(map(is_, map(type, items), repeat(FunctionType))):
            for index, item in enumerate(items):
                self._check(item, index)

    def _names(self, items: list[Any]) -> list[str]:
        if _are_one(items):
            return [name_of(items[0])] * len(items)
        # A call less for what most are.
        return [i.__name__ if type(i) is FunctionType else name_of(i) for i in items]

    @property
    def kinds(self) -> frozenset[int] | None:
        if self.is_lazy or self._pulled > _FEW:
            return None
        return frozenset(map(_kind, self._items))

    def pickle_common(self, buffers: Buffers) -> tuple[int, bytes, Manifest]:
        flags = COMMON_SHARED if type(self._input) in SHAREABLE else 0
        needs = Needs()
        pickled = pickle_input(self._input, needs, buffers)
        return flags, pickled, self.snapshot.manifest(needs)

    def pickle(self, tasks: list[int]) -> Batch:
        callables = [self._items[task] for task in tasks]
        first = callables[0]
        if not _are_one(callables):
            needs = Needs()
            pickled = pickle_callables(parted(callables), needs)
            return Batch(len(tasks), pickled, (*self.manifests, self.snapshot.manifest(needs)))
        if self.is_lazy:
            return self._pickle_one(first, len(tasks))
        # One callable many times is common, and a function that a script
        # defines is a long pickle: its code.
        repeated, batch = self._repeated
        if repeated is not first or batch.count != len(tasks):
            batch = self._pickle_one(first, len(tasks))
            self._repeated = first, batch
        return batch

    def _pickle_one(self, candidate: Any, count: int) -> Batch:
        needs = Needs()
        pickled = pickle_repeated(candidate, count, needs)
        return Batch(count, pickled, (*self.manifests, self.snapshot.manifest(needs)))


class InputSource(TaskSource):
    """One function over many inputs."""

    item_is, common_is = "input", "function"

    def __init__(self, function: Any, inputs: Iterable[Any]) -> None:
        super().__init__(inputs)
        check_callable(function, "function")
        self._function = function
        self._name = name_of(function)

    def _names(self, items: list[Any]) -> list[str]:
        return [self._name] * len(items)

    @property
    def kinds(self) -> frozenset[int] | None:
        return frozenset([_kind(self._function)])

    def pickle_common(self, buffers: Buffers) -> tuple[int, bytes, Manifest]:
        needs = Needs()
        pickled = pickle_function(self._function, needs, buffers)
        return COMMON_FUNCTION, pickled, self.snapshot.manifest(needs)

    def pickle(self, tasks: list[int]) -> Batch:
        needs = Needs()
        pickled = pickle_inputs([self._items[task] for task in tasks], needs)
        return Batch(len(tasks), pickled, (*self.manifests, self.snapshot.manifest(needs)))


def _are_one(items: list[Any]) -> bool:
    """Whether these are the same object again and again."""
    return all(map(is_, items, repeat(items[0])))


def _kind(item: Any) -> int:
    # Types may refuse to be hashed. That the number may be another's some day costs a moment.
    return id(item.__code__ if type(item) is FunctionType else type(item))
