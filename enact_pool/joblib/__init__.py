"""The pool as a backend of joblib: for `joblib.Parallel`, and therefore for scikit-learn.

    joblib.Parallel     batches of tasks, from an iterable
          |
    EnactBackend        a `ParallelCall` with a `Batch` of each: every task is a call of its own
          |             (`SharedArrays`: each large array is written once for all of them)
    PoolExecutor        kept warm for the next `Parallel`, in the `ExecutorCache`

joblib is imported when `register` is called, and by the workers.
"""

from __future__ import annotations

__all__ = ["register", "shutdown"]


def register(*, make_default: bool = False) -> None:
    """Register the backend "enact" with joblib. Can be called again.

    `joblib.parallel_config(backend="enact")` and `Parallel(backend="enact")` use it then.

    Args:
        make_default: Whether joblib uses it where no backend is named; False by default.

    Raises:
        ImportError: joblib is not installed.
    """
    try:
        from joblib import register_parallel_backend
    except ImportError as error:
        raise ImportError(
            "enact_pool.joblib needs joblib: pip install 'enact_pool[joblib]'"
        ) from error
    from enact_pool.joblib.backend import EnactBackend

    register_parallel_backend("enact", EnactBackend, make_default=make_default)


def shutdown() -> None:
    """Shut down the workers that are kept for the next `Parallel`, and wait for their exit.

    Tasks that other calls have in progress are finished first. The next `Parallel` starts
    new workers.
    """
    from enact_pool.joblib.executor_cache import executor_cache

    executor_cache.shutdown()
