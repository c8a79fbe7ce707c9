"""The pool as a backend of joblib: for `joblib.Parallel`, and so for scikit-learn.

    joblib.Parallel     batches of tasks, out of an iterable
          |
    EnactBackend        a `Batch` of each: every task is a call of its own
          |             (`Loans`: large arrays are written once for all of them)
    PoolExecutor        kept warm for the next `Parallel`

joblib is imported when `register` is called, and by the workers.
"""

from __future__ import annotations

__all__ = ["register", "shutdown"]


def register(*, make_default: bool = False) -> None:
    """Let joblib know the backend "enact"; with `make_default`, it takes that where none is named.

    Then `joblib.parallel_config(backend="enact")` and `Parallel(backend="enact")` use it.
    Can be called again. Raises `ImportError` if joblib is not installed.
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
    """End the workers that are kept for the next `Parallel`, and wait for their end.

    Tasks that others have in progress are done first. The next `Parallel` starts new ones.
    """
    from enact_pool.joblib.kept import kept_executors

    kept_executors.shutdown()
