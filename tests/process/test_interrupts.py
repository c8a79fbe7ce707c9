"""Ctrl-C at every step of a run loses no lane, process or descriptor.

A signal handler can raise where a Python function begins and where a call of a
C function returns, and nearly nowhere else; a profile function is called there.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from random import randrange
from types import CodeType, FrameType
from typing import Any

import psutil
import pytest

import enact_pool._core.leasing
import enact_pool._lanes.lane_pool
from enact_pool import EventEmitter, Pool, iter_parallel, map_parallel
from enact_pool._lanes.lane_pool import LanePool, PoolClosed
from enact_pool._python.interrupts import handlers_deferred
from enact_pool._system import process_tree as tree
from enact_pool._system.handler_flags import restarts_calls
from enact_pool._system.spin_poll import poll
from tests.conftest import descriptors

LARGE = bytes(3 << 20)


class Interrupter:
    """Sends Ctrl-C at the given step of a call; or of its steps in code that counts."""

    def __init__(
        self,
        step: int,
        thread: threading.Thread | None = None,
        counts: Callable[[CodeType], bool] = lambda code: True,
    ) -> None:
        self._steps_left = step
        self._thread = thread or threading.main_thread()
        self._counts = counts
        self.where = ""

    def call(self, function: Callable[[], object]) -> bool:
        """Call the function; return whether the step was reached."""
        self._arrived, wakeup = os.pipe()
        os.set_blocking(wakeup, False)
        signal.set_wakeup_fd(wakeup)
        try:
            sys.setprofile(self._step)
            function()
        except KeyboardInterrupt:
            pass
        finally:
            sys.setprofile(None)
            signal.set_wakeup_fd(-1)
            os.close(wakeup)
            os.close(self._arrived)
        return bool(self.where)

    def _step(self, frame: FrameType, event: str, argument: Any) -> None:
        if event not in ("call", "c_return"):
            return
        code = frame.f_code
        if event == "call" and code.co_flags & inspect.CO_GENERATOR:
            return  # a closed generator runs no handler
        if code is poll.__code__ or code.co_filename == tree.__file__:
            return  # there are as many steps as there is time, or as there are processes
        if not self._counts(code):
            return
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        if self._thread is threading.main_thread() and signal.SIGINT in blocked:
            return
        self._steps_left -= 1
        if not self._steps_left:
            self.where = f"{event} in {code.co_filename}:{frame.f_lineno} ({code.co_name})"
            assert self._thread.ident is not None
            signal.pthread_kill(self._thread.ident, signal.SIGINT)
            os.read(self._arrived, 1)


def check(pool: Pool, where: str, other_descriptors: int) -> None:
    lane_pool = pool._lane_pool
    assert not lane_pool.book.runs, where
    assert set(lane_pool.lanes()) == set(lane_pool.book.idle()), where
    lane_pool.book.validate()
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()), where
    assert {child.pid for child in psutil.Process().children()} >= {
        lane.pid for lane in lane_pool.lanes()
    }, where
    assert number_of_others(pool) == other_descriptors, where
    assert [result.output.unwrap() for result in pool.run_parallel([abs] * 4, -1)] == [1] * 4, where


def number_of_others(pool: Pool) -> int:
    """Return how many descriptors are open that do not belong to the pool's lanes."""
    # Those of the lane, the pidfd, and loky's sentinel.
    lanes: Any = pool._lane_pool.lanes()
    return len(descriptors()) - sum(len(lane._open) + 2 for lane in lanes)


def no_ops(pool: Pool) -> None:
    pool.run_parallel([abs] * 4, -1)


def large_values(pool: Pool) -> None:
    map_parallel(bytes, [LARGE], pool=pool)
    pool.run_parallel([bytes] * 2, LARGE)


def left_early(pool: Pool) -> None:
    results = iter_parallel([abs] * 50, -1, pool=pool)
    try:
        next(results)
    finally:
        results.close()  # as garbage, its exception would be ignored


def limited(pool: Pool) -> None:
    # A slow run, so that a thread enforces the limits; and no worker may run all callables.
    pool.run_parallel([nap] * 3, 0.006, timeout=60, max_tasks_per_worker=2)


def cancelled(pool: Pool) -> None:
    pool.run_parallel([abs, len, abs], -1, EventEmitter(mode="live"), fail_fast=True)
    pool.cancel()


def nap(seconds: float) -> None:
    time.sleep(seconds)


