"""Callables that end or block their process. Workers import this: standard library only.

Modules that are slow to import are imported inside the functions that need them: no worker can do
anything before this module is imported.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import resource
import signal
import threading
import time
from typing import Any, NoReturn

FOR_EVER = 1 << 30

# Deaths


def _without_core_file() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))


def segfault(_: object) -> None:
    _without_core_file()
    ctypes.string_at(0)


def segfault_without_a_stack(_: object) -> None:
    import faulthandler

    faulthandler.disable()
    segfault(_)


def bus_error(_: object) -> None:
    import tempfile

    _without_core_file()
    with tempfile.TemporaryFile() as file:
        file.truncate(mmap.PAGESIZE)
        with mmap.mmap(file.fileno(), mmap.PAGESIZE) as mapped:
            file.truncate(0)
            mapped[0] = 1


def abort(_: object) -> None:
    _without_core_file()
    os.abort()


def fatal_error(_: object) -> None:
    _without_core_file()
    ctypes.pythonapi.Py_FatalError(b"a hazard")


def _die_of(number: int) -> NoReturn:
    _without_core_file()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    raise AssertionError("survived the signal")


def floating_point_error(_: object) -> None:
    _die_of(signal.SIGFPE)


def illegal_instruction(_: object) -> None:
    _die_of(signal.SIGILL)


def terminate(_: object) -> None:
    _die_of(signal.SIGTERM)


def broken_pipe(_: object) -> None:
    _die_of(signal.SIGPIPE)


def kill(_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_own_group(_: object) -> None:
    os.kill(0, signal.SIGKILL)
    time.sleep(FOR_EVER)


def terminate_own_group(_: object) -> None:
    os.killpg(0, signal.SIGTERM)
    time.sleep(FOR_EVER)


def exceed_cpu_limit(_: object) -> None:
    _without_core_file()
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    # In whole seconds, and all that the process has spent so far counts.
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 1, most))
    while True:
        pass


def exit_0(_: object) -> None:
    os._exit(0)


def exit_7(_: object) -> None:
    os._exit(7)


def exit_from_c(_: object) -> None:
    ctypes.CDLL(None).exit(3)


def become_another_program(_: object) -> None:
    os.execvp("true", ["true"])


def end_main_thread(_: object) -> None:
    """End the process, which ends with its last thread."""
    ctypes.CDLL(None).pthread_exit(None)


def overflow_c_stack(_: object) -> None:
    _without_core_file()
    # glibc compiles nested groups recursively, as deep as they are.
    compiled, extended = ctypes.create_string_buffer(1024), 1
    ctypes.CDLL(None).regcomp(compiled, b"(" * 10_000_000, extended)


def exceed_address_space(_: object) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, most))
    hoard = [bytes(1 << 26) for _i in range(64)]
    raise AssertionError(f"{len(hoard)} blocks fitted")


def abort_at_memory_limit(_: object) -> None:
    """Do what native code does that does not handle a failed allocation."""
    _without_core_file()
    try:
        exceed_address_space(_)
    except MemoryError:
        os.abort()


class DiesWhenFreed:
    def __reduce__(self) -> tuple[Any, ...]:
        return int, ()

    def __del__(self) -> None:
        os._exit(5)


def return_value_that_dies_when_freed(_: object) -> DiesWhenFreed:
    return DiesWhenFreed()


def die_and_leave_child(_: object) -> None:
    """Die; the child has all descriptors of its dead parent."""
    if os.fork():
        os._exit(6)
    time.sleep(FOR_EVER)


# Hanging


def sleep_for_ever(_: object) -> None:
    time.sleep(FOR_EVER)


def hold_gil_for_ever(_: object) -> None:
    any(iter(int, 1))


def ignore_sigterm_for_ever(_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(FOR_EVER)


def catch_everything_for_ever(_: object) -> None:
    while True:
        try:
            time.sleep(FOR_EVER)
        except BaseException:
            continue


def stop_own_process(_: object) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(FOR_EVER)


def deadlock(_: object) -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def wait_for_child_for_ever(_: object) -> None:
    if child := os.fork():
        os.waitpid(child, 0)
    time.sleep(FOR_EVER)


def become_program_without_end(_: object) -> None:
    os.execvp("sleep", ["sleep", str(FOR_EVER)])
