"""`EnactBackend`: what joblib asks of a backend, with a `PoolExecutor` behind it."""

from __future__ import annotations

import copy
import logging
import threading
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import wait
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Any

import cloudpickle
import joblib
from attrs import evolve, fields_dict, frozen
from joblib.parallel import (
    AutoBatchingMixin,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
)

from enact_pool._api.executor import PoolExecutor
from enact_pool._engine.futures import CallFuture
from enact_pool._wire.worker_config import nesting
from enact_pool.joblib.batch import Batch
from enact_pool.joblib.kept import kept_executors
from enact_pool.joblib.loans import Loans
from enact_pool.joblib.tasks import enter_worker

__all__ = ["EnactBackend"]

# How often to look for calls that a worker has taken, and not begun.
_TAKEN_SECONDS = 0.01

# What joblib tells all backends, and other ones have a use for.
_NOT_OURS = frozenset({"context", "temp_folder", "verbose"})


@frozen
class _WorkerOptions:
    task_timeout: float | None = None
    max_memory: int | None = None
    max_tasks_per_child: int | None = None
    idle_worker_timeout: float | None = 300.0
    initializer: Callable[..., object] | None = None
    initargs: Iterable[Any] = ()
    env: Mapping[str, str] | None = None

    def with_these(self, options: Mapping[str, Any]) -> _WorkerOptions:
        """With some of them otherwise. Raises `TypeError` for what is none."""
        for name in options:
            if name not in fields_dict(_WorkerOptions):
                known = ", ".join(fields_dict(_WorkerOptions))
                raise TypeError(f"the backend has no option {name!r}; those it has: {known}")
        return evolve(self, **options)


class EnactBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """joblib's tasks in worker processes; one that dies costs the task that it ran.

    `task_timeout` is for how many seconds a task may run, and `max_memory` how many
    bytes its worker may have of its own; the other options are those of `PoolExecutor`,
    `idle_worker_timeout` (joblib's name) its `idle_timeout`. All but `on_crash` can
    be given to `joblib.Parallel` too (of joblib 1.5 or later).

    A task whose worker has died, or that has broken a limit, raises `WorkerCrashError`
    or `TimeoutError`, which name it. With `on_crash`, what that makes of the error is
    the task's value instead (it is called in another thread). And scikit-learn's fits
    fail then like fits that raise it: their `error_score` says what that means.
    """

    # Who names it wants its workers.
    default_n_jobs = -1
    supports_retrieve_callback = True
    supports_inner_max_num_threads = True

    def __init__(
        self,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        *,
        on_crash: Callable[[Exception], Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        self._on_crash = on_crash
        self._options = _WorkerOptions().with_these(options)
        self._parallel: Callable[[], Any] = lambda: None
        self._reset()

    def _reset(self) -> None:
        self._executor: PoolExecutor | None = None
        self._least_bytes: int | None = None
        self._call: _Call | None = None

    # What joblib asks before a call

    @property
    def parallel(self) -> Any:
        """The `Parallel` that this was last configured for, as long as that is there.

        It has what it has not dispatched, when it was cut short, and it has this.
        """
        return self._parallel()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many tasks can run at once."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        if not (self.in_main_thread() or self.nesting_level == 0):
            if n_jobs != 1:
                warnings.warn(
                    "parallel loops of enact_pool cannot be nested below threads, setting n_jobs=1",
                    stacklevel=3,
                )
            return 1
        if n_jobs < 0:
            return max((nesting.cpus or joblib.cpu_count()) + 1 + n_jobs, 1)
        return n_jobs

    def configure(
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        *,
        max_nbytes: int | None = None,
        mmap_mode: str | None = "r",
        **options: Any,
    ) -> int:
        """Get ready for the calls of this `Parallel`; gives how many tasks will run at once."""
        if self._executor is not None:
            # Another one has it, which has given a generator, say.
            raise FallbackToBackend(self._twin())
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self._least_bytes = None if mmap_mode is None else max_nbytes
        ours = {name: value for name, value in options.items() if name not in _NOT_OURS}
        self._executor = self._acquired(n_jobs, self._options.with_these(ours))
        if parallel is not None:
            self._parallel = weakref.ref(parallel)
        return n_jobs

    def _twin(self) -> EnactBackend:
        twin = copy.copy(self)
        twin._reset()
        twin.reset_batch_stats()
        return twin

    def _acquired(self, n_jobs: int, options: _WorkerOptions) -> PoolExecutor:
        initializer = None
        if options.initializer is not None:
            initializer = partial(options.initializer, *options.initargs)
        enter = cloudpickle.dumps((self.get_nested_backend(), initializer))
        env = {**self._prepare_worker_env(n_jobs), **(options.env or {})}

        def make() -> PoolExecutor:
            return PoolExecutor(
                n_jobs,
                initializer=enter_worker,
                initargs=cloudpickle.loads(enter),
                timeout=options.task_timeout,
                max_memory=options.max_memory,
                max_tasks_per_child=options.max_tasks_per_child,
                idle_timeout=options.idle_worker_timeout,
                env=env,
            )

        key = n_jobs, env, enter, evolve(options, initializer=None, initargs=(), env=None)
        return kept_executors.acquire(key, make)

    def start_call(self) -> None:
        """A call begins."""
        self._call = _Call(Loans(self._least_bytes), self.parallel)

    # Within a call

    def submit(self, func: Any, callback: Callable[[Batch], object] | None = None) -> Batch:
        """Take a batch: an object that has `items`, each a function, its args and its kwargs."""
        assert self._executor is not None
        assert self._call is not None
        return self._call.submit(self._executor, func.items, self._on_crash, callback)

    # Its name before joblib 1.5.
    apply_async = submit

    def retrieve_result_callback(self, out: Batch) -> list[Any]:
        """The values of a batch that is over; raises its error."""
        return out.take_values()

    @contextmanager
    def retrieval_context(self) -> Iterator[None]:
        """What the caller waits for its values in; raises what was raised elsewhere meanwhile."""
        call = self._call
        assert call is not None
        yield
        call.finish()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel what this call has submitted, and kill the workers that are at work on it.

        Others, who may share the workers, do not notice.
        """
        if self._call is not None:
            self._call.abort()

    # After it

    def stop_call(self) -> None:
        """The call is over."""
        if self._call is not None:
            self._call.end()
            self._call = None

    def terminate(self) -> None:
        """This `Parallel` is over; the workers are kept for the next one."""
        if self._executor is not None:
            kept_executors.release(self._executor)
        self._reset()
        self.reset_batch_stats()


class _Call:
    """A call in progress: its batches, and the thread that tells joblib of those that are over.

    joblib takes more tasks out of its iterable then, which is the user's code, and may
    take long, or wait for other calls: the executor's thread has to go on meanwhile.
    """

    def __init__(self, loans: Loans, parallel: Any) -> None:
        self._loans = loans
        self._parallel = parallel
        self._batches: set[Batch] = set()
        self._submitted = 0
        self._is_aborted = False
        # What the thread has come to, which the caller is to raise.
        self._error: BaseException | None = None
        # Held while the thread ends the caller's wait: not that of the next call.
        self._lock = threading.Lock()
        self._over: SimpleQueue[tuple[Callable[[Batch], object], Batch] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._tell, name="enact_pool-joblib", daemon=True)
        self._thread.start()

    def submit(
        self,
        executor: PoolExecutor,
        tasks: list[Any],
        on_crash: Callable[[Exception], Any] | None,
        callback: Callable[[Batch], object] | None,
    ) -> Batch:
        def when_over(batch: Batch) -> None:
            if batch.error is None:
                # Else some of its tasks may be at work still, and are to be aborted.
                self._batches.discard(batch)
            if callback is not None:
                self._over.put((callback, batch))

        batch = Batch(executor, self._loans, tasks, self._submitted, on_crash, when_over)
        self._submitted += len(tasks)
        self._batches.add(batch)
        batch.start()
        if self._is_aborted:
            # Meanwhile, by another thread, which has not seen all of it.
            self.abort()
        return batch

    def _tell(self) -> None:
        for callback, batch in iter(self._over.get, None):
            try:
                callback(batch)
            except BaseException as error:
                # joblib looks after an `Exception` of the iterable's, and of nothing else.
                with self._lock:
                    self._error = error
                    if not self._is_aborted:
                        # It waits for tasks that nobody will dispatch.
                        self._parallel._aborting = True
            # Not kept till the next one is over.
            del callback, batch
        if self._is_aborted and self._error is not None:
            # The caller has raised something else.
            logger = logging.getLogger("enact_pool")
            logger.error("joblib could not go on with a call", exc_info=self._error)

    def abort(self) -> None:
        """Cancel what has not begun, and kill what runs."""
        with self._lock:
            self._is_aborted = True
        futures = [future for batch in list(self._batches) for future in batch.abandon()]
        left = [future for future in futures if not future.kill()]
        if left:
            # A worker has taken them, and is about to begin; or it has a task of others
            # to do first, for which nobody is to wait here.
            thread = threading.Thread(target=_kill, args=(left,), daemon=True)
            thread.name = "enact_pool-joblib-abort"
            kept_executors.lingering.add(thread)
            thread.start()

    def finish(self) -> None:
        """Wait until joblib has been told of all that is over; raises what that has raised."""
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
        """No more batches come."""
        self._over.put(None)
        if self._is_aborted or self._thread is threading.current_thread():
            # It may be in the user's iterable, for who knows how long.
            kept_executors.lingering.add(self._thread)
        else:
            self._thread.join()


def _kill(futures: list[CallFuture]) -> None:
    """Kill calls when they can be, or are done."""
    while futures := [future for future in futures if not future.kill()]:
        wait(futures, timeout=_TAKEN_SECONDS)
