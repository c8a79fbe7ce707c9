"""Calls that any thread submits while a run is in progress, each with a future for its outcome."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from typing import Any

from enact_pool._core.observer import RunInfo
from enact_pool._core.states import IllegalTransition
from enact_pool._engine.calls import Call, CallPickler, pickle_calls
from enact_pool._engine.futures import CallFuture, fate_of, log_incomplete
from enact_pool._engine.task_source import Batch, TaskSource
from enact_pool._engine.turn import Turn
from enact_pool._ipc.doorbell import Doorbell
from enact_pool._lanes.output_relay import Use, end_unused, relays
from enact_pool._mirror.caller.items import Manifest
from enact_pool._mirror.caller.manifests import caller_streams
from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.caller.pickling import (
    Buffers,
)
from enact_pool._mirror.caller.snapshot import Snapshot
from enact_pool._model.results import OUTCOME_TYPE_IDS, ParallelResult
from enact_pool._python.interrupts import handlers_deferred
from enact_pool._wire.setup import CALLS, RunSetup

__all__ = ["SubmissionQueue"]

_SHUT = "cannot schedule new futures after shutdown"
_ENDED_EARLY = "the executor's thread has ended early"


class SubmissionQueue(TaskSource):
    """Calls in the order in which they were submitted; their futures receive the outcomes.

    It is the source of a run that goes on until the executor is shut down, and observes it.
    """

    item_is, common_is = "call", "call"
    sends_exceptions = goes_on = has_own_streams = True

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
        self._turn = Turn()
        self._bell = Doorbell()
        self.doorbell = self._bell.fileno()
        # The number of the wait that more calls end, 0 while there is none; and the last
        # one that the doorbell was rung for. (A flag that is cleared may be that of the next wait.)
        self._nap = self._naps = self._rung_for = 0
        self._is_over = False
        # What was cancelled, as far as the run has noticed.
        self._withdrawn: list[CallFuture] = []
        self._pickler = CallPickler()
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
        # In this order: a run that has called `listen` looks once more before it waits,
        # and a thread that is interrupted has not rung the doorbell for another one.
        nap = self._nap
        if nap != self._rung_for and nap:
            self._ring()
            self._rung_for = nap
        if self._is_over:
            try:
                self._waiting.remove(future)
            except ValueError:
                return future  # it was done in time, or has failed with the run
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
        """Withdraw a call if no worker has begun it; return whether it will certainly not run.

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
        # The tasks that were revoked along with it have to be sent again.
        self._ring()
        return True

    def is_running(self, future: CallFuture) -> bool:
        """Return whether a worker is at work on a call."""
        with self._place_of(future) as place:
            return place is not None and place[0].is_running(place[1])

    def kill(self, future: CallFuture) -> bool:
        """Kill the worker that is at work on a call.

        Return whether a worker was killed, or the call is already finished.
        """
        with self._place_of(future) as place:
            return future.done() if place is None else place[0].kill(place[1])

    @contextmanager
    def _place_of(self, future: CallFuture) -> Iterator[tuple[RunInfo, int] | None]:
        """Yield the run that has a call, and the number of the call there; None if none has it."""
        with handlers_deferred(), self._turn.borrowed():
            run, task = self._run, future._task
            yield (run, task) if run is not None and task in self._futures else None

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

    def _call(self, task: int) -> Call:
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
        return pickle_calls(calls)

    # Hooks. The run's thread has the turn, except while it waits or runs code of the user's:
    # then other threads can ask about calls, and cancel them.

    def run_started(self, run: RunInfo) -> None:
        self._turn.take()
        self._run = run

    def sharing(self, shares: bool) -> None:
        if shares:
            # Futures are notified without the turn: their own locks may be held by a thread whose
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
        """Cancel the futures of withdrawn calls that an interrupt has left uncancelled."""
        while self._withdrawn:
            try:
                self._withdrawn.pop()._notify_withdrawn()
            except BaseException:
                log_incomplete()

    def end(self) -> None:
        """End: the run is over. Calls that it has not done fail."""
        was_closed, self._is_closed = self._is_closed, True
        self._is_over = True
        self._bell.close()
        self._turn.take()
        left, self._futures, self._run = list(self._futures.values()), {}, None
        self._turn.give_up()
        for future in left:
            future._end(None, BrokenExecutor(_ENDED_EARLY))
        self._finish_withdrawn()
        while self._waiting:
            future = self._waiting.popleft()
            if future._is_withdrawn:
                future._notify_withdrawn()
            else:
                # If it was closed, this was submitted in the very moment of the end.
                error = RuntimeError(_SHUT) if was_closed else BrokenExecutor(_ENDED_EARLY)
                future._end(None, error)
        self._relay = None
        if relays.active:
            end_unused()
