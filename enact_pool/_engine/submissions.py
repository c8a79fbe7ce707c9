"""Calls that any thread submits while a run is in progress, each with a future for its outcome."""

from __future__ import annotations

import os
import pickle
import threading
from collections import deque
from collections.abc import Container, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from operator import is_
from types import FunctionType, ModuleType
from typing import Any

from attrs import define

from enact_pool._core.observer import RunInfo
from enact_pool._core.states import IllegalTransition
from enact_pool._engine.futures import CallFuture, fate_of, log_untold
from enact_pool._engine.sources import Batch, TaskSource
from enact_pool._ipc.doorbell import Doorbell
from enact_pool._lanes.output_relay import Use, end_unused, relays, replaced_streams, use_relay
from enact_pool._mirror.caller.definitions import definitions
from enact_pool._mirror.caller.items import Manifest
from enact_pool._mirror.caller.manifests import caller_manifests, caller_streams
from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.caller.pickling import (
    NAMED,
    Buffers,
    is_named,
    pickle_function,
    pickle_value,
)
from enact_pool._mirror.caller.snapshot import Snapshot, manifest_of
from enact_pool._model.results import OUTCOME_TYPE_IDS, ParallelResult
from enact_pool._python.callables import call_with, load_call, name_of
from enact_pool._python.interrupts import handlers_deferred, raise_interrupt
from enact_pool._wire.frames import SHAREABLE
from enact_pool._wire.setup import CALLS, RunSetup

__all__ = ["SubmissionQueue", "PreparedCall"]

_SHUT = "cannot schedule new futures after shutdown"


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


@define(eq=False)
class _Call:
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


class _CallPickler:
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
    ) -> _Call:
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
            return _Call(name, refusal=error)
        if manifest:
            manifests = *manifests, manifest
        last = self._manifests
        if len(last) == len(manifests) and all(map(is_, last, manifests)):
            manifests = last
        else:
            self._manifests = manifests
        return _Call(name, pickled, given, manifests, relay=relay)

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
            elif is_keyed(function):
                return pickled, (args, kwargs), manifest_of(needs, key, patient=patient)
        needs = Needs()
        given: tuple[Any, ...] | bytes = args, kwargs
        if type(function) is PreparedCall:
            needs.add(function.needs)
            pickled = pickle.dumps(function, pickle.HIGHEST_PROTOCOL)
        elif type(function) not in NAMED or _is_bound(function):
            # Whatever has a state goes with the arguments: what calls have in common here
            # must not become common in the worker.
            pickled = self._called_with
            given = pickle_value(((function, args, kwargs), {}), needs)
        else:
            pickled = pickle_function(function, needs)
            if is_named(function) or is_keyed(function):
                own_needs = Needs()
                own_needs.add(needs)
                self._known = function, pickled, own_needs, own_needs.key()
            if not are_plain:
                given = pickle_value((args, kwargs), needs)
        return pickled, given, Snapshot(patient=patient).manifest(needs)


