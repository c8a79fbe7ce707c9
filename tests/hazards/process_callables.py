"""Callables that leave processes and threads behind, or exhaust resources. Workers import this."""

from __future__ import annotations

import atexit
import errno
import multiprocessing
import os
import resource
import sys
import threading
import time
from pathlib import Path

from tests.hazards.fatal_callables import FOR_EVER, segfault

# Processes and threads


def fork_child_that_crashes(_: object) -> None:
    if child := os.fork():
        os.waitpid(child, 0)
    else:
        segfault(_)


def fork_child_that_exits(_: object) -> None:
    if child := os.fork():
        os.waitpid(child, 0)
    else:
        sys.exit(4)


def fork_child_that_raises(x: int) -> int:
    if child := os.fork():
        os.waitpid(child, 0)
        return x
    raise ValueError("in the child")


def fork_child_that_returns(x: int) -> int:
    if child := os.fork():
        os.waitpid(child, 0)
    return x


def fork_child_that_lives_on(_: object) -> None:
    if not os.fork():
        time.sleep(FOR_EVER)


def fork_child_in_own_session(_: object) -> None:
    """Fork a child in a session of its own, with a child that lives on as well."""
    if not os.fork():
        os.setsid()
        os.fork()
        time.sleep(FOR_EVER)


def start_daemon(_: object) -> None:
    """Start a daemon that holds all descriptors for a moment."""
    if child := os.fork():
        os.waitpid(child, 0)
        return
    os.setsid()
    if not os.fork():
        time.sleep(0.3)
    os._exit(0)


def leave_program(_: object) -> None:
    import subprocess

    process = subprocess.Popen(["sleep", str(FOR_EVER)], start_new_session=True)
    process.returncode = 0  # or its destructor would warn


def leave_multiprocessing_child(_: object) -> None:
    """Leave a process that the interpreter waits for at its end."""
    context = multiprocessing.get_context("fork")
    context.Process(target=time.sleep, args=(FOR_EVER,)).start()


def leave_thread(_: object) -> None:
    threading.Thread(target=time.sleep, args=(FOR_EVER,), daemon=True, name="left").start()


def leave_non_daemon_thread(_: object) -> None:
    threading.Thread(target=time.sleep, args=(FOR_EVER,), daemon=False, name="left").start()


def exit_in_thread(_: object) -> None:
    thread = threading.Thread(target=sys.exit, args=(8,))
    thread.start()
    thread.join()


def hang_at_exit(_: object) -> None:
    atexit.register(time.sleep, FOR_EVER)


def die_at_exit(_: object) -> None:
    atexit.register(os.abort)


# Resources


def leave_no_address_space(_: object) -> None:
    """Set a limit below what is in use: no page more can be mapped."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 20, most))


def fill_disk(_: object) -> bytes:
    """Fill shared memory and the temporary folder, and return a value that does not fit there."""
    import tempfile

    for place in ("/dev/shm", tempfile.gettempdir()):
        try:
            with Path(place, "filled").open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(1 << 16))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
    return bytes(1_000_000)


def forbid_files(_: object) -> bytes:
    """Forbid files of any size, and return a value large enough to need one."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most))
    return bytes(1_000_000)


def forbid_processes(_: object) -> None:
    if os.getuid() == 0:
        os.setresuid(65534, 65534, 65534)  # root may have any number
    _, most = resource.getrlimit(resource.RLIMIT_NPROC)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, most))
    if not os.fork():
        os._exit(0)


def exceed_memory_limit(_: object) -> None:
    hoard = []
    for _i in range(40):
        hoard.append(b"x" * 10_000_000)
        time.sleep(0.01)
    time.sleep(1)
