"""Coroutines that callables return, in their worker: all of them in one event loop.

A client (of a database, say) belongs to the loop in which it was opened. In a loop of its
own for each coroutine, as `asyncio.run` makes it, a client that a module keeps would
fail in every callable but the first.

What a coroutine leaves behind:

* Tasks stay, and go on while later coroutines of this worker run: a client may need
  them. What they raise is logged by asyncio, and ends no other callable.
* What it has running in the loop's threads (`asyncio.to_thread`) is waited for.
* Signal handlers of the loop are removed.

Workers import this, for their first coroutine: asyncio takes long to import.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import os
from collections.abc import Coroutine
from concurrent.futures import Future
from concurrent.futures.thread import ThreadPoolExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["run"]

# What is closed or finalized as a coroutine ends is done some turns of the loop later.
_LAST_TURNS = 3

# Bound here: a callable may patch the module it comes from.
_getpid, _fstat = os.getpid, os.fstat


class _Threads(ThreadPoolExecutor):
    """The loop's threads, which stay for the next coroutine: the name says that they are ours."""

    def __init__(self) -> None:
        super().__init__(thread_name_prefix="enact_pool-asyncio")
        # Changed by any of its threads, in one step each.
        self.unfinished: set[Future[Any]] = set()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        self.unfinished.add(future)
        # Called at once if it is done by now.
        future.add_done_callback(self.unfinished.discard)
        return future


class _Loop:
    """An event loop of this process, and what tells whether it can still be used."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._pid = _getpid()
        self._threads = _Threads()
        self.loop.set_default_executor(self._threads)
        # Its descriptors, as far as they are known. (Not those of other kinds of loops.)
        files = (getattr(self.loop, name, None) for name in ("_csock", "_ssock", "_selector"))
        self._files = {file.fileno(): _inode(file.fileno()) for file in files if file is not None}
        atexit.register(self._end)

    @property
    def is_usable(self) -> bool:
        """Whether it is of this process, and no callable has closed it or its descriptors."""
        return (
            self._pid == _getpid()
            and not self.loop.is_closed()
            and all(_inode(number) == inode for number, inode in self._files.items())
        )

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Return what the coroutine returns. Raises what it raises."""
        asyncio.set_event_loop(self.loop)
        # What others have left is not this one's.
        left, working = asyncio.all_tasks(self.loop), self._threads.unfinished.copy()
        task = self.loop.create_task(coroutine)
        try:
            return self._run_until_done(task, left)
        finally:
            if self.is_usable:
                self._tidy_up(task, left, working)

    def _run_until_done(self, task: asyncio.Future[Any], left: set[asyncio.Task[Any]]) -> Any:
        while True:
            try:
                return self.loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt) as error:
                # From whichever task has raised it. The others go on.
                if task.done() or not any(_has_raised(other, error) for other in left):
                    raise

    def _tidy_up(
        self, task: asyncio.Task[Any], left: set[asyncio.Task[Any]], working: set[Future[Any]]
    ) -> None:
        try:
            if not task.done():
                # It has stopped the loop, say. It must not go on in another's time.
                task.cancel()
                self._run_until_done(asyncio.gather(task, return_exceptions=True), left)
            unfinished = self._threads.unfinished - working
            if unfinished:
                futures = [asyncio.wrap_future(future, loop=self.loop) for future in unfinished]
                self._run_until_done(asyncio.gather(*futures, return_exceptions=True), left)
            for number in list(getattr(self.loop, "_signal_handlers", ())):
                self.loop.remove_signal_handler(number)
            for _ in range(_LAST_TURNS):
                self.loop.call_soon(self.loop.stop)
                self.loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            return  # a task that is left has raised it: the coroutine has its outcome
        except OSError:
            return  # it has closed the loop's descriptors, which is noticed the next time

    def abandon(self) -> None:
        """Never let go of it: that would close its descriptors.

        Their numbers may be other files' by now, or, in a forked child, a parent's loop has
        them too.
        """
        if not self.loop.is_closed():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.loop))

    def _end(self) -> None:
        """At the end of the worker: let tasks end that were left."""
        if not self.is_usable or self.loop.is_running():
            self.abandon()
            return
        asyncio.set_event_loop(self.loop)
        try:
            tasks = asyncio.all_tasks(self.loop)
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(_all_of(tasks))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()


async def _all_of(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def _has_raised(task: asyncio.Task[Any], error: BaseException) -> bool:
    return task.done() and not task.cancelled() and task.exception() is error


def _inode(descriptor: int) -> tuple[int, int] | None:
    try:
        status = _fstat(descriptor)
    except OSError:
        return None  # it is closed
    return status.st_dev, status.st_ino


class _Current:
    """What coroutines run in now."""

    loop: _Loop | None = None


_current = _Current()


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in this process's event loop, and return what it returns.

    Raises what the coroutine raises.
    """
    loop = _current.loop
    if loop is None or not loop.is_usable:
        if loop is not None:
            loop.abandon()
        try:
            loop = _current.loop = _Loop()
        except BaseException:
            coroutine.close()  # or it would warn that nobody has awaited it
            raise
    return loop.run(coroutine)
