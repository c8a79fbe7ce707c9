"""`PoolExecutor`: the pool behind the interface of `concurrent.futures`.

    submit, map          any thread: a future, and a place in the queue
        |
      SubmissionQueue   the work of one run that goes on until the executor is shut down
        |
     _Driver  the thread that drives this run, and gives the futures their outcomes

It is the same run, with the same schedule and lanes, that `run_parallel` drives
from its caller's thread.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from enact_pool._api.options import Options
from enact_pool._api.pool import Pool
from enact_pool._engine.streams import run_through
from enact_pool._engine.submissions import SubmissionQueue
from enact_pool._events.emitter import Emitter
from enact_pool._model.limits import Limits
from enact_pool._python.interrupts import handlers_deferred
from enact_pool._python.loading import check_not_imported
from enact_pool._python.process_local import ProcessLocal

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

__all__ = ["PoolExecutor"]

T = TypeVar("T")


class PoolExecutor(ProcessLocal, Executor):
    """Runs calls in worker processes; a worker that dies costs the call that it ran, and no other.

    In the place of a `concurrent.futures.ProcessPoolExecutor`, whose arguments it
    takes: `max_workers` defaults to the CPUs that this process may use. Workers
    are started when there is work for them, always as clean interpreters, which
    need no `if __name__ == "__main__":`; `mp_context` is accepted and not used. Each
    calls `initializer(*initargs)` first, and is replaced after
    `max_tasks_per_child` calls. What the initializer or a call sets, globals too, stays in
    the worker for later calls. Before a call runs, its worker receives what the caller has
    changed of the globals that the call needs, and of the process state. Locks, queues and
    shared values of multiprocessing can be among `initargs`, if they are not of its "fork"
    context.

    Calls can be submitted and cancelled from any thread, from signal handlers, finalizers
    and callbacks. Arguments are pickled when the call is submitted, in the thread that
    submits it. Callbacks run in the executor's thread, and keep it from its work.

    `timeout` is for how many seconds a call may run, and `max_memory` how many bytes
    its worker may have of its own; `idle_timeout` and `env` are those of `Pool`. The
    `emitter` is given the events of the calls, in the order in which they end, in a
    thread of the executor.

    Functions and classes of a script, a notebook or another module that workers cannot import
    are sent once to each worker. Lambdas and closures are pickled for each call. Coroutines
    that calls return are awaited in the worker, in its one event loop.

    A future raises

    * what its call has raised, with the worker's traceback as its cause (or
      `RemoteError` with the same texts, if that exception cannot be pickled or rebuilt);
    * `WorkerCrashError` if the worker died meanwhile, or had more than `max_memory`,
      or if none could be started: its `error` says how;
    * `TimeoutError` if the call took longer than `timeout`;
    * the error of pickling, if the call or its value cannot be pickled.

    Raises what `Pool` raises.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: object = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        *,
        max_tasks_per_child: int | None = None,
        timeout: float | None = None,
        max_memory: int | None = None,
        idle_timeout: float | None = 300.0,
        env: Mapping[str, str] | None = None,
        emitter: Emitter | None = None,
    ) -> None:
        self._options = Options(Limits(timeout, max_memory, max_tasks_per_child))
        self._emitter = emitter
        self._pool = Pool(
            max_workers,
            idle_timeout=idle_timeout,
            initializer=initializer,
            initargs=initargs,
            env=env,
        )
        # What others who take executors look at (dask does), for want of a public name.
        self._max_workers = self._pool.max_workers
        self._is_shut = False
        self._driver: _Driver | None = None
        self._renew_lock()
        _executors.add(self)

    def _renew_lock(self) -> None:
        # Re-entrant: finalizers and signal handlers may submit calls.
        self._lock = threading.RLock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have `fn(*args, **kwargs)` called in a worker; gives a future for its outcome.

        `Future.cancel` works until a worker begins the call (of calls that take
        microseconds, a worker may have taken up to seven more), and
        `Future.running` is true from then on. Raises `RuntimeError` after `shutdown`,
        and at the top level of a module that a worker imports for what it was sent.
        """
        check_not_imported()
        driver = self._driver
        if driver is None or self._is_shut or driver.pid != os.getpid():
            driver = self._drive()
        return driver.calls.submit(fn, args, kwargs)

    def _drive(self) -> _Driver:
        # A driver that a signal handler keeps from being started would never be.
        with handlers_deferred(), self._lock:
            if self._is_shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._own_driver is None:
                driver = _Driver(self._pool, self._options, self._emitter)
                _exit.start(driver)
                # What was submitted is done, as it is at the interpreter's exit.
                weakref.finalize(self, driver.calls.close).atexit = False
                self._driver = driver
            assert self._driver is not None
            return self._driver

    @property
    def _own_driver(self) -> _Driver | None:
        """That of this process, and not of one that has forked it."""
        driver = self._driver
        return None if driver is None or driver.pid != os.getpid() else driver

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """`fn` of each group of arguments, as `map` would give it, in that order.

        All calls are submitted at once; or with `buffersize`, that many at a time
        ahead of those that were taken. `chunksize` is checked and not used: calls
        travel in batches as large as suits their durations, and each has an outcome
        of its own. What a call has raised is raised in its place, and the calls that
        come after it are cancelled then, as they are when the iterator is closed.

        Raises `concurrent.futures.TimeoutError` when a value is asked for that is not
        there `timeout` seconds after this call, and `ValueError` or `TypeError` for sizes
        that make no sense.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        ends = None if timeout is None else time.monotonic() + timeout
        calls = zip(*iterables, strict=False)
        futures = deque(self.submit(fn, *args) for args in islice(calls, buffersize))
        # What is submitted need not keep the executor.
        this = weakref.ref(self)

        def submit_next() -> None:
            executor = this()
            if executor is not None and buffersize is not None:
                futures.extend(executor.submit(fn, *args) for args in islice(calls, 1))

        return _values(futures, submit_next, ends)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and end the workers when those that there are have been done.

        `wait` for that; with `cancel_futures`, calls that no worker has begun are
        cancelled first. Can be called again.
        """
        with self._lock:
            self._is_shut = True
        driver = self._own_driver
        if driver is None:
            self._pool.close()
            return
        driver.calls.close()
        if cancel_futures:
            driver.calls.cancel_all()
        if wait and driver is not threading.current_thread():
            driver.join()

    def terminate_workers(self) -> None:
        """Send SIGTERM to the workers, cancel what they have not begun, and shut down.

        Calls that are at work come to a `WorkerCrashError`.
        """
        self.shutdown(wait=False, cancel_futures=True)
        self._pool._lane_pool.terminate_workers()

    def kill_workers(self) -> None:
        """Kill the workers with all that they have started; else as `terminate_workers`."""
        self.shutdown(wait=False, cancel_futures=True)
        self._pool._lane_pool.kill_workers()


def _values(
    futures: deque[Future[T]], submit_next: Callable[[], None], ends: float | None
) -> Iterator[T]:
    """The values of the futures, until that time; for each one taken, another may be submitted."""
    try:
        while futures:
            # It is not kept here while its value is looked at.
            future = futures.popleft()
            try:
                value = future.result(None if ends is None else ends - time.monotonic())
            finally:
                future.cancel()
                del future
            submit_next()
            kept = [value]
            del value
            # Not kept while its user has it.
            yield kept.pop()
    finally:
        for future in futures:
            future.cancel()


class _Driver(threading.Thread):
    """Drives the run that does the calls of an executor, which it does not keep alive."""

    def __init__(self, pool: Pool, options: Options, emitter: Emitter | None) -> None:
        # Whatever the thread is that submits first: what was submitted is done.
        super().__init__(name="enact_pool-executor", daemon=False)
        self.pid = os.getpid()
        self.calls = SubmissionQueue()
        self._pool = pool
        self._options = options
        self._emitter = emitter

    def run(self) -> None:
        try:
            # What the emitter has raised, if anything, is told as what threads raise.
            run_through(self._pool._run(self.calls, self._emitter, self._options, ordered=False))
        finally:
            self.calls.end()
            self._pool.close()
            _exit.forget(self)


_executors: weakref.WeakSet[PoolExecutor] = weakref.WeakSet()


class _Exit:
    """The interpreter's exit."""

    def __init__(self) -> None:
        self._has_begun = False
        self.renew()

    def renew(self) -> None:
        """In a forked child: the drivers are the parent's, and the lock may be held."""
        # Re-entrant: a finalizer may submit calls.
        self._lock = threading.RLock()
        # Those that are at work, whether their executors are still there or not.
        self._drivers: set[_Driver] = set()

    def start(self, driver: _Driver) -> None:
        """Start a driver, which will be waited for. Raises `RuntimeError` when it is too late."""
        with self._lock:
            if self._has_begun:
                raise RuntimeError("cannot schedule new futures after interpreter shutdown")
            driver.start()
            self._drivers.add(driver)

    def forget(self, driver: _Driver) -> None:
        """A driver has done its work."""
        with self._lock:
            self._drivers.discard(driver)

    def begin(self) -> None:
        """Take no more calls, and do what was submitted."""
        with self._lock:
            self._has_begun = True
            drivers = list(self._drivers)
        for driver in drivers:
            driver.calls.close()
            driver.join()


_exit = _Exit()


def _after_fork() -> None:
    _exit.renew()
    for executor in list(_executors):
        # Another thread may have held it.
        executor._renew_lock()
        if executor._driver is not None:
            executor._driver.calls.abandon()


# Before the interpreter waits for threads, as the standard library's executors do it:
# an exit handler would come after that.
threading._register_atexit(_exit.begin)  # type: ignore[attr-defined]
os.register_at_fork(after_in_child=_after_fork)
