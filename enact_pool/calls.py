"""Calls that any thread submits while a run is in progress, each with a future for its outcome."""

from __future__ import annotations

import os
import pickle
import threading
import types
from collections import ChainMap, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from io import BytesIO
from typing import Any, ClassVar

import cloudpickle

from enact_pool.callables import name_of
from enact_pool.common import called_with, prepared
from enact_pool.futures import Call, CallFuture, fate_of, log_untold
from enact_pool.interrupts import handlers_deferred
from enact_pool.locks import AdvisingPickler
from enact_pool.results import TOLD, ParallelResult
from enact_pool.supply import Doorbell
from enact_pool.wire import COMMON_CALLS, NAMED, SHAREABLE, Buffers, pickle_functions
from enact_pool.work import Work, Workshop

__all__ = ["Calls", "PreparedCall"]

_SHUT = "cannot schedule new futures after shutdown"


class PreparedCall:
    """What can be submitted, with no arguments, by who has pickled a call in a way of their own.

    It is rebuilt along with its batch, as functions are: what it imports is not its time.
    """

    def __init__(self, name: str, function: bytes, arguments: bytes) -> None:
        """`arguments` is a pair of the positional ones and those by name."""
        self.__name__ = name
        self._pickles = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return prepared, self._pickles

    def __call__(self) -> Any:
        return prepared(*self._pickles)()


class Calls(Work):
    """Calls in the order they were submitted; their futures are given their outcomes."""

    item_is, common_is = "call", "call"
    wants_exceptions = goes_on = True

    def __init__(self) -> None:
        super().__init__(())
        self.pid = os.getpid()
        # Both of these are changed without a lock: what finalizers and signal handlers
        # submit must not wait for what they have interrupted.
        self._waiting: deque[CallFuture] = deque()
        # Those that the run has taken, by their numbers there.
        self._futures: dict[int, CallFuture] = {}
        self._is_closed = False
        self._run: Workshop | None = None
        self._turn = self.lock = _Turn()
        self.unlocked = _Unlocked(self._turn, self._tell_withdrawn)
        self._bell = Doorbell()
        self.doorbell = self._bell.fileno()
        # The number of the wait that more calls end, 0 while there is none; and the last
        # one that was rung for. (A flag that is taken down may be that of the next wait.)
        self._nap = self._naps = self._rung_for = 0
        # Held while the bell is rung or taken away. Nobody waits for anything else then.
        self._at_bell = threading.RLock()
        self._is_over = False
        # What was cancelled, as far as the run has noticed.
        self._withdrawn: list[CallFuture] = []
        # Exceptions of those that cannot be pickled, by their numbers.
        self._refusals: dict[int, BaseException] = {}

    # For any thread

    def submit(self, call: Call) -> CallFuture:
        """Take another call. Raises `RuntimeError` if no more are taken."""
        future = CallFuture(self, call)
        if self._is_closed:
            raise RuntimeError(_SHUT)
        self._waiting.append(future)
        # In this order: a run that says that it listens looks once more before it waits,
        # and who is interrupted has not rung for anybody else.
        nap = self._nap
        if nap != self._rung_for and nap:
            self._ring()
            self._rung_for = nap
        if self._is_over:
            try:
                self._waiting.remove(future)
            except ValueError:
                return future  # it was done in time, or has been told of the end
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
        """Let go of a call if no worker has begun it; gives whether nobody will do it.

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
        """Kill the worker that is at work on a call; gives whether one was, or nobody will be."""
        with self._place_of(future) as place:
            if place is None:
                return future.done()
            run, task = place
            return run.kill(task)

    @contextmanager
    def _place_of(self, future: CallFuture) -> Iterator[tuple[Workshop, int] | None]:
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
            with self._at_bell:
                if not self._is_over:
                    self._bell.ring()

    def abandon(self) -> None:
        """In a forked child: the calls are the parent's."""
        self._bell.close()

    # For the run

    def begin(self, run: Workshop) -> None:
        self._run = run

    @property
    def exhausted(self) -> bool:
        return self._is_closed and not self._waiting

    @property
    def has_more(self) -> bool:
        return bool(self._waiting)

    def listen(self, wants: bool) -> None:
        self._naps += 1
        self._nap = self._naps if wants else 0

    def quiet(self) -> None:
        self._bell.quiet()

    def pull(self, count: int) -> int:
        before = self._pulled
        while self._waiting and self._pulled - before < count:
            future = self._waiting.popleft()
            if future._is_withdrawn:
                self._withdrawn.append(future)
            else:
                future._task = self._pulled
                self._futures[self._pulled] = future
                self._pulled += 1
        return self._pulled - before

    def _tell_withdrawn(self) -> None:
        """An interrupt may have kept whoever has cancelled them from this."""
        while self._withdrawn:
            try:
                self._withdrawn.pop()._tell_withdrawn()
            except BaseException:
                log_untold()

    def stop(self) -> None:
        self._is_closed = True

    def settle(self, tasks: Iterable[int]) -> list[str]:
        return [self.name(task) for task in tasks]

    def name(self, task: int) -> str:
        function, _, _ = self._call(task)
        return function.__name__ if type(function) is types.FunctionType else name_of(function)

    def _call(self, task: int) -> Call:
        call = self._futures[task]._call
        assert call is not None, "it is let go of with its outcome"
        return call

    @property
    def kinds(self) -> None:
        return None

    def pickle_common(self, buffers: Buffers) -> tuple[int, bytes]:
        return COMMON_CALLS, b""

    def pickle(self, tasks: list[int]) -> bytes:
        calls = [self._call(task) for task in tasks]
        try:
            return pickle_calls(calls)
        except BaseException as error:
            if len(tasks) == 1:
                self._refusals[tasks[0]] = error
            raise

    def tell(self, tasks: Sequence[int], results: list[ParallelResult[Any]]) -> None:
        for task, result in zip(tasks, results, strict=True):
            future = self._futures.pop(task)
            output = result._output
            if id(type(output)) not in TOLD:
                future._end(output)
            else:
                future._end(*fate_of(output, result.error, self._refusals.pop(task, None)))

    def end(self) -> None:
        """There is no run any more. What it has not done, if it was cut short, fails."""
        was_closed, self._is_closed = self._is_closed, True
        with self._at_bell:
            self._is_over = True
            self._bell.close()
        with self._turn:
            left, self._run = list(self._futures.values()), None
            self._futures.clear()
        for future in left:
            future._end(None, BrokenExecutor("the executor's thread has ended early"))
        self._tell_withdrawn()
        while self._waiting:
            future = self._waiting.popleft()
            if future._is_withdrawn:
                future._tell_withdrawn()
            elif was_closed:  # submitted in the very moment of the end
                future._end(None, RuntimeError(_SHUT))
            else:
                future._end(None, BrokenExecutor("the executor's thread has ended early"))


