"""The default pool: runs use it if no pool is passed to them."""

from __future__ import annotations

import os
import threading

from enact_pool._api.options import Options
from enact_pool._api.pool import Pool, checked_workers
from enact_pool._engine.run import Results
from enact_pool._engine.task_source import TaskSource
from enact_pool._events.emitter import Emitter, check_emitter
from enact_pool._lanes.lane_pool import PoolClosed
from enact_pool._python.interrupts import interrupt_of
from enact_pool._python.public_names import public

__all__ = ["default_pool", "start"]


class _DefaultPool:
    """The default pool of this process, created by its first use."""

    def __init__(self) -> None:
        self._pool: Pool | None = None
        self._renew_lock()
        os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        # Another thread may have held the lock at the fork. The pool itself can be kept: it has
        # forgotten the lanes of the parent.
        # Re-entrant: a signal handler may run callables while its thread is in `open_pool`.
        self._lock = threading.RLock()

    def open_pool(self) -> Pool:
        """Return the pool; create another one if it was closed."""
        with self._lock:
            pool = self._pool
            if pool is None or (pool._lane_pool.book.closed and not pool._lane_pool.terminated):
                self._pool = pool = Pool()
            return pool


_default_pool = _DefaultPool()


@public
def default_pool() -> Pool:
    """Return the open pool that runs use if no pool is passed to them: for example to cancel them.

    The first use creates the pool, and so does the first use after it was closed. (While the
    interpreter exits, no new pool is created.)
    """
    return _default_pool.open_pool()


def start(
    source: TaskSource,
    emitter: Emitter | None,
    pool: Pool | None,
    max_workers: int | None,
    options: Options,
    ordered: bool = True,
) -> Results:
    """Start a run in a pool, or in the default pool. Raises what the arguments cause."""
    limit = None if max_workers is None else checked_workers(max_workers)
    if pool is None:
        check_emitter(emitter)
        return _in_default_pool(source, emitter, options, limit, ordered)
    if not isinstance(pool, Pool):
        raise TypeError(f"pool must be a Pool, not {type(pool).__name__}")
    return pool._run(source, emitter, options, limit, ordered=ordered)


def _in_default_pool(
    source: TaskSource, emitter: Emitter | None, options: Options, limit: int | None, ordered: bool
) -> Results:
    while True:
        pool = _default_pool.open_pool()
        if limit is not None:
            pool._grow(limit)
        try:
            return (yield from pool._run(source, emitter, options, limit, ordered=ordered))
        except PoolClosed as error:
            # Another thread closed the pool after `open_pool` had returned it. Only the
            # beginning of a run raises this (or a signal handler, from a run of its own): no task
            # was started, and the next default pool can run them all.
            if pool._lane_pool.terminated or interrupt_of(error) is not None:
                raise
