"""`WorkerOptions`: the options that joblib's users give to the backend's workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import evolve, fields_dict, frozen

from enact_pool._api.executor import PoolExecutor
from enact_pool.joblib.worker_side import enter_worker

__all__ = ["WorkerOptions"]


@frozen
class WorkerOptions:
    """See `EnactBackend`."""

    task_timeout: float | None = None
    max_memory: int | None = None
    max_tasks_per_child: int | None = None
    idle_worker_timeout: float | None = 300.0
    initializer: Callable[..., object] | None = None
    initargs: Iterable[Any] = ()
    env: Mapping[str, str] | None = None

    def updated(self, options: Mapping[str, Any]) -> WorkerOptions:
        """Return a copy with these options. Raises `TypeError` if one of them is unknown."""
        for name in options:
            if name not in fields_dict(WorkerOptions):
                known = ", ".join(["on_crash", *fields_dict(WorkerOptions)])
                raise TypeError(f"the backend has no option {name!r}; its options are: {known}")
        return evolve(self, **options)

    def without_setup(self) -> WorkerOptions:
        """Return a copy without initializer and environment."""
        return evolve(self, initializer=None, initargs=(), env=None)

    def make_executor(
        self, n_jobs: int, env: Mapping[str, str], setup: tuple[Any, ...]
    ) -> PoolExecutor:
        """Return a new executor whose workers call `enter_worker` with `setup`."""
        return PoolExecutor(
            n_jobs,
            initializer=enter_worker,
            initargs=setup,
            timeout=self.task_timeout,
            max_memory=self.max_memory,
            max_tasks_per_child=self.max_tasks_per_child,
            idle_timeout=self.idle_worker_timeout,
            env=env,
        )
