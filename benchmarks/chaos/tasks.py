"""The tasks of chaos runs, which log their starts. Workers import this: standard library only.

A log entry is one write to a file opened for appending: the entry is complete whatever
happens to the worker, and it is in the file before any answer is sent.
"""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from struct import Struct
from typing import Any

from benchmarks.chaos.values import VALUES, check_and_change, returned_value

__all__ = [
    "CRASHES",
    "REPEATED",
    "StartLog",
    "Task",
    "start_ticks",
    "run_task",
    "closure",
    "identity",
    "worker_after",
]

# A log entry: the number of the plan and of the task in it, the number of the nested task
# or 0, and the worker that has started it (see `identity`).
LOG_ENTRY = Struct("<IIIxxxxQ")

# The index of a task that its plan repeats many times.
REPEATED = 0xFFFF_FFFF

# The error code of each kind of crash.
CRASHES = {"segfault": "SIGSEGV", "abort": "SIGABRT", "leave": "exit_7", "die": "SIGKILL"}

# For how many seconds tasks wait to be killed.
_PATIENCE_S = 60.0
_HOARD_BYTES = 300 << 20


def identity(pid: int) -> int:
    """Return a unique number for a process. Raises `OSError` if the process is gone."""
    with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
        status = file.read()
    # The 22nd field is the start time; the name may contain spaces and parentheses.
    start = int(status[status.rindex(b")") + 2 :].split()[19])
    return start << 22 | pid


def start_ticks(identity: int) -> int:
    """Return when a process started, in ticks since the machine was booted."""
    return identity >> 22


class _Self:
    """The identity of this process, and its open logs."""

    def __init__(self) -> None:
        self._pid = 0
        self._identity = 0
        self._logs: dict[str, int] = {}

    def identity(self) -> int:
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._identity = identity(self._pid)
        return self._identity

    def log(self, path: str) -> int:
        if path not in self._logs:
            self._logs[path] = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        return self._logs[path]


_self = _Self()


class Task:
    """A callable of a kind, with an index in its plan; `amount` is its time or size."""

    def __init__(
        self, kind: str, plan: int, index: int, amount: int, log: str, nested: int = 0
    ) -> None:
        self.kind = kind
        self.plan = plan
        self.index = index
        self.amount = amount
        self.log = log
        self.nested = nested

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.index}"

    @property
    def number(self) -> int:
        """A number that is unique among all plans; the lower 32 bits are the index."""
        return self.plan << 32 | self.index

    @property
    def mark(self) -> str:
        """The text of this task's exceptions."""
        return f"raised by {self.number}"

    def __reduce__(self) -> tuple[Any, ...]:
        if self.kind == "unpicklable":
            raise TypeError(self.mark)
        if self.kind == "unloadable":
            return _refuse, (self.mark,)
        return Task, (self.kind, self.plan, self.index, self.amount, self.log, self.nested)

    def run(self, input: Any) -> Any:
        entry = LOG_ENTRY.pack(self.plan, self.index, self.nested, _self.identity())
        os.write(_self.log(self.log), entry)
        check_and_change(input)
        return _ACTS[self.kind](self)


def run_task(task: Task) -> Any:
    """Run a task that is the input of this function."""
    return task.run(None)


def closure(kind: str, plan: int, index: int, amount: int, log: str) -> Callable[[Any], Any]:
    """Return a closure over numbers and texts that runs a task."""

    def enclosed(input: Any) -> Any:
        return Task(kind, plan, index, amount, log).run(input)

    return enclosed


class StartLog:
    """The file in which workers log the tasks that they start; read by the parent."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self.path = str(path)
        # Kept open: there may be no free descriptor later.
        self._file = os.open(path, os.O_RDONLY)
        self._at = 0

    def new_entries(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield the new entries: numbers of plan, task and nested task, and the worker."""
        pieces = []
        while piece := os.pread(self._file, 1 << 20, self._at):
            self._at += len(piece)
            pieces.append(piece)
        yield from LOG_ENTRY.iter_unpack(b"".join(pieces))

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def worker_after(seconds: float) -> int:
    """Sleep, and return the identity of the worker."""
    time.sleep(seconds)
    return _self.identity()


def _refuse(mark: str) -> None:
    raise LookupError(mark)


class _Unpicklable:
    def __init__(self, mark: str) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(self._mark)


# The kinds of tasks


def _noop(task: Task) -> int:
    return task.number


def _sleep(task: Task) -> int:
    time.sleep(task.amount / 1e3)
    return task.number


def _busy(task: Task) -> int:
    until = time.perf_counter() + task.amount / 1e3
    while time.perf_counter() < until:
        pass
    return task.number


def _raise(task: Task) -> None:
    raise ValueError(task.mark)


def _exit(task: Task) -> None:
    raise SystemExit(task.mark)


def _segfault(_: Task) -> None:
    ctypes.string_at(0)


def _abort(_: Task) -> None:
    os.abort()


def _leave(_: Task) -> None:
    os._exit(7)


def _die(_: Task) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(_PATIENCE_S)


def _return_unpicklable(task: Task) -> _Unpicklable:
    return _Unpicklable(task.mark)


def _return_value(task: Task) -> Any:
    return returned_value(task.kind, task.plan, task.index, task.amount)


def _hoard(_: Task) -> str:
    hoard = bytearray(b"x") * _HOARD_BYTES
    time.sleep(_PATIENCE_S)
    return f"allocated {len(hoard)} bytes, and was not killed"


def _endless(_: Task) -> str:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        time.sleep(0.001)
    return "was not killed"


def _fork(task: Task) -> int:
    """Fork a child that returns from the task as well."""
    if pid := os.fork():
        os.waitpid(pid, 0)
    return task.number


def _change_state(task: Task) -> int:
    """Change the process state of the worker."""
    assert os.getcwd() != "/", "another task has changed the folder"
    assert "ENACT_POOL_CHANGED" not in os.environ, "another task has changed the environment"
    os.chdir("/")
    os.environ["ENACT_POOL_CHANGED"] = "yes"
    return task.number


def _nest(task: Task) -> list[Any]:
    """Run tasks in a nested pool; one of them crashes."""
    from enact_pool import run_parallel

    kinds = ("noop", "raise", "segfault", "noop")[: task.amount]
    tasks = [
        Task(kind, task.plan, task.index, 0, task.log, nested)
        for nested, kind in enumerate(kinds, start=1)
    ]
    return [
        result.error.code if result.error else getattr(result.output, "value", "Err")
        for result in run_parallel(tasks, None)
    ]


_ACTS: dict[str, Callable[[Task], Any]] = {
    "noop": _noop,
    "sleep": _sleep,
    "busy": _busy,
    "raise": _raise,
    "exit": _exit,
    "segfault": _segfault,
    "abort": _abort,
    "leave": _leave,
    "die": _die,
    "return_unpicklable": _return_unpicklable,
    "hoard": _hoard,
    "endless": _endless,
    "fork": _fork,
    "change_state": _change_state,
    "nest": _nest,
    **dict.fromkeys(VALUES, _return_value),
}
