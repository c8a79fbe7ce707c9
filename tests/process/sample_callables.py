"""Callables for the tests with real processes. Workers import this: standard library only."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
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


def overflow_c_stack(_: object) -> None:
    # glibc compiles nested groups recursively, as deep as they are.
    compiled, extended = ctypes.create_string_buffer(1024), 1
    ctypes.CDLL(None).regcomp(compiled, b"(" * 10_000_000, extended)
    raise AssertionError("the stack was deep enough")


def abort_at_memory_limit(_: object) -> None:
    """What native code does that does not handle a failed allocation."""
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
    try:
        hoard = [bytearray(1 << 26) for _ in range(64)]
    except MemoryError:
        os.abort()
    raise AssertionError(f"{len(hoard)} blocks fitted")


class AllocateInGroup:
    """Moves its worker into a control group, and allocates until the kernel kills it."""

    name = "allocate"

    def __init__(self, group: str) -> None:
        self.group = group

    def run(self, _: object) -> None:
        append(os.path.join(self.group, "cgroup.procs"), os.getpid())
        hoard = [b"x" * (1 << 24) for _ in range(64)]
        raise AssertionError(f"{len(hoard)} blocks fitted")


def close_every_descriptor(_: object) -> None:
    os.closerange(0, 4096)


class ReopenDescriptors:
    """Close all descriptors, and open a file under the numbers that others had."""

    def __init__(self, path: str) -> None:
        self.path = path

    def run(self, _: object) -> None:
        os.closerange(0, 4096)
        for _number in range(64):
            os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND)


def write_into_every_descriptor(_: object) -> None:
    for number in range(3, 4096):
        try:
            os.write(number, b"no frame at all, but some more bytes than a header has")
        except OSError:
            continue


def read_every_descriptor(_: object) -> None:
    for number in range(3, 4096):
        try:
            os.set_blocking(number, False)
            os.read(number, 1 << 20)
        except OSError:
            continue


def read_three_bytes_of_every_descriptor(_: object) -> None:
    for number in range(3, 4096):
        try:
            if not os.get_blocking(number):
                os.read(number, 3)
        except OSError:
            continue


def make_every_descriptor_blocking(_: object) -> None:
    for number in range(3, 4096):
        try:
            os.set_blocking(number, True)
        except OSError:
            continue


def truncate_every_descriptor(_: object) -> None:
    for number in range(3, 4096):
        try:
            os.ftruncate(number, 0)
        except OSError:
            continue


def fork_a_child_that_crashes(_: object) -> None:
    child = os.fork()
    if child == 0:
        segfault(_)
    os.waitpid(child, 0)


def limit_memory(size: int) -> None:
    """An initializer for workers that may have so many bytes of address space."""
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def clear_modules(_: object) -> None:
    sys.modules.clear()


def square(x: int) -> int:
    return x * x


def fail(_: object) -> None:
    raise ValueError("no good")


class WaitFor:
    """Waits till a file is there."""

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
    """A callable that is busy until the file is there."""

    def busy(_: object) -> str:
        while not os.path.exists(path):
            time.sleep(0.001)
        return "done"

    return busy


def start_if_allowed(log: str, gate: str) -> None:
    """An initializer that waits to be killed, or for the gate to open."""
    append(log, os.getpid())
    while not os.path.exists(gate):
        time.sleep(0.001)


def die_twice(log: str) -> None:
    """An initializer that kills the first two workers."""
    append(log, os.getpid())
    if len(Path(log).read_text().split()) < 3:
        os.kill(os.getpid(), signal.SIGKILL)


def wait_unless_first(first: str, gate: str) -> None:
    """An initializer that waits, in all workers but one, for the gate to open."""
    try:
        os.mkdir(first)
    except FileExistsError:
        while not os.path.exists(gate):
            time.sleep(0.001)


def start_only_if(gate: str) -> None:
    """An initializer that succeeds only if the gate is open."""
    if not os.path.exists(gate):
        raise RuntimeError("the gate is shut")


def fail_to_start() -> None:
    """An initializer that never succeeds."""
    raise RuntimeError("no licence for this worker")


def append(path: str | Path, text: object) -> None:
    """Add a line to a file, in one write: lines of several processes do not mix."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{text}\n".encode())
    finally:
        os.close(descriptor)


def append_pid(path: str | Path) -> None:
    append(path, os.getpid())


class Unloadable:
    """Pickles, but raises when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _refuse, ("will not be rebuilt",)

    def __call__(self, _: object) -> None:
        raise AssertionError("cannot get here")


def _refuse(text: str) -> None:
    raise LookupError(text)


class CrashesWhenLoaded(Unloadable):
    """Pickles, but takes the process down when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (9,)


class Unpicklable:
    """Cannot be pickled."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __call__(self, _: object) -> None:
        raise AssertionError("cannot get here")


class LoadsElsewhere:
    """Comes back as a value that raises in any process but the one that pickled it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _refuse_elsewhere, (os.getpid(),)


def _refuse_elsewhere(pid: int) -> None:
    if os.getpid() != pid:
        raise LookupError("will not be rebuilt elsewhere")


class Unshowable:
    """A value that refuses every text of it."""

    def __str__(self) -> str:
        raise SystemExit

    __repr__ = __str__


class Squares:
    def __call__(self, x: int) -> int:
        return x * x


class Deed:
    """A callable of a given kind that notes its start in a file."""

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
        assert input == [1, 2], f"this input was another's: {input}"
        input.append(self.index)
        return getattr(self, f"do_{self.kind}")()

    def do_return(self) -> int:
        return self.index

    def do_raise(self) -> None:
        raise ValueError(f"told by {self.index}")

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


class _Unhashable(type):
    __hash__ = None  # type: ignore[assignment]


class OfUnhashableType(metaclass=_Unhashable):
    """Neither it nor what it returns is of a type that can be a key."""

    name = "unhashable"

    def run(self, _: object) -> MakesUnhashable:
        return MakesUnhashable()


class MakesUnhashable:
    def __reduce__(self) -> tuple[Any, ...]:
        return make_unhashable, ()


def make_unhashable() -> OfUnhashableType:
    return OfUnhashableType()


def return_unhashable(_: object) -> MakesUnhashable:
    return MakesUnhashable()


# Of the wrappers that the callable which runs is called by.
_places: list[str] = []


class Place:
    """A call wrapper that lets `placed` know where it is."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def __call__(self, index: int, call: Callable[[], T]) -> T:
        _places.append(f"{self.prefix}{index}")
        try:
            return call()
        finally:
            _places.pop()


def placed(_: object) -> str:
    return " ".join(_places)


async def placed_later(_: object) -> str:
    return placed(_)


class ComesNotBack(Exception):
    """Cannot be pickled."""

    def __reduce__(self) -> Any:
        raise TypeError("no way")


def raise_unpicklable() -> None:
    raise ComesNotBack("it cannot come back")
