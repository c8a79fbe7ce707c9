"""The event loop of a worker, in which all coroutines that callables return run.

A client (of a database, say) belongs to the loop in which it was opened. If each coroutine
ran in its own loop, as in `asyncio.run`, a client that a module keeps would fail in every
callable but the first.

When a coroutine ends,

* its asyncio tasks stay, and go on while later coroutines of this worker run: a client may
  need them. asyncio logs their exceptions, which do not end other callables. They can
  neither stop the loop while another callable's coroutine runs, nor find that callable's
  tasks in `asyncio.all_tasks()`, say to cancel them;
* its calls in the loop's threads (`asyncio.to_thread`) are waited for;
* its signal handlers in the loop are removed.

Workers import this for their first coroutine: asyncio takes long to import.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import itertools
import os
import weakref
from collections.abc import Coroutine
from concurrent.futures import Future
from concurrent.futures.thread import ThreadPoolExecutor
from contextvars import ContextVar
from functools import wraps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["run"]

# Transports and generators that a coroutine closes are finished some turns of the loop later.
_LAST_TURNS = 3

# The number of the callable whose coroutine, task or callback runs. asyncio runs each task and
# each callback in the context in which it was made.
_owner: ContextVar[int] = ContextVar("enact_pool callable", default=0)
_owners = itertools.count(1)
_owner_of: weakref.WeakKeyDictionary[asyncio.Task[Any], int] = weakref.WeakKeyDictionary()

# Bound here: a callable may patch the module it comes from.
_all_tasks = asyncio.all_tasks
_getpid, _fstat = os.getpid, os.fstat


class _Threads(ThreadPoolExecutor):
    """The loop's threads, which stay for the next coroutine: their names mark them as ours."""

    def __init__(self) -> None:
        super().__init__(thread_name_prefix="enact_pool-asyncio")
        # Any thread may change it: each change is atomic.
        self.unfinished: set[Future[Any]] = set()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        self.unfinished.add(future)
        # It is called at once if the future is done by now.
        future.add_done_callback(self.unfinished.discard)
        return future


class _Loop:
    """An event loop of this process, which knows whether it can still be used."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._pid = _getpid()
        self._threads = _Threads()
        self.loop.set_default_executor(self._threads)
        self.loop.set_task_factory(_owned_task)  # type: ignore[arg-type]
        self._stop = self.loop.stop
        self.loop.stop = self._stop_unless_left  # type: ignore[method-assign]
        # The callable whose coroutine runs; 0 for none.
        self._running = 0
        # Its descriptors, if it is a loop of asyncio (other kinds have other attributes).
        files = (getattr(self.loop, name, None) for name in ("_csock", "_ssock", "_selector"))
        self._files = {file.fileno(): _inode(file.fileno()) for file in files if file is not None}
        atexit.register(self._end)

    @property
    def is_usable(self) -> bool:
        """Whether it belongs to this process, and no callable has closed it or its descriptors."""
        return (
            self._pid == _getpid()
            and not self.loop.is_closed()
            and all(_inode(number) == inode for number, inode in self._files.items())
        )

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Return what the coroutine returns. Raises what it raises."""
        asyncio.set_event_loop(self.loop)
        self._running = next(_owners)
        token = _owner.set(self._running)
        try:
            return self._run(coroutine)
        finally:
            _owner.reset(token)
            self._running = 0

    def _stop_unless_left(self) -> None:
        """Stop the loop, unless a task or callback that an earlier callable has left asks for it.

        What a thread asks for has no owner.
        """
        if _owner.get() in (0, self._running):
            self._stop()

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        # Exclude what earlier coroutines have left.
        left, working = _all_tasks(self.loop), self._threads.unfinished.copy()
        task = self.loop.create_task(coroutine)
        try:
            return self._run_until_done(task, left)
        finally:
            if self.is_usable:
                self._tidy_up(task, working)

    def _run_until_done(self, task: asyncio.Task[Any], left: set[asyncio.Task[Any]]) -> Any:
        while True:
            try:
                return self.loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt) as error:
                # Any task may have raised it. Go on if a left task has.
                if not any(_has_raised(other, error) for other in left):
                    raise

    def _tidy_up(self, task: asyncio.Task[Any], working: set[Future[Any]]) -> None:
        try:
            if not task.done():
                # The coroutine has stopped the loop, say: it must not go on in another's time.
                task.cancel()
                self._finish([task])
            unfinished = self._threads.unfinished - working
            self._finish([asyncio.wrap_future(future, loop=self.loop) for future in unfinished])
            for number in list(getattr(self.loop, "_signal_handlers", ())):
                self.loop.remove_signal_handler(number)
            for _ in range(_LAST_TURNS):
                self._take_turn()
        except OSError:
            return  # the coroutine has closed the loop's descriptors: the next run notices it

    def _finish(self, futures: list[asyncio.Future[Any]]) -> None:
        """Run until all of these are done."""
        finished = asyncio.gather(*futures, return_exceptions=True) if futures else None
        while finished is not None:
            try:
                self.loop.run_until_complete(finished)
            except (SystemExit, KeyboardInterrupt):
                continue  # see `_take_turn`
            return

    def _take_turn(self) -> None:
        """Run everything once that is due."""
        stop = self.loop.call_soon(self.loop.stop)
        try:
            self.loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            pass  # a task that is left has raised it: the coroutine has its outcome
        finally:
            # If it was not reached, it would stop the loop while the next coroutine runs.
            stop.cancel()

    def abandon(self) -> None:
        """Keep the loop alive for ever: as garbage it would close its descriptors.

        Their numbers may belong to other files by now, or, in a forked child, also to the
        parent's loop.
        """
        if not self.loop.is_closed():
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.loop))

    def _end(self) -> None:
        """Cancel the tasks that are left, as the worker exits."""
        if not self.is_usable or self.loop.is_running():
            self.abandon()
            return
        asyncio.set_event_loop(self.loop)
        try:
            tasks = _all_tasks(self.loop)
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(_all_of(tasks))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()


def _owned_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    """Make a task, and note which callable's it is."""
    task = asyncio.Task(coroutine, loop=loop, **options)
    context = options.get("context")
    _owner_of[task] = _owner.get() if context is None else context.get(_owner, 0)
    return task


@wraps(_all_tasks)
def _tasks_of_one(loop: asyncio.AbstractEventLoop | None = None) -> set[asyncio.Task[Any]]:
    """Return the unfinished tasks of the callable that asks; all of them, if it is none."""
    tasks, owner = _all_tasks(loop), _owner.get()
    return {task for task in tasks if not owner or _owner_of.get(task, owner) == owner}


asyncio.all_tasks = asyncio.tasks.all_tasks = _tasks_of_one


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
    """The loop in which coroutines run now; None before the first one."""

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
            coroutine.close()  # prevents the warning that it was never awaited
            raise
    return loop.run(coroutine)