class _Turn:
    """Whose turn it is with a run: its own thread's, or that of another with a question.

    The run's thread, which no signal handler interrupts, enters it. Others hold the
    guard. Finalizers run in any thread at any moment, in one that has the turn as well:
    these must neither wait for it, nor change the run as it is then. So the guard is
    re-entrant, and what is found to be taken behind it is taken by the same thread.
    """

    def __init__(self) -> None:
        self.guard = threading.RLock()
        self.is_taken = False

    def __enter__(self) -> None:
        self.guard.acquire()
        self.is_taken = True

    def __exit__(self, *_: object) -> None:
        self.is_taken = False
        self.guard.release()


class _Unlocked:
    """Where a turn that somebody has is given away for a while.

    Here is the place for what futures are told. Their own locks may be held by a thread
    whose signal handler waits for its turn.
    """

    def __init__(self, turn: _Turn, tell: Callable[[], None]) -> None:
        self._turn = turn
        self._tell = tell

    def __enter__(self) -> None:
        self._turn.__exit__()
        self._tell()

    def __exit__(self, *_: object) -> None:
        self._turn.__enter__()


def _reduce_method(method: types.MethodType) -> tuple[Any, ...]:
    """By its name, as plain pickle does it.

    cloudpickle takes the function out of it, finds that it is not what has that name
    if it is a class method, and copies it with all the globals that it uses.
    """
    owner, name = method.__self__, method.__func__.__name__
    if getattr(owner, name, None) == method:
        return getattr, (owner, name)
    return types.MethodType, (method.__func__, owner)


class _Pickler(AdvisingPickler, cloudpickle.Pickler):  # type: ignore[misc]
    dispatch_table: ClassVar[Any] = ChainMap(
        {types.MethodType: _reduce_method}, *cloudpickle.Pickler.dispatch_table.maps
    )


def pickle_calls(calls: list[Call]) -> bytes:
    """A batch of calls: of each the function, and its arguments as they are or a pickle of them.

    Functions are pickled once; but whatever has a state goes with the arguments: what
    calls have in common here must not become common in the worker.
    """
    file = BytesIO()
    pickler = _Pickler(file, pickle.HIGHEST_PROTOCOL)
    items: list[tuple[Any, Any]] = []
    for function, args, kwargs in calls:
        if type(function) is PreparedCall:
            items.append((function, (args, kwargs)))
            continue
        if type(function) not in NAMED or _is_bound(function):
            args, kwargs, function = (function, args, kwargs), {}, called_with
        elif SHAREABLE.issuperset(map(type, args)) and SHAREABLE.issuperset(
            map(type, kwargs.values())
        ):
            items.append((function, (args, kwargs)))
            continue
        pickler.dump((args, kwargs))
        pickler.clear_memo()
        items.append((function, file.getvalue()))
        file.seek(0)
        file.truncate()
    functions = [function for function, _ in items if type(function) is not PreparedCall]
    return pickle_functions(items, functions)


def _is_bound(function: Any) -> bool:
    """Whether this is a method of a built-in type's, and so has a state."""
    owner = getattr(function, "__self__", None)
    return owner is not None and not isinstance(owner, types.ModuleType)