class SubmissionQueue(TaskSource):
    """Calls in the order in which they were submitted; their futures receive the outcomes.

    It is the source of a run that goes on until the executor is shut down, and observes it.
    """

    item_is, common_is = "call", "call"
    gives_exceptions = goes_on = has_own_streams = True

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.manifests = ()
        # Both of these are changed without a lock: what finalizers and signal handlers
        # submit must not wait for what they have interrupted.
        self._waiting: deque[CallFuture] = deque()
        # Those that the run has taken, by their numbers there.
        self._futures: dict[int, CallFuture] = {}
        self.pulled = 0
        self._is_closed = False
        self._run: RunInfo | None = None
        self._turn = _Turn()
        self._bell = Doorbell()
        self.doorbell = self._bell.fileno()
        # The number of the wait that more calls end, 0 while there is none; and the last
        # one that was rung for. (A flag that is cleared may be that of the next wait.)
        self._nap = self._naps = self._rung_for = 0
        self._is_over = False
        # What was cancelled, as far as the run has noticed.
        self._withdrawn: list[CallFuture] = []
        self._pickler = _CallPickler()
        # What the first object in the place of stdout or stderr that failed has raised.
        self.error: BaseException | None = None
        # The relay of the last call: calls in a row do not each start one.
        self._relay: Use | None = None
        self._has_relayed = False
        # Exceptions of those that cannot be pickled, by their numbers.
        self._refusals: dict[int, BaseException] = {}

    # For any thread

    def submit(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallFuture:
        """Take another call, as it is now. Raises `RuntimeError` if no more are taken."""
        if self._is_closed:
            raise RuntimeError(_SHUT)
        in_progress = bool(self._waiting or self._futures)
        call = self._pickler.pickle(function, args, kwargs, patient=in_progress)
        self._relay = call.relay
        if call.relay is not None:
            self._has_relayed = True
        future = CallFuture(self, call)
        self._waiting.append(future)
        # In this order: a run that says that it listens looks once more before it waits,
        # and a thread that is interrupted has not rung for another one.
        nap = self._nap
        if nap != self._rung_for and nap:
            self._ring()
            self._rung_for = nap
        if self._is_over:
            try:
                self._waiting.remove(future)
            except ValueError:
                return future  # it was done in time, or was told of the end
            finally:
                self._relay = None
            raise RuntimeError(_SHUT)
        return future

    def close(self) -> None:
        """Take no more calls; the run ends when those that there are have been done."""
        self._is_closed = True
        self._ring()

    def cancel_all(self) -> None:
        """Cancel all calls that no worker has begun."""
        with handlers_deferred():
            # Copied in one step each, while others may change them.
            for future in [*self._waiting.copy(), *self._futures.copy().values()]:
                future.cancel()

    def withdraw(self, future: CallFuture) -> bool:
        """Let go of a call if no worker has begun it; return whether it will certainly not run.

        What is halfway through this when a signal handler raises would be lost: none may run.
        """
        with self._turn.guard:
            if future._task is None and not self._turn.is_taken and not self._is_over:
                future._is_withdrawn = True
                return True
            if future._is_withdrawn:
                return True
            task = future._task
            if self._turn.is_taken or self._run is None or task not in self._futures:
                return False
            self._turn.is_taken = True
            try:
                if not self._run.withdraw(task):
                    return False
                del self._futures[task]
                future._is_withdrawn = True
                self._withdrawn.append(future)
            finally:
                self._turn.is_taken = False
        # What was taken back along with it has to go somewhere.
        self._ring()
        return True

    def is_running(self, future: CallFuture) -> bool:
        """Whether a worker is at work on a call."""
        with self._place_of(future) as place:
            if place is None:
                return False
            run, task = place
            return run.is_running(task)

    def kill(self, future: CallFuture) -> bool:
        """Kill the worker that is at work on a call.

        Return whether a worker was killed, or the call is already finished.
        """
        with self._place_of(future) as place:
            if place is None:
                return future.done()
            run, task = place
            return run.kill(task)

    @contextmanager
    def _place_of(self, future: CallFuture) -> Iterator[tuple[RunInfo, int] | None]:
        """The run that has a call, to be asked about it, and its number there; None if none has."""
        with handlers_deferred(), self._turn.guard:
            was_taken, self._turn.is_taken = self._turn.is_taken, True
            try:
                run, task = self._run, future._task
                yield (run, task) if run is not None and task in self._futures else None
            finally:
                self._turn.is_taken = was_taken

    def _ring(self) -> None:
        # In a forked child, it is the bell of the parent.
        if self.pid == os.getpid():
            self._bell.ring()

    def abandon(self) -> None:
        """In a forked child: the calls are the parent's."""
        self._bell.abandon()

    # For the run

    @property
    def exhausted(self) -> bool:  # type: ignore[override]
        return self._is_closed and not self._waiting

    @property
    def has_more(self) -> bool:
        return bool(self._waiting)

    def listen(self, wants: bool) -> None:
        self._naps += 1
        self._nap = self._naps if wants else 0

    def clear_doorbell(self) -> None:
        self._bell.clear()

    def pull(self, count: int) -> int:
        before = self.pulled
        while self._waiting and self.pulled - before < count:
            future = self._waiting.popleft()
            if future._is_withdrawn:
                self._withdrawn.append(future)
            else:
                future._task = self.pulled
                self._futures[self.pulled] = future
                self.pulled += 1
        return self.pulled - before

    def stop(self) -> None:
        self._is_closed = True

    def settle(self, tasks: Iterable[int]) -> list[str]:
        return [self._call(task).name for task in tasks]

    def name(self, task: int) -> str:
        return self._call(task).name

    def _call(self, task: int) -> _Call:
        call: Any = self._futures[task]._call
        if call is None:
            raise IllegalTransition(f"call {task} was dropped before its outcome was released")
        return call  # type: ignore[no-any-return]

    def manifest(self, needs: Needs) -> Manifest:
        return Snapshot().manifest(needs)

    def setup(self, buffers: Buffers) -> tuple[RunSetup, Manifest]:
        return RunSetup(CALLS), ()

    def pickle(self, tasks: list[int]) -> Batch:
        calls = [self._call(task) for task in tasks]
        for task, call in zip(tasks, calls, strict=True):
            if call.refusal is not None:
                if len(tasks) == 1:
                    self._refusals[task] = call.refusal
                raise call.refusal
        calls, manifests = _compatible(calls)
        numbers: dict[bytes, int] = {}
        items = [(numbers.setdefault(c.function, len(numbers)), c.given) for c in calls]
        payload = pickle.dumps((list(numbers), items), pickle.HIGHEST_PROTOCOL)
        return Batch(len(calls), payload, manifests)

    # Hooks. The run's thread has the turn, except while it waits or runs code of the user's:
    # then other threads can ask about calls, and cancel them.

    def run_started(self, run: RunInfo) -> None:
        self._turn.take()
        self._run = run

    def sharing(self, shares: bool) -> None:
        if shares:
            # Futures are told without the turn: their own locks may be held by a thread whose
            # signal handler waits for it.
            self._turn.give_up()
            self._finish_withdrawn()
        else:
            self._turn.take()

    def results_released(self, tasks: Sequence[int], results: list[ParallelResult[Any]]) -> None:
        if self._has_relayed:
            calls: list[Any] = [self._futures[task]._call for task in tasks]
            for relay in {call.relay.relay for call in calls if call.relay is not None}:
                relay.drain()
                self.error = self.error or relay.error
        for task, result in zip(tasks, results, strict=True):
            future = self._futures.pop(task)
            output = result._output
            if id(type(output)) not in OUTCOME_TYPE_IDS:
                future._end(output)
            else:
                future._end(*fate_of(output, result.error, self._refusals.pop(task, None)))
        if relays.active:
            end_unused()

    def manifest_at_release(self) -> Manifest:
        """Return what a worker must have that may print to a relay, which may end now."""
        return caller_streams() if self._has_relayed else ()

    def run_ended(self) -> None:
        self._turn.give_up()

    def _finish_withdrawn(self) -> None:
        """Tell futures that they are cancelled, if an interrupt has kept others from it."""
        while self._withdrawn:
            try:
                self._withdrawn.pop()._tell_withdrawn()
            except BaseException:
                log_untold()

    def end(self) -> None:
        """End: there is no run any more. What it has not done, if it was cut short, fails."""
        was_closed, self._is_closed = self._is_closed, True
        self._is_over = True
        self._bell.close()
        self._turn.take()
        left, self._run = list(self._futures.values()), None
        self._futures.clear()
        self._turn.give_up()
        for future in left:
            future._end(None, BrokenExecutor("the executor's thread has ended early"))
        self._finish_withdrawn()
        while self._waiting:
            future = self._waiting.popleft()
            if future._is_withdrawn:
                future._tell_withdrawn()
            elif was_closed:  # submitted in the very moment of the end
                future._end(None, RuntimeError(_SHUT))
            else:
                future._end(None, BrokenExecutor("the executor's thread has ended early"))
        self._relay = None
        if relays.active:
            end_unused()


class _Turn:
    """Whose turn it is to use a run: that of its own thread, or of a thread that asks about it.

    The run's thread, which no signal handler interrupts, takes it and gives it up. Other threads
    hold the guard. Finalizers run in any thread at any moment, in the one that has the turn as
    well: these must neither wait for it, nor change the run as it is then. So the guard is
    re-entrant, and what finds the turn taken behind the guard is in the thread that took it.
    """

    def __init__(self) -> None:
        self.guard = threading.RLock()
        self.is_taken = False

    def take(self) -> None:
        """Take the turn; do nothing if this thread has it. For the run's thread."""
        self.guard.acquire()
        if self.is_taken:
            self.guard.release()
        self.is_taken = True

    def give_up(self) -> None:
        """Give up the turn, if this thread has it. For the run's thread."""
        if self.is_taken and self.guard.acquire(blocking=False):
            self.guard.release()
            self.is_taken = False
            self.guard.release()


def _compatible(calls: list[_Call]) -> tuple[list[_Call], tuple[Manifest, ...]]:
    """The first of these calls that want the same of their worker, and what they want.

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


def _lacks_changes(one: Container[Slot], other: Iterable[Slot]) -> bool:
    """Whether one wants an attribute as it was at first, and the other as it is since."""
    return any(
        slot[0] == "attribute" and slot not in one and ("object", slot[1]) in one for slot in other
    )


Slot = tuple[Any, ...]


def is_keyed(function: Any) -> bool:
    """Return whether workers find a function by its key: then its pickle never changes."""
    return definitions.known(function) is not None


def _is_bound(function: Any) -> bool:
    """Whether this is a method of a built-in type's, and so has a state."""
    owner = getattr(function, "__self__", None)
    return owner is not None and not isinstance(owner, ModuleType)
