"""Functions that run in workers for joblib."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

from enact_pool._ipc.large_value import LargeValue

__all__ = ["enter_worker", "failed_fit", "load_shared_array"]


def enter_worker(nested: tuple[Any, int | None], initializer: Callable[[], object] | None) -> None:
    """Set up a worker: `Parallel` within tasks uses the `nested` backend and n_jobs."""
    import joblib

    def make_backend(**options: Any) -> Any:
        # Imported by name: few tasks need it, and it imports this module.
        return import_module("enact_pool.joblib.backend").EnactBackend(**options)

    joblib.register_parallel_backend("enact", make_backend)
    backend, n_jobs = nested
    # Never undone: this is the thread that runs all tasks.
    joblib.parallel_config(backend=backend, n_jobs=n_jobs)
    if initializer is not None:
        initializer()


def failed_fit(
    error: Exception, function: Callable[..., Any], estimator: Any, *args: Any, **kwargs: Any
) -> Any:
    """Return what scikit-learn returns for a fit that fails with this error: its `error_score`.

    It may also raise. The fit itself is not repeated.
    """

    def fit(*_: object, **__: object) -> None:
        raise error

    try:
        estimator.fit = fit
    except AttributeError:  # it does not accept attributes
        raise error from None
    try:
        return function(estimator, *args, **kwargs)
    finally:
        # The estimator may be returned.
        del estimator.fit


def load_shared_array(path: str, inode: int, layout: bytes) -> Any:
    """Return a shared array in private memory. Raises `OSError` if its file does not exist."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    if os.fstat(descriptor).st_ino != inode:
        os.close(descriptor)
        raise FileNotFoundError(f"{path} is another file now: the call of Parallel has ended")
    value = LargeValue.from_file(descriptor, layout)
    try:
        return value.rebuild()
    finally:
        value.close()
