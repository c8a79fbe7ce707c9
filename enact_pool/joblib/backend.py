"""`EnactBackend`: joblib's interface of a backend, with a `PoolExecutor` behind it."""

from __future__ import annotations

import copy
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import cloudpickle
import joblib
from joblib.parallel import (
    AutoBatchingMixin,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
)

from enact_pool._api.executor import PoolExecutor
from enact_pool._wire.worker_config import nesting
from enact_pool.joblib.batch import Batch
from enact_pool.joblib.executor_cache import executor_cache
from enact_pool.joblib.parallel_call import ParallelCall
from enact_pool.joblib.shared_arrays import SharedArrays
from enact_pool.joblib.worker_options import WorkerOptions

__all__ = ["EnactBackend"]

# Options that joblib passes to every backend, and that this one does not use.
_UNUSED_OPTIONS = frozenset({"context", "temp_folder", "verbose"})


class EnactBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Run joblib's tasks in worker processes; a worker that dies costs only the task that ran.

    A task whose worker has died, or that has exceeded a limit, raises `WorkerCrashError`
    or `TimeoutError`, which name the task. A fit of scikit-learn fails then as if it had
    raised the error itself: see scikit-learn's `error_score`.

    All options but `on_crash` can be passed to `joblib.Parallel` as well (joblib 1.5 or later).

    Args:
        nesting_level: As joblib defines it.
        inner_max_num_threads: As joblib defines it.
        on_crash: Called with the error, in another thread; its return value becomes the
            task's value. None by default: the error is raised.
        task_timeout: For how many seconds a task may run; None, the default, for no limit.
        max_memory: How many bytes of its own a worker may use; None, the default, for no limit.
        max_tasks_per_child: After how many tasks a worker is replaced; None, the default, for
            never.
        idle_worker_timeout: After how many idle seconds a worker exits; 300 by default.
        initializer: Called in each worker before its first task; None by default.
        initargs: The arguments of `initializer`; none by default.
        env: Environment variables of the workers; none by default.

    Raises:
        TypeError: An option is unknown.
    """

    # `parallel_config(backend="enact")` without n_jobs uses all CPUs.
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
        if on_crash is not None and not callable(on_crash):
            raise TypeError(f"on_crash must be callable or None, not {on_crash!r}")
        self._on_crash = on_crash
        self._options = WorkerOptions().updated(options)
        self._parallel: Callable[[], Any] = lambda: None
        self._reset()

    def _reset(self) -> None:
        self._executor: PoolExecutor | None = None
        self._min_shared_bytes: int | None = None
        self._call: ParallelCall | None = None

    # Before a call

    @property
    def parallel(self) -> Any:
        """The `Parallel` that this backend was last configured for; None once it is deleted.

        The reference is weak: a `Parallel` that was cut short keeps the tasks that it has not
        dispatched, and it keeps this backend.
        """
        return self._parallel()

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many tasks can run at once."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        if not (self.in_main_thread() or self.nesting_level == 0):
            if n_jobs != 1:
                warnings.warn(
                    "parallel loops cannot be nested below threads of enact_pool: n_jobs is now 1",
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
        """Prepare for the calls of this `Parallel`; return how many tasks will run at once."""
        if self._executor is not None:
            # Another `Parallel` uses this backend, for example one that has returned a generator.
            raise FallbackToBackend(self._twin())
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self._min_shared_bytes = None if mmap_mode is None else max_nbytes
        used = {name: value for name, value in options.items() if name not in _UNUSED_OPTIONS}
        self._executor = self._acquire_executor(n_jobs, self._options.updated(used))
        if parallel is not None:
            self._parallel = weakref.ref(parallel)
        return n_jobs

    def _twin(self) -> EnactBackend:
        twin = copy.copy(self)
        twin._reset()
        twin.reset_batch_stats()
        return twin

    def _acquire_executor(self, n_jobs: int, options: WorkerOptions) -> PoolExecutor:
        initializer = None
        if options.initializer is not None:
            initializer = partial(options.initializer, *options.initargs)
        setup = cloudpickle.dumps((self.get_nested_backend(), initializer))
        env = {**self._prepare_worker_env(n_jobs), **(options.env or {})}

        def make() -> PoolExecutor:
            return options.make_executor(n_jobs, env, cloudpickle.loads(setup))

        return executor_cache.acquire((n_jobs, env, setup, options.without_setup()), make)

    def start_call(self) -> None:
        """Start a call."""
        self._call = ParallelCall(SharedArrays(self._min_shared_bytes), self.parallel)

    # Within a call

    def submit(self, func: Any, callback: Callable[[Batch], object] | None = None) -> Batch:
        """Submit a batch: an object whose `items` are functions with their args and kwargs."""
        if self._executor is None or self._call is None:
            raise RuntimeError("the backend is not configured, or no call has started")
        return self._call.submit(self._executor, func.items, self._on_crash, callback)

    # Its name before joblib 1.5.
    apply_async = submit

    def retrieve_result_callback(self, out: Batch) -> list[Any]:
        """Return the values of a finished batch, or raise its error."""
        return out.take_values()

    @contextmanager
    def retrieval_context(self) -> Iterator[None]:
        """Surround the wait for values; raise what other threads have raised meanwhile."""
        call = self._call
        if call is None:
            raise RuntimeError("no call has started")
        yield
        call.finish()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Cancel the tasks of this call, and kill the workers that run them.

        Other calls that share the workers are unaffected.
        """
        if self._call is not None:
            self._call.abort()

    # After a call

    def stop_call(self) -> None:
        """End the call."""
        if self._call is not None:
            self._call.end()
            self._call = None

    def terminate(self) -> None:
        """End this `Parallel`; the workers are kept for the next one."""
        if self._executor is not None:
            executor_cache.release(self._executor)
        self._reset()
        self.reset_batch_stats()
