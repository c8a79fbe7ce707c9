"""`PoolExecutor`: the pool behind the interface of `concurrent.futures`.

    submit, map         any thread: create a future, and add the call to the queue
        |
    SubmissionQueue     the source of one run, which goes on until the executor is shut down
        |
    ExecutorThread      the thread that drives this run, and sets the outcomes of the futures

`run_parallel` drives the same kind of run, with the same schedule and lanes, from the thread of its
caller.
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
from operator import index
from typing import TYPE_CHECKING, Any, TypeVar

from enact_pool._api.executor_thread import ExecutorThread, interpreter_exit
from enact_pool._api.options import Options
from enact_pool._api.pool import Pool
from enact_pool._events.emitter import Emitter
from enact_pool._model.limits import Limits
from enact_pool._python.interrupts import handlers_deferred
from enact_pool._python.loading import check_not_imported
from enact_pool._python.process_local import ProcessLocal
from enact_pool._python.public_names import public

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")

__all__ = ["PoolExecutor"]

T = TypeVar("T")


@public
class PoolExecutor(ProcessLocal, Executor):
    """Runs calls in worker processes; a worker that dies costs only the call that it ran.

    It can replace a `concurrent.futures.ProcessPoolExecutor`. Calls can be submitted and cancelled
    from any thread, signal handler, finalizer and callback. Arguments are pickled in the thread
    that submits the call. Callbacks run in the executor's thread, which cannot work meanwhile.

    Workers are started when there are calls for them, always as clean interpreters, which need no
    `if __name__ == "__main__":`. What the initializer or a call sets, globals included, stays in
    the worker for later calls. Before a call runs, its worker receives what the caller has changed
    in the globals that the call needs, and in the process state. Functions and classes of a module
    that workers cannot import (a script, a notebook) are sent once to each worker; lambdas and
    closures are pickled for each call. Coroutines that calls return are awaited in the worker, in
    its one event loop.

    A future raises:

    * what its call raised, with the worker's traceback as its cause (or `RemoteError` with the same
      texts, if that exception cannot be pickled or rebuilt);
    * `WorkerCrashError` if the worker died meanwhile, exceeded `max_memory` or could not be
      started: its `error` contains the details;
    * `TimeoutError` if the call took longer than `timeout`;
    * the error of pickling, if the call or its value cannot be pickled.

    Args:
        max_workers: Processes; default: the CPUs that this process may use.
        mp_context: Ignored; accepted for compatibility.
        initializer: Called in each worker before its first call.
        initargs: The arguments of `initializer`. Locks, queues and shared values of multiprocessing
            are allowed, except those of its "fork" context.
        max_tasks_per_child: Calls after which a worker is replaced; default: never.
        timeout: Seconds that a call may run; default: no limit.
        max_memory: Bytes that the worker of a call may own; default: no limit.
        idle_timeout, env: See `Pool`.
        emitter: Receives the events of calls, in the order in which they end, in a thread of the
            executor.

    Raises:
        Exception: What `Pool` raises.
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
        # Other libraries (dask) read this attribute, because there is no public one.
        self._max_workers = self._pool.max_workers
        self._is_shut = False
        self._thread: ExecutorThread | None = None
        self._renew_lock()
        _executors.add(self)

    def _renew_lock(self) -> None:
        # Re-entrant: finalizers and signal handlers may submit calls.
        self._lock = threading.RLock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call `fn(*args, **kwargs)` in a worker, and return a future for its outcome.

        `Future.cancel` succeeds until a worker begins the call, and `Future.running` returns True
        from then on. (If calls take microseconds, a worker may have taken up to seven calls ahead.)

        Raises:
            RuntimeError: The executor is shut down, or this is the top level of a module that a
                worker imports.
        """
        check_not_imported()
        thread = self._thread
        if thread is None or self._is_shut or thread.pid != os.getpid():
            thread = self._started_thread()
        return thread.calls.submit(fn, args, kwargs)

    def _started_thread(self) -> ExecutorThread:
        # If a signal handler raised in here, the thread might be neither started nor replaced.
        with handlers_deferred(), self._lock:
            if self._is_shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            thread = self._own_thread
            if thread is None:
                thread = ExecutorThread(self._pool, self._options, self._emitter)
                interpreter_exit.start(thread)
                # Submitted calls are completed, as they are at the interpreter's exit.
                weakref.finalize(self, thread.calls.close).atexit = False
                self._thread = thread
            return thread

    @property
    def _own_thread(self) -> ExecutorThread | None:
        """The thread, unless it belongs to the process that forked this one."""
        thread = self._thread
        return None if thread is None or thread.pid != os.getpid() else thread

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """Call `fn` with each group of arguments, and return an iterator over the values, in order.

        What a call raised is raised in the place of its value. The calls after it are then
        cancelled, as they are when the iterator is closed.

        Args:
            fn: The function.
            *iterables: The arguments of the calls, as for the built-in `map`.
            timeout: Seconds from now until the last value must exist; default: no limit.
            chunksize: Checked and not used: the size of batches follows the durations of the calls,
                and each call has an outcome of its own.
            buffersize: How many calls are submitted ahead of the values that were taken; default:
                all calls are submitted at once.

        Raises:
            concurrent.futures.TimeoutError: A value does not exist after `timeout` seconds.
            ValueError: A size is out of range.
            TypeError: A size is not an integer.
        """
        if index(chunksize) < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        ends = None if timeout is None else time.monotonic() + timeout
        calls = zip(*iterables, strict=False)
        futures = deque(self.submit(fn, *args) for args in islice(calls, buffersize))
        # The iterator must not keep the executor alive.
        this = weakref.ref(self)

        def submit_next() -> None:
            executor = this()
            if executor is not None and buffersize is not None:
                futures.extend(executor.submit(fn, *args) for args in islice(calls, 1))

        return _values(futures, submit_next, ends)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Refuse new calls, complete those that were submitted, and end the workers.

        It can be called again.

        Args:
            wait: Whether to wait until the submitted calls are completed; default: True.
            cancel_futures: Whether to cancel calls that no worker has begun; default: False.
        """
        with self._lock:
            self._is_shut = True
        thread = self._own_thread
        if thread is None:
            self._pool.close()
            return
        thread.calls.close()
        if cancel_futures:
            thread.calls.cancel_all()
        if wait and thread is not threading.current_thread():
            thread.join()

    def terminate_workers(self) -> None:
        """Send SIGTERM to the workers, cancel the calls that no worker has begun, and shut down.

        The futures of running calls raise `WorkerCrashError`.
        """
        self.shutdown(wait=False, cancel_futures=True)
        self._pool._lane_pool.terminate_workers()

    def kill_workers(self) -> None:
        """Kill the workers and every process that they started; else like `terminate_workers`."""
        self.shutdown(wait=False, cancel_futures=True)
        self._pool._lane_pool.kill_workers()


def _values(
    futures: deque[Future[T]], submit_next: Callable[[], None], ends: float | None
) -> Iterator[T]:
    """Yield the values of the futures until time `ends`; call `submit_next` after each value."""
    try:
        while futures:
            # Neither the future nor its value is referenced here while the user has the value.
            future = futures.popleft()
            try:
                value = future.result(None if ends is None else ends - time.monotonic())
            finally:
                future.cancel()
                del future
            submit_next()
            kept = [value]
            del value
            yield kept.pop()
    finally:
        for future in futures:
            future.cancel()


_executors: weakref.WeakSet[PoolExecutor] = weakref.WeakSet()


def _after_fork() -> None:
    for executor in list(_executors):
        # Another thread may have held the lock at the fork.
        executor._renew_lock()
        if executor._thread is not None:
            executor._thread.calls.abandon()


os.register_at_fork(after_in_child=_after_fork)
