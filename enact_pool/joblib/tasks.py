"""What workers do for joblib."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

from enact_pool._ipc.large_value import LargeValue

__all__ = ["borrowed", "enter_worker", "failed_fit"]


def enter_worker(nested: tuple[Any, int | None], initializer: Callable[[], object] | None) -> None:
    """Set up a worker; `Parallel` calls within tasks use the `nested` backend and n_jobs."""
    import joblib

    def make_backend(**options: Any) -> Any:
        # By its name: few tasks ask for it, and it imports this module.
        return import_module("enact_pool.joblib.backend").EnactBackend(**options)

    joblib.register_parallel_backend("enact", make_backend)
    backend, n_jobs = nested
    # For good, in the thread that all tasks run in.
    joblib.parallel_config(backend=backend, n_jobs=n_jobs)
    if initializer is not None:
        initializer()


def failed_fit(
    error: Exception, function: Callable[..., Any], estimator: Any, *args: Any, **kwargs: Any
) -> Any:
    """What scikit-learn makes of a fit that fails with this error: its `error_score`, or it raises.

    The fit itself is not tried again.
    """

    def fit(*_: object, **__: object) -> None:
        raise error

    try:
        estimator.fit = fit
    except AttributeError:  # it takes no attributes
        raise error from None
    try:
        return function(estimator, *args, **kwargs)
    finally:
        # It may be returned.
        del estimator.fit


def borrowed(path: str, inode: int, layout: bytes) -> Any:
    """An array that was lent, in memory of its own. Raises `OSError` if it is not there."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    if os.fstat(descriptor).st_ino != inode:
        os.close(descriptor)
        raise FileNotFoundError(f"{path} is another file now: the Parallel call is over")
    parcel = LargeValue.from_file(descriptor, layout)
    try:
        return parcel.rebuild()
    finally:
        parcel.close()
