"""The thread that drives the run of an executor. The interpreter's exit waits for it."""

from __future__ import annotations

import os
import threading

from enact_pool._api.options import Options
from enact_pool._api.pool import Pool
from enact_pool._engine.run import run_through
from enact_pool._engine.submissions import SubmissionQueue
from enact_pool._events.emitter import Emitter

__all__ = ["ExecutorThread", "interpreter_exit"]


class ExecutorThread(threading.Thread):
    """Drives the run of an executor's calls. It does not keep the executor alive."""

    def __init__(self, pool: Pool, options: Options, emitter: Emitter | None) -> None:
        # Not a daemon, even if the thread that submits first is one: submitted calls are completed.
        super().__init__(name="enact_pool-executor", daemon=False)
        self.pid = os.getpid()
        self.calls = SubmissionQueue()
        self._pool = pool
        self._options = options
        self._emitter = emitter

    def run(self) -> None:
        try:
            # An exception of the emitter is reported as any exception of a thread.
            run_through(self._pool._run(self.calls, self._emitter, self._options, ordered=False))
        finally:
            self.calls.end()
            self._pool.close()
            interpreter_exit.forget(self)


class _InterpreterExit:
    """The interpreter's exit, which waits for the threads of all executors."""

    def __init__(self) -> None:
        self._has_begun = False
        self.renew()

    def renew(self) -> None:
        """In a forked child, forget the threads of the parent; the lock may have been held."""
        # Re-entrant: a finalizer may submit calls.
        self._lock = threading.RLock()
        # Threads that run, whether their executors still exist or not.
        self._threads: set[ExecutorThread] = set()

    def start(self, thread: ExecutorThread) -> None:
        """Start a thread, and wait for it at exit. Raises `RuntimeError` if the exit has begun."""
        with self._lock:
            if self._has_begun:
                raise RuntimeError("cannot schedule new futures after interpreter shutdown")
            thread.start()
            self._threads.add(thread)

    def forget(self, thread: ExecutorThread) -> None:
        """Do not wait for a thread any more: its run has ended."""
        with self._lock:
            self._threads.discard(thread)

    def begin(self) -> None:
        """Refuse new calls, and complete those that were submitted."""
        with self._lock:
            self._has_begun = True
            threads = list(self._threads)
        for thread in threads:
            thread.calls.close()
            thread.join()


interpreter_exit = _InterpreterExit()

# Before the interpreter waits for threads, as the standard library's executors do it:
# an exit handler would run only after that.
threading._register_atexit(interpreter_exit.begin)  # type: ignore[attr-defined]
os.register_at_fork(after_in_child=interpreter_exit.renew)
