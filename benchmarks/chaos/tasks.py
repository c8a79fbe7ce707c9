"""What runs in the workers: callables that do what they are told, and note that they were started.

A note is one write to a file that is opened to be appended to: it is there whole,
whatever becomes of the worker, and before any answer is. Standard library only,
for the workers import this.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import time
import zlib
from collections.abc import Callable
from struct import Struct
from typing import Any

__all__ = [
    "CRASHES",
    "NOTE",
    "REPEATED",
    "VALUES",
    "Blob",
    "Task",
    "start_ticks",
    "run_task",
    "closure",
    "input_value",
    "identity",
    "returned_value",
    "worker_after",
]

# A note: the numbers of the plan and of the task in it, 0 or the number of the nested
# task, and who has started it (see `identity`).
NOTE = Struct("<IIIxxxxQ")

# The number of a task that is in its plan many times.
REPEATED = 0xFFFF_FFFF

# What becomes of a worker that does this: the code of its result's error.
CRASHES = {"segfault": "SIGSEGV", "abort": "SIGABRT", "leave": "exit_7", "die": "SIGKILL"}

# The kinds of tasks that return a value of their `amount` of bytes.
VALUES = ("bytes", "bytearray", "blob", "texts")

# For how long what is to be killed waits for it.
_PATIENCE_S = 60.0
_HOARD_BYTES = 300 << 20


def identity(pid: int) -> int:
    """A number for a process that no other one has; raises `OSError` if it is gone."""
    with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
        status = file.read()
    # Behind the name, which may have spaces and parentheses: the 22nd is when it began.
    began = int(status[status.rindex(b")") + 2 :].split()[19])
    return began << 22 | pid


def start_ticks(identity: int) -> int:
    """When a process began, in ticks since the machine was started."""
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


class Blob:
    """Bytes that can be written to, and that a pickle leaves out of band, as NumPy's arrays are."""

    def __init__(self, memory: Any) -> None:
        self.memory = memoryview(memory)

    def __reduce_ex__(self, _protocol: Any) -> tuple[Any, ...]:
        return Blob, (pickle.PickleBuffer(self.memory),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blob) and self.memory == other.memory

    def __hash__(self) -> int:
        return hash(len(self.memory))


def returned_value(kind: str, plan: int, index: int, amount: int) -> Any:
    """What a task of one of the kinds `VALUES` returns."""
    filling = Struct("<II").pack(plan, index) * (amount // 8)
    if kind == "bytes":
        return filling
    if kind == "bytearray":
        return bytearray(filling)
    if kind == "blob":
        return Blob(bytearray(filling))
    return [f"{plan} {index} {number}" for number in range(amount // 64)]


def input_value(kind: str, amount: int) -> Any:
    """An input for all tasks of a plan: "nothing", "list", "bytes" or "blob"."""
    if kind == "nothing":
        return None
    if kind == "list":
        return [1, 2]
    filling = b"given to" * (amount // 8)
    return filling if kind == "bytes" else Blob(bytearray(filling))


def _check_and_spoil(given: Any) -> None:
    """Raise `AssertionError` if somebody else has had this input; write to it, if that is possible.

    What a plan gives is one of `input_value`, or a task, for itself.
    """
    if isinstance(given, list):
        assert given == [1, 2], f"this input was another's: {given}"
        given.append(3)
    elif isinstance(given, (bytes, Blob)):
        memory = given if isinstance(given, bytes) else given.memory
        expected = b"given to" * (len(memory) // 8)
        assert zlib.crc32(memory) == zlib.crc32(expected), "this input was another's"
        if isinstance(given, Blob):
            spoilt = given.memory[: 1 << 13]
            spoilt[:] = bytes(len(spoilt))


class Task:
    """A callable of some kind, the `index`th of a plan; `amount` says how much it does."""

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
        """Of all tasks; the lower 32 bits are the index."""
        return self.plan << 32 | self.index

    @property
    def mark(self) -> str:
        """What the exceptions of this task say."""
        return f"told by {self.number}"

    def __reduce__(self) -> tuple[Any, ...]:
        if self.kind == "unpicklable":
            raise TypeError(self.mark)
        if self.kind == "unloadable":
            return _refuse, (self.mark,)
        return Task, (self.kind, self.plan, self.index, self.amount, self.log, self.nested)

    def run(self, given: Any) -> Any:
        note = NOTE.pack(self.plan, self.index, self.nested, _self.identity())
        os.write(_self.log(self.log), note)
        _check_and_spoil(given)
        return _ACTS[self.kind](self)


def run_task(task: Task) -> Any:
    """A function for tasks that are inputs."""
    return task.run(None)


def closure(kind: str, plan: int, index: int, amount: int, log: str) -> Callable[[Any], Any]:
    """A task as a function that has captured no more than numbers and texts."""

    def enclosed(given: Any) -> Any:
        return Task(kind, plan, index, amount, log).run(given)

    return enclosed


def worker_after(seconds: float) -> int:
    """Sleep; gives the identity of the worker that did."""
    time.sleep(seconds)
    return _self.identity()


def _refuse(mark: str) -> None:
    raise LookupError(mark)


class _Unpicklable:
    def __init__(self, mark: str) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError(self._mark)


# What tasks do, by their kind


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
    return f"had {len(hoard)} bytes, and was not killed"


def _endless(_: Task) -> str:
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        time.sleep(0.001)
    return "was not killed"


def _fork(task: Task) -> int:
    """Let a child return from here."""
    if pid := os.fork():
        os.waitpid(pid, 0)
    return task.number


def _change_state(task: Task) -> int:
    """Leave the worker in another state than it was."""
    assert os.getcwd() != "/", "another has changed the folder"
    assert "ENACT_POOL_WANDERED" not in os.environ, "another has changed the environment"
    os.chdir("/")
    os.environ["ENACT_POOL_WANDERED"] = "yes"
    return task.number


def _nest(task: Task) -> list[Any]:
    """Run callables in workers of this worker, one of which crashes."""
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
