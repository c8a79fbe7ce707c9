"""`ParallelCall`: one call of a `Parallel`, with its batches and the thread that runs callbacks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import wait
from queue import SimpleQueue
from typing import Any

from enact_pool._api.executor import PoolExecutor
from enact_pool._engine.futures import CallFuture
from enact_pool.joblib.batch import Batch
from enact_pool.joblib.executor_cache import executor_cache
from enact_pool.joblib.shared_arrays import SharedArrays

__all__ = ["ParallelCall"]

# How often to retry killing calls that a worker has received, but not started.
_RETRY_SECONDS = 0.01


class ParallelCall:
    """A call in progress. A thread of its own runs joblib's callbacks of finished batches.

    A callback takes more tasks from joblib's iterable. That is user code, which may take
    long, or wait for other calls: the executor's thread must go on meanwhile.
    """

    def __init__(self, shared: SharedArrays, parallel: Any) -> None:
        self._shared = shared
        self._parallel = parallel
        self._batches: set[Batch] = set()
        self._submitted = 0
        self._is_aborted = False
        # What a callback has raised; the caller raises it.
        self._error: BaseException | None = None
        # Held while the thread ends the caller's wait: it must not end that of the next call.
        self._lock = threading.Lock()
        self._finished: SimpleQueue[tuple[Callable[[Batch], object], Batch] | None] = SimpleQueue()
        self._thread = threading.Thread(
            target=self._run_callbacks, name="enact_pool-joblib", daemon=True
        )
        self._thread.start()

    def submit(
        self,
        executor: PoolExecutor,
        tasks: list[Any],
        on_crash: Callable[[Exception], Any] | None,
        callback: Callable[[Batch], object] | None,
    ) -> Batch:
        """Submit tasks as a batch; the thread calls `callback` with the finished batch."""

        def when_finished(batch: Batch) -> None:
            if batch.error is None:
                # After an error, other tasks of the batch may still run: `abort` must see them.
                self._batches.discard(batch)
            if callback is not None:
                self._finished.put((callback, batch))

        batch = Batch(executor, self._shared, tasks, self._submitted, on_crash, when_finished)
        self._submitted += len(tasks)
        self._batches.add(batch)
        batch.start()
        if self._is_aborted:
            # Another thread aborted meanwhile, and has not seen all tasks of this batch.
            self.abort()
        return batch

    def _run_callbacks(self) -> None:
        for callback, batch in iter(self._finished.get, None):
            try:
                callback(batch)
            except BaseException as error:
                # joblib itself handles an `Exception` of the iterable, and nothing else.
                with self._lock:
                    self._error = error
                    if not self._is_aborted:
                        # Ends the caller's wait for tasks that will never be dispatched.
                        self._parallel._aborting = True
            # Do not keep the batch until the next one is finished.
            del callback, batch
        if self._is_aborted and self._error is not None:
            # The caller has raised another error.
            logger = logging.getLogger("enact_pool")
            logger.error("joblib could not continue a call", exc_info=self._error)

    def abort(self) -> None:
        """Cancel the tasks that have not started, and kill those that run."""
        with self._lock:
            self._is_aborted = True
        futures = [future for batch in list(self._batches) for future in batch.abandon()]
        left = [future for future in futures if not future.kill()]
        if left:
            # A worker has received them and is about to start them, or it must first run a task
            # of another call, which this call must not wait for.
            thread = threading.Thread(target=_kill, args=(left,), daemon=True)
            thread.name = "enact_pool-joblib-abort"
            executor_cache.lingering.add(thread)
            thread.start()

    def finish(self) -> None:
        """Wait until all callbacks have returned; raise what one of them has raised."""
        if self._is_aborted:
            return
        self.end()
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            # Its traceback has this frame.
            del error

    def end(self) -> None:
        """Accept no more batches; wait for the thread unless the call was aborted."""
        self._finished.put(None)
        if self._is_aborted or self._thread is threading.current_thread():
            # The thread may run the user's iterable for an unknown time.
            executor_cache.lingering.add(self._thread)
        else:
            self._thread.join()


def _kill(futures: list[CallFuture]) -> None:
    """Kill calls once they have started, unless they are done before."""
    while futures := [future for future in futures if not future.kill()]:
        wait(futures, timeout=_RETRY_SECONDS)
