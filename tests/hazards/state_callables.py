"""Callables that damage the state of their process. Workers import this."""

from __future__ import annotations

import builtins
import errno
import os
import pickle
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NoReturn

# Descriptors and streams


def close_every_descriptor(_: object) -> None:
    os.closerange(0, 4096)


def reopen_every_descriptor(_: object) -> None:
    os.closerange(0, 4096)
    for _number in range(1024):
        os.open(os.devnull, os.O_RDWR)


def _for_every_descriptor(act: Callable[[int], object]) -> None:
    for number in range(3, 4096):
        try:
            act(number)
        except OSError:
            continue  # closed, or a descriptor of another kind


def write_into_every_descriptor(_: object) -> None:
    _for_every_descriptor(
        lambda number: os.write(number, b"no frame, and longer than a header is" * 2)
    )


def read_every_descriptor(_: object) -> None:
    def read(number: int) -> None:
        os.set_blocking(number, False)
        os.read(number, 1 << 20)

    _for_every_descriptor(read)


def truncate_every_descriptor(_: object) -> None:
    _for_every_descriptor(lambda number: os.ftruncate(number, 0))


def make_every_descriptor_blocking(_: object) -> None:
    _for_every_descriptor(lambda number: os.set_blocking(number, True))


def use_every_descriptor(_: object) -> None:
    try:
        while True:
            os.open(os.devnull, os.O_RDONLY)
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise


def close_output(_: object) -> None:
    sys.stdout.close()
    sys.stderr.close()
    os.closerange(1, 3)


def flood_output(_: object) -> None:
    for stream in (sys.stdout, sys.stderr):
        for _i in range(200):
            stream.write("x" * 50_000 + "\n")


def break_output(_: object) -> None:
    stream: Any = SimpleNamespace(flush=lambda: sys.exit("no flush"), write=len, isatty=bool)
    sys.stdout = sys.stderr = stream


def print_to_unread_pipe(_: object) -> None:
    """Leave text in the buffer of a full pipe that is never read."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, bytes(1 << 16))
    except BlockingIOError:
        os.set_blocking(writing, True)
    sys.stdout = os.fdopen(writing, "w")
    sys.stdout.write("text")
    os.set_inheritable(reading, True)


# State of the interpreter


def clear_modules(_: object) -> None:
    sys.modules.clear()


def clear_path(_: object) -> None:
    sys.path.clear()


def _refuse(*_: object, **__: object) -> NoReturn:
    raise OSError("patched")


def patch_modules(_: object) -> None:
    """Patch the functions that wait and communicate, as some libraries do."""
    for module, names in (
        (os, ("read", "write", "getpid", "fork", "fstat", "close")),
        (pickle, ("dumps", "loads", "Pickler")),
        (time, ("monotonic", "monotonic_ns", "perf_counter", "sleep")),
        (threading, ("Thread", "Lock", "enumerate")),
    ):
        for name in names:
            setattr(module, name, _refuse)


def patch_builtins(_: object) -> None:
    builtins.open = builtins.print = _refuse


def lower_recursion_limit(_: object) -> None:
    for limit in range(1, 1000):
        try:
            sys.setrecursionlimit(limit)
        except RecursionError:
            continue  # we are deeper than that
        return


def change_folder(_: object) -> None:
    os.chdir("/")


def change_environment(_: object) -> None:
    os.environ["HAZARD"] = "done"
    del os.environ["PATH"]


def change_umask(_: object) -> None:
    os.umask(0o777)


def change_handlers(_: object) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def change_recursion_limit(_: object) -> None:
    sys.setrecursionlimit(4321)


def change_resource_limits(_: object) -> None:
    """Set limits that are lower, and not exceeded soon."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (7777, most))
    time.sleep(0.003)


def change_timers(_: object) -> None:
    signal.signal(signal.SIGPROF, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_PROF, 1000.0)
    time.sleep(0.003)


def remove_own_folder(_: object) -> None:
    import tempfile

    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)


# Signals


def leave_alarm(_: object) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.002)


def leave_alarm_that_raises(_: object) -> None:
    signal.signal(signal.SIGALRM, _refuse)
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)


def block_all_signals(_: object) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())


def interrupt_later(_: object) -> None:
    """Send SIGINT, as Ctrl-C does, while another callable runs in the worker."""
    pid = os.getpid()

    def interrupt() -> None:
        time.sleep(0.002)
        os.kill(pid, signal.SIGINT)

    threading.Thread(target=interrupt).start()
