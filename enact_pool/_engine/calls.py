"""Calls as they are when they are submitted: pickled, with what a worker needs for each.

A call is pickled in the thread that submits it, so that what the caller changes afterwards has no
effect on it.
"""

from __future__ import annotations

import pickle
from collections.abc import Container, Iterable
from operator import is_
from types import FunctionType, ModuleType
from typing import Any

from attrs import define

from enact_pool._engine.task_source import Batch
from enact_pool._lanes.output_relay import Use, replaced_streams, use_relay
from enact_pool._mirror.caller.definitions import definitions
from enact_pool._mirror.caller.items import Manifest
from enact_pool._mirror.caller.manifests import caller_manifests
from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.caller.pickling import NAMED, is_named, pickle_function, pickle_value
from enact_pool._mirror.caller.snapshot import Snapshot, manifest_of
from enact_pool._python.callables import call_with, load_call, name_of
from enact_pool._python.interrupts import raise_interrupt
from enact_pool._wire.frames import SHAREABLE

__all__ = ["Call", "CallPickler", "PreparedCall", "pickle_calls"]


class PreparedCall:
    """A call that was pickled by the submitter, in its own format.

    It is rebuilt along with its batch, as functions are: the time that its imports take
    does not count against its limit.
    """

    def __init__(self, name: str, function: bytes, arguments: bytes, needs: Needs) -> None:
        """`arguments` is a pair of the positional ones and those by name."""
        self.__name__ = name
        self.pickles = function, arguments
        self.needs = needs

    def __reduce__(self) -> tuple[Any, ...]:
        return load_call, self.pickles

    def __call__(self) -> Any:
        return load_call(*self.pickles)()


# What a worker has one value of: see `Item`.
_Slot = tuple[Any, ...]


@define(eq=False)
class Call:
    """A call as it was when it was submitted: its function's pickle, and its arguments.

    Immutable arguments are kept as they are; others are pickled. `refusal` is what was
    raised when it was pickled.
    """

    name: str
    function: bytes = b""
    given: tuple[Any, ...] | bytes = b""
    manifests: tuple[Manifest, ...] = ()
    refusal: BaseException | None = None
    # The relay of what it prints, which is there as long as this call is.
    relay: Use | None = None


class CallPickler:
    """Pickles calls, in the threads that submit them."""

    def __init__(self) -> None:
        # The last function that workers find by its name or its key, its pickle, what that
        # needs, and the key of that.
        self._known: tuple[Any, bytes, Needs, Any] = None, b"", Needs(), None
        self._called_with = pickle.dumps(call_with, pickle.HIGHEST_PROTOCOL)
        # What the last call wanted of its worker: the same tuple for those that want the same.
        self._manifests: tuple[Manifest, ...] = ()

    def pickle(
        self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], *, patient: bool
    ) -> Call:
        """Return the call; `patient` if others are in progress: see `Snapshot`."""
        name = function.__name__ if type(function) is FunctionType else name_of(function)
        try:
            pickled, given, manifest = self._pickled(function, args, kwargs, patient)
            manifests, relay = caller_manifests(), None
            if (replaced := replaced_streams()) is not None:
                relay = use_relay(replaced)
                manifests = relay.relay.manifests(manifests)
        except BaseException as error:
            raise_interrupt(error)
            return Call(name, refusal=error)
        if manifest:
            manifests = *manifests, manifest
        last = self._manifests
        if len(last) == len(manifests) and all(map(is_, last, manifests)):
            manifests = last
        else:
            self._manifests = manifests
        return Call(name, pickled, given, manifests, relay=relay)

    def _pickled(
        self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], patient: bool
    ) -> tuple[bytes, tuple[Any, ...] | bytes, Manifest]:
        """Return the pickle of the function, the arguments, and what a worker needs for both."""
        are_plain = SHAREABLE.issuperset(map(type, args)) and SHAREABLE.issuperset(
            map(type, kwargs.values())
        )
        known, pickled, needs, key = self._known
        if known is function and are_plain:
            if not needs:
                if patient or is_named(function):
                    return pickled, (args, kwargs), ()
            elif _is_keyed(function):
                return pickled, (args, kwargs), manifest_of(needs, key, patient=patient)
        needs = Needs()
        given: tuple[Any, ...] | bytes = args, kwargs
        if type(function) is PreparedCall:
            needs.add(function.needs)
            pickled = pickle.dumps(function, pickle.HIGHEST_PROTOCOL)
        elif type(function) not in NAMED or _is_bound(function):
            # An object with a state goes with the arguments: what calls have in common here
            # must not become common in the worker.
            pickled = self._called_with
            given = pickle_value(((function, args, kwargs), {}), needs)
        else:
            pickled = pickle_function(function, needs)
            if is_named(function) or _is_keyed(function):
                own_needs = Needs()
                own_needs.add(needs)
                self._known = function, pickled, own_needs, own_needs.key()
            if not are_plain:
                given = pickle_value((args, kwargs), needs)
        return pickled, given, Snapshot(patient=patient).manifest(needs)


def pickle_calls(calls: list[Call]) -> Batch:
    """Return a batch of the first of these calls. Each function is in it once."""
    calls, manifests = _compatible(calls)
    numbers: dict[bytes, int] = {}
    items = [(numbers.setdefault(call.function, len(numbers)), call.given) for call in calls]
    payload = pickle.dumps((list(numbers), items), pickle.HIGHEST_PROTOCOL)
    return Batch(len(calls), payload, manifests)


def _compatible(calls: list[Call]) -> tuple[list[Call], tuple[Manifest, ...]]:
    """Return the first of these calls that want the same of their worker, and what they want.

    A worker has one value of a global at a time.
    """
    wanted, latest = list(calls[0].manifests), calls[0].manifests
    chosen: dict[tuple[Any, ...], int] = {}
    for count, call in enumerate(calls):
        if call.manifests is latest:
            continue
        latest = call.manifests
        new = [manifest for manifest in latest if not any(manifest is each for each in wanted)]
        if not chosen:
            chosen = {item.slot: item.number for each in wanted for item, _ in each}
        numbers = {item.slot: item.number for each in new for item, _ in each}
        differ = any(chosen.get(slot, number) != number for slot, number in numbers.items())
        if differ or _lacks_changes(chosen, numbers) or _lacks_changes(numbers, chosen):
            return calls[:count], tuple(wanted)
        chosen.update(numbers)
        wanted += new
    return calls, tuple(wanted)


def _lacks_changes(one: Container[_Slot], other: Iterable[_Slot]) -> bool:
    """Return whether one wants an attribute unchanged, and the other wants it changed."""
    return any(
        slot[0] == "attribute" and slot not in one and ("object", slot[1]) in one for slot in other
    )


def _is_keyed(function: Any) -> bool:
    """Return whether workers find a function by its key: then its pickle never changes."""
    return definitions.known(function) is not None


def _is_bound(function: Any) -> bool:
    """Return whether this is a bound method of a built-in type, and so has a state."""
    owner = getattr(function, "__self__", None)
    return owner is not None and not isinstance(owner, ModuleType)
