"""What watches a run: the hooks that observers implement, and the table of those hooks.

Live events, events of outcomes, progress, forwarded logs, captured output and futures are all
observers. The engine knows only their hooks:

* A hook is called once per batch, not once per task.
* A hook that no observer implements is an empty tuple: the engine spends one truth test on it.
* Observers receive plain values, and `LaneInfo` in the place of a lane.
* Observers are called in the order in which they were given to `Hooks`.
* An observer catches what code of the user's raises, and keeps the first exception in its
  attribute `error`; the run raises it when all tasks are settled. What a signal handler raises
  is not caught.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from functools import cache
from typing import Any, Protocol

__all__ = ["HOOKS", "NO_HOOKS", "Hooks", "LaneInfo", "RunInfo"]


class LaneInfo(Protocol):
    """A lane, as far as observers know it."""

    @property
    def number(self) -> int:
        """The place in the pool, from 0 on."""
        ...

    @property
    def pid(self) -> int:
        """The process id of its worker."""
        ...


class RunInfo(Protocol):
    """A run, as far as observers know it."""

    max_lanes: int

    def total(self) -> int | None:
        """Return how many tasks there are in all; None if that is not known."""
        ...

    def name_of(self, task: int) -> str:
        """Return the name of the callable of a task that is not settled."""
        ...

    def id_of(self, task: int) -> int:
        """Return the number of the execution id of a task that is not settled."""
        ...

    def withdraw(self, task: int) -> bool:
        """Withdraw a task that has not started; return whether it was withdrawn."""
        ...

    def is_running(self, task: int) -> bool:
        """Return whether a worker is at work on a task."""
        ...

    def kill(self, task: int) -> bool:
        """Kill the worker that is at work on a task; return whether one was."""
        ...


# A call wrapper's pickle, and what a worker must have to load it.
CallWrapperPickle = tuple[bytes, Any]

HOOKS = (
    "run_started",
    "tasks_queued",
    "call_wrappers",
    "task_began",
    "tasks_ran",
    "task_died",
    "tasks_settled",
    "task_withdrawn",
    "run_cancelled",
    "results_released",
    "output_received",
    "log_received",
    "worker_ready",
    "worker_exited",
    "workers_looked_at",
    "manifest_at_release",
    "user_code",
    "sharing",
    "tick",
    "deliver",
    "run_ended",
)


@cache
def _implemented_by(kind: type) -> tuple[tuple[str, ...], bool]:
    """Return the hooks that a type of observers implements, and whether it wants texts."""
    hooks = tuple(hook for hook in HOOKS if hasattr(kind, hook))
    return hooks, getattr(kind, "wants_texts", False)


class Hooks:
    """For each hook, the methods of the observers that implement it.

    Attributes:
        pending: What observers have that waits for code of the user's to be called. If it is
            not empty, the run calls `deliver` at the next moment where that code may run.
        wants_texts: Whether an observer needs the texts of returned values.
    """

    # The run begins. (run)
    run_started: tuple[Callable[[RunInfo], None], ...]
    # These tasks are known to the run, of so many in all, if that is known. (tasks, total)
    tasks_queued: tuple[Callable[[range, int | None], None], ...]
    # Returns what calls are wrapped in; called once, before the first batch is sent. ()
    call_wrappers: tuple[Callable[[], Sequence[CallWrapperPickle]], ...]
    # This task runs there, since that time; may be called again for it. (lane, task, since_ns)
    task_began: tuple[Callable[[LaneInfo, int, int], None], ...]
    # These tasks ran there. (lane, tasks, began_ns, ran_ns)
    tasks_ran: tuple[Callable[[LaneInfo, Sequence[int], list[int], list[int]], None], ...]
    # The worker of this task died at that time. (task, at_ns)
    task_died: tuple[Callable[[int, int], None], ...]
    # Results exist for these tasks, in any order; with names, and the texts of those returned
    # values that have one, by task. (tasks, names, results, texts)
    tasks_settled: tuple[
        Callable[[Sequence[int], Sequence[str], Sequence[Any], Mapping[int, str]], None], ...
    ]
    # This task will have no result. (task)
    task_withdrawn: tuple[Callable[[int], None], ...]
    # Tasks without a result are cancelled, for this reason. (reason)
    run_cancelled: tuple[Callable[[str], None], ...]
    # The turn of these results has come. Code of the user's may be called. (tasks, results)
    results_released: tuple[Callable[[Sequence[int], list[Any]], None], ...]
    # The callable, which is not settled, has printed this to stdout and stderr. (task, output)
    output_received: tuple[Callable[[int, tuple[bytes, bytes]], None], ...]
    # A callable, or what it left running, has logged this. (task or None, kind, content)
    log_received: tuple[Callable[[int | None, int, bytes], None], ...]
    # A worker that was started for this run is ready. (lane)
    worker_ready: tuple[Callable[[LaneInfo], None], ...]
    # A worker exited during the run. (lane number, pid, reason)
    worker_exited: tuple[Callable[[int, int, str], None], ...]
    # Called every `LOOK_SECONDS` with the lanes that work. (lanes)
    workers_looked_at: tuple[Callable[[Iterable[LaneInfo]], None], ...]
    # Returns what a lane must have before another run leases it. ()
    manifest_at_release: tuple[Callable[[], tuple[Any, ...]], ...]
    # User code is about to run (True), or has returned (False). (running)
    user_code: tuple[Callable[[bool], None], ...]
    # Other threads may use the run from now on (True), while it waits or user code runs,
    # or not any more (False). (shares)
    sharing: tuple[Callable[[bool], None], ...]
    # Called once per round; returns after how many seconds it wants to be called again. ()
    tick: tuple[Callable[[], float], ...]
    # Pass what is pending to the user's code. ()
    deliver: tuple[Callable[[], None], ...]
    # The run is over, however it ended. ()
    run_ended: tuple[Callable[[], None], ...]

    def __init__(self, observers: Iterable[Any] = (), pending: Sized = ()) -> None:
        self._observers = tuple(observers)
        self.pending = pending
        self.wants_texts = False
        # For the row "1 no-op": an observer sets only what it implements, and without `setattr`.
        table = self.__dict__
        for observer in self._observers:
            hooks, wants_texts = _implemented_by(observer.__class__)
            for hook in hooks:
                table[hook] = (*table.get(hook, ()), getattr(observer, hook))
            self.wants_texts |= wants_texts

    @property
    def error(self) -> BaseException | None:
        """What the first of the observers that kept an exception has kept."""
        for observer in self._observers:
            error: BaseException | None = getattr(observer, "error", None)
            if error is not None:
                return error
        return None


# What no observer implements.
for _hook in HOOKS:
    setattr(Hooks, _hook, ())

# Of runs that nothing watches.
NO_HOOKS = Hooks()
