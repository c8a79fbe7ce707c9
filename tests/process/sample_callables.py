"""Callables for the tests with real processes. Workers import this: standard library only."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def segfault(_: object) -> None:
    ctypes.string_at(0)


def kill(_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def terminate(_: object) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


def abort(_: object) -> None:
    os.abort()


def exit_0(_: object) -> None:
    os._exit(0)


def exit_7(_: object) -> None:
    os._exit(7)


class AllocateInGroup:
    """Moves its worker into a control group, and allocates until the kernel kills it."""

    name = "allocate"

    def __init__(self, group: str) -> None:
        self.group = group

    def run(self, _: object) -> None:
        append(os.path.join(self.group, "cgroup.procs"), os.getpid())
        hoard = [b"x" * (1 << 24) for _ in range(64)]
        raise AssertionError(f"{len(hoard)} blocks fitted")


class ReopenDescriptors:
    """Closes all descriptors, and opens a file under their numbers."""

    def __init__(self, path: str) -> None:
        self.path = path

    def run(self, _: object) -> None:
        os.closerange(0, 4096)
        for _number in range(64):
            os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)


def read_three_bytes_of_every_descriptor(_: object) -> None:
    for number in range(3, 4096):
        try:
            if not os.get_blocking(number):
                os.read(number, 3)
        except OSError:
            continue


def square(x: int) -> int:
    return x * x


def fail(_: object) -> None:
    raise ValueError("no good")


class WaitFor:
    """Waits until a file exists."""

    name = "wait"

    def __init__(self, path: str) -> None:
        self.path = path

    def run(self, _: object) -> None:
        while not os.path.exists(self.path):
            time.sleep(0.001)


def sleep_5_ms(x: object) -> object:
    time.sleep(0.005)
    return x


def busy_until(path: str) -> Callable[[object], str]:
    """Return a callable that is busy until the file exists."""

    def busy(_: object) -> str:
        while not os.path.exists(path):
            time.sleep(0.001)
        return "done"

    return busy


def append(path: str | Path, text: object) -> None:
    """Append a line to a file in one write: lines of several processes do not mix."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{text}\n".encode())
    finally:
        os.close(descriptor)


def logged(index: int, log: str | Path, then: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a callable that logs its start before it calls `then`."""

    def callable_(x: Any) -> Any:
        append(log, index)
        return then(x)

    callable_.__name__ = then.__name__
    return callable_


def append_pid(path: str | Path) -> None:
    append(path, os.getpid())


class Squares:
    def __call__(self, x: int) -> int:
        return x * x


class LoggedCallable:
    """A callable of a given kind that logs its start in a file."""

    def __init__(self, kind: str, index: int, log: str) -> None:
        self.kind = kind
        self.index = index
        self.log = log
        if kind == "unpicklable":
            self.lock = threading.Lock()

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.index}"

    def run(self, input: list[int]) -> Any:
        append(self.log, self.index)
        assert input == [1, 2], f"another callable has changed this input: {input}"
        input.append(self.index)
        return getattr(self, f"do_{self.kind}")()

    def do_return(self) -> int:
        return self.index

    def do_raise(self) -> None:
        raise ValueError(f"raised by {self.index}")

    def do_return_unpicklable(self) -> object:
        return threading.Lock()

    def do_crash(self) -> None:
        ctypes.string_at(0)

    def do_exit(self) -> None:
        os._exit(self.index % 4)

    def do_sleep(self) -> int:
        time.sleep(0.003)
        return self.index

    def do_fork(self) -> int:
        if pid := os.fork():
            os.waitpid(pid, 0)
        return self.index


# The wrappers around the running callable, the outermost first.
_active: list[str] = []


class RecordingWrapper:
    """A call wrapper that `active_wrappers` can see."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def __call__(self, index: int, call: Callable[[], T]) -> T:
        _active.append(f"{self.prefix}{index}")
        try:
            return call()
        finally:
            _active.pop()


def active_wrappers(_: object) -> str:
    return " ".join(_active)


async def active_wrappers_later(_: object) -> str:
    return active_wrappers(_)


def spin_for_ever(_: object) -> None:
    while True:
        pass


class StartsProcess:
    """Starts a long-running program, in its worker's session or in a new one."""

    def __init__(self, own_session: bool) -> None:
        self.own_session = own_session

    def run(self, _: object) -> int:
        return subprocess.Popen(["sleep", "300"], start_new_session=self.own_session).pid