# A large value that an interrupt has orphaned is closed as garbage, with a warning.
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
# All steps would take a minute, so each test run samples others.
@pytest.mark.parametrize(
    ("run", "stride"),
    [(no_ops, 1), (large_values, 29), (left_early, 13), (limited, 151), (cancelled, 17)],
)
def test_an_interrupt_at_any_step_of_a_run_loses_nothing(
    run: Callable[[Pool], None], stride: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """And no worker finds half a message in its pipe."""
    with Pool(2) as pool:
        run(pool)
        others = number_of_others(pool)
        for step in count(randrange(stride) + 1, stride):
            interrupter = Interrupter(step)
            if not interrupter.call(lambda: run(pool)):
                break
            check(pool, interrupter.where, others)
        assert step > 200
    assert "Traceback" not in capfd.readouterr().err


def test_an_interrupt_while_workers_start_loses_nothing() -> None:
    with Pool(2) as pool:
        no_ops(pool)
        others = number_of_others(pool)
    for step in count(randrange(61) + 1, 61):
        with Pool(2) as pool:
            interrupter = Interrupter(step)
            if not interrupter.call(lambda: no_ops(pool)):
                break
            check(pool, interrupter.where, others)
    assert step > 500


def test_a_close_that_was_interrupted_can_be_repeated() -> None:
    for step in count(randrange(11) + 1, 11):
        pool = Pool(1)
        no_ops(pool)
        lanes: Any = pool._lane_pool.lanes()
        interrupter = Interrupter(step)
        came = interrupter.call(pool.close)
        pool.close()
        assert not pool._lane_pool.lanes(), interrupter.where
        assert all(lane._popen is None for lane in lanes), interrupter.where
        if not came:
            break
    assert step > 10


def is_of_context_manager(code: CodeType) -> bool:
    return code.co_filename == contextlib.__file__


def sets_signal_mask(code: CodeType) -> bool:
    return code.co_filename == signal.__file__ and code.co_name == "pthread_sigmask"


@pytest.mark.parametrize(
    ("counts", "stride", "least"),
    # All steps would take a minute.
    [(lambda code: True, 61, 500), (is_of_context_manager, 7, 50), (sets_signal_mask, 1, 6)],
)
def test_interrupts_that_another_thread_receives_lose_nothing(
    counts: Callable[[CodeType], bool], stride: int, least: int
) -> None:
    """If the main thread blocks a signal, another thread receives it, and the handler runs."""
    with Pool(2) as pool:
        no_ops(pool)
        others = number_of_others(pool)
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    try:
        for step in count(randrange(stride) + 1, stride):
            with Pool(2) as pool:
                interrupter = Interrupter(step, other, counts)
                if not interrupter.call(lambda: no_ops(pool)):
                    break
                check(pool, interrupter.where, others)
    finally:
        over.set()
        other.join()
    assert step > least


def test_a_run_whose_end_was_interrupted_is_ended_by_the_next_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leave, interrupts = LanePool.leave, iter([KeyboardInterrupt, KeyboardInterrupt])

    def interrupted(*arguments: Any) -> None:
        for interrupt in interrupts:
            raise interrupt
        leave(*arguments)

    with Pool(2) as pool:
        no_ops(pool)
        others = number_of_others(pool)
        monkeypatch.setattr(LanePool, "leave", interrupted)
        with pytest.raises(KeyboardInterrupt):
            left_early(pool)
        assert pool._lane_pool.book.runs
        no_ops(pool)
        check(pool, "in both attempts", others)


class Intruder:
    """Acts at the given step of a lane pool's method, in the middle of it."""

    def __init__(self, step: int, act: Callable[[], object]) -> None:
        self._steps_left = step
        self._act = act
        self.where = ""

    def call(self, function: Callable[[], object]) -> None:
        """Call the function."""
        sys.setprofile(self._step)
        try:
            function()
        finally:
            sys.setprofile(None)

    def _step(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event not in ("call", "c_return") or code.co_filename not in _POOL_FILES or self.where:
            return
        self._steps_left -= 1
        if not self._steps_left:
            sys.setprofile(None)
            self.where = f"{event} in {code.co_filename}:{frame.f_lineno} ({code.co_name})"
            self._act()


_POOL_FILES = enact_pool._lanes.lane_pool.__file__, enact_pool._core.leasing.__file__


def abandoned_run(pool: Pool) -> None:
    """Leave a run in a reference cycle that only the garbage collector finds."""
    results = iter_parallel([abs] * 50, -1, pool=pool)
    next(results)
    circle: list[Any] = [results]
    circle.append(circle)


@pytest.mark.parametrize("action", ["close", "cancel", "run", "collect"])
def test_a_pool_stays_consistent_when_its_own_thread_re_enters_it(action: str) -> None:
    """A signal handler or the garbage collector runs at any step of a run inside the pool."""
    gc.disable()
    try:
        for step in count(randrange(4) + 1, 4):
            with Pool(2) as pool:
                no_ops(pool)
                if action == "collect":
                    abandoned_run(pool)
                acts: dict[str, Callable[[], object]] = {
                    "close": pool.close,
                    "cancel": pool.cancel,
                    "run": lambda: pool.run_parallel([abs], -1),
                    "collect": gc.collect,
                }
                intruder = Intruder(step, acts[action])
                with suppress(*[PoolClosed] if action == "close" else []):
                    intruder.call(lambda: pool.run_parallel([abs, abs], -1))
                pool._lane_pool.book.validate()
                if action == "collect":
                    gc.collect()
                if action != "close":
                    no_ops(pool)
                assert not pool._lane_pool.book.runs, intruder.where
            assert not pool._lane_pool.lanes(), intruder.where
            if not intruder.where:
                break
        assert step > 30, "the steps inside the pool were not found"
    finally:
        gc.enable()


class Stop(Exception):
    """Raised by a handler to end the program."""


def stop(*_: object) -> None:
    raise Stop


class Signalling:
    """Sends a signal to its own process while it is pickled, and catches the exception."""

    def __init__(self, raises: type[BaseException] | None, *, hides_cause: bool = False) -> None:
        self._raises = raises
        self._hides_cause = hides_cause

    def __call__(self, _: object) -> None:
        """Do nothing."""

    def __reduce__(self) -> tuple[Any, ...]:
        try:
            signal.raise_signal(signal.SIGTERM)
        except Stop as error:
            if self._raises is None:
                raise
            if self._hides_cause:
                raise self._raises("cannot be pickled") from None
            raise self._raises("cannot be pickled") from error
        return Signalling, (self._raises,)


@pytest.mark.parametrize("raises", [None, RuntimeError, SystemExit])
@pytest.mark.parametrize("hides_cause", [False, True])
@pytest.mark.parametrize("as_input", [False, True])
def test_an_exception_of_a_handler_reaches_the_caller_even_if_wrapped(
    raises: type[BaseException] | None, hides_cause: bool, as_input: bool
) -> None:
    before = signal.signal(signal.SIGTERM, stop)
    signalling = Signalling(raises, hides_cause=hides_cause)
    callables: list[Any] = [abs] if as_input else [signalling]
    try:
        with Pool(1) as pool:
            with pytest.raises(Stop):
                pool.run_parallel(callables, signalling if as_input else None)
            assert pool.run_parallel([abs], -1)[0].output.unwrap() == 1
    finally:
        signal.signal(signal.SIGTERM, before)


class Unpicklable:
    def __call__(self, _: object) -> None:
        """Do nothing."""

    def __reduce__(self) -> tuple[Any, ...]:
        raise ValueError("never")


def test_an_exception_during_an_interrupt_does_not_count_as_an_interrupt() -> None:
    """An exception raised while Ctrl-C is handled has it as its context, but is not Ctrl-C."""
    with Pool(1) as pool:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            results = pool.run_parallel([abs, Unpicklable(), abs], -1)
    assert [result.output.is_ok for result in results] == [True, False, True]


@pytest.mark.parametrize("restarts", [False, True])
def test_signal_handlers_are_restored(restarts: bool) -> None:
    """Including SA_RESTART, which asyncio sets for its handlers."""
    before = signal.signal(signal.SIGUSR1, stop)
    try:
        signal.siginterrupt(signal.SIGUSR1, not restarts)
        with Pool(1) as pool:
            assert pool.run_parallel([abs], -1)[0].output.unwrap() == 1
        assert signal.getsignal(signal.SIGUSR1) is stop
        assert restarts_calls(signal.SIGUSR1) == restarts
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("fails_at", range(8))
def test_all_handlers_are_restored_if_one_raises_meanwhile(
    fails_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, calls = signal.signal, count()

    def raising(number: int, handler: Any) -> Any:
        if next(calls) == fails_at:
            raise LookupError("a handler that was restored by now")
        return plain(number, handler)

    numbers = (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
    before = [plain(number, stop) for number in numbers]
    try:
        monkeypatch.setattr(signal, "signal", raising)
        with suppress(LookupError), handlers_deferred():
            pass
        assert next(calls) > fails_at
        assert [signal.getsignal(number) for number in numbers] == [stop] * 4
    finally:
        monkeypatch.undo()
        for number, handler in zip(numbers, before, strict=True):
            plain(number, handler)
