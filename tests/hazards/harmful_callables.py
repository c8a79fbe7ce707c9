"""What the culprits of `hazards` do, and their neighbours. Any process may import this.

Each is called with a number. All can be pickled by plain pickle, but those whose
misdeed is that they cannot. Each worker imports this module before it can do
anything, so what takes long to import is imported where it is needed.
"""

from __future__ import annotations

import atexit
import builtins
import ctypes
import errno
import mmap
import multiprocessing
import os
import pickle
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

FOR_EVER = 1 << 30

# Neighbours


def square(x: int) -> int:
    """What a good neighbour does."""
    return x * x


def slow_square(x: int) -> int:
    """The same, in time to be hit by what a misdeed has left behind."""
    time.sleep(0.005)
    return x * x


def square_unless_changed(x: int) -> int:
    """The same, but fails in a process where one of the `change_` misdeeds can be seen."""
    time.sleep(0.005)
    umask = os.umask(0o077)
    os.umask(umask)
    changes = {
        "the folder": os.getcwd() == "/",
        "the environment": "MISDEED" in os.environ or "PATH" not in os.environ,
        "the umask": umask == 0o777,
        "a handler": signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN,
        "the recursion limit": sys.getrecursionlimit() == 4321,
        "a resource limit": resource.getrlimit(resource.RLIMIT_CPU)[0] == 7777,
        "a timer": signal.getitimer(signal.ITIMER_PROF) != (0.0, 0.0),
    }
    found = [name for name, changed in changes.items() if changed]
    if found:
        raise AssertionError(f"found changed: {', '.join(found)}")
    return x * x


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
    ctypes.pythonapi.Py_FatalError(b"a misdeed")


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
    """The process ends with its last thread."""
    ctypes.CDLL(None).pthread_exit(None)


def overflow_c_stack(_: object) -> None:
    _without_core_file()
    # glibc compiles nested groups recursively, as deep as they are.
    compiled, extended = ctypes.create_string_buffer(1024), 1
    ctypes.CDLL(None).regcomp(compiled, b"(" * 10_000_000, extended)


def abort_at_memory_limit(_: object) -> None:
    """What native code does that does not handle a failed allocation."""
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


def return_what_dies_when_freed(_: object) -> DiesWhenFreed:
    return DiesWhenFreed()


def die_and_leave_child(_: object) -> None:
    """The child has all descriptors of its dead parent."""
    if os.fork():
        os._exit(6)
    time.sleep(FOR_EVER)


# Exceptions


def raise_plainly(_: object) -> None:
    raise ValueError("plain")


class HoldsLock(Exception):
    def __init__(self) -> None:
        super().__init__("holds a lock")
        self.lock = threading.Lock()


class NotRebuildable(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


class ExitsWhenRebuilt(Exception):
    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (13,)


class BadText(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


class NoText(Exception):
    def __str__(self) -> str:
        return 5  # type: ignore[return-value]


class OwnBase(BaseException):
    pass


class _Secretive(type):
    def __getattribute__(cls, name: str) -> Any:
        if name in ("__module__", "__qualname__", "__name__"):
            raise RuntimeError("not told")
        return super().__getattribute__(name)


class Secret(Exception, metaclass=_Secretive):
    pass


def raise_what_holds_a_lock(_: object) -> None:
    raise HoldsLock


def raise_not_rebuildable(_: object) -> None:
    raise NotRebuildable(1, 2)


def raise_what_exits_when_rebuilt(_: object) -> None:
    raise ExitsWhenRebuilt("would exit")


def raise_bad_text(_: object) -> None:
    raise BadText


def raise_no_text(_: object) -> None:
    raise NoText


def raise_50_mb(_: object) -> None:
    raise ValueError("x" * 50_000_000)


def raise_own_base(_: object) -> None:
    raise OwnBase("no Exception")


def raise_system_exit(_: object) -> None:
    sys.exit(3)


def raise_keyboard_interrupt(_: object) -> None:
    raise KeyboardInterrupt


def raise_generator_exit(_: object) -> None:
    raise GeneratorExit("g")


def raise_stop_iteration(_: object) -> None:
    raise StopIteration(4)


def raise_cancelled_error(_: object) -> None:
    import asyncio

    raise asyncio.CancelledError


def raise_memory_error(_: object) -> None:
    bytes(1 << 62)


def raise_secret(_: object) -> None:
    raise Secret("not to be named")


def raise_group(_: object) -> None:
    group = vars(builtins)["ExceptionGroup"]  # Python 3.11
    raise group("two of them", [ValueError("the first"), KeyError("the second")])


def raise_with_note_and_cause(_: object) -> None:
    error = ValueError("noted")
    vars(error)["__notes__"] = ["the note"]  # Python 3.11 shows it
    try:
        raise KeyError("the cause")
    except KeyError as cause:
        raise error from cause


def raise_with_endless_cause(_: object) -> None:
    error = ValueError("caused by itself")
    error.__cause__ = OSError("in between")
    error.__cause__.__cause__ = error
    raise error


def recurse_without_end(x: object) -> object:
    return [recurse_without_end(x)]


# Return values


class RaisesWhenRebuilt:
    def __reduce__(self) -> tuple[Any, ...]:
        return _raise, (LookupError("will not be rebuilt"),)


class ExitsPolitelyWhenRebuilt:
    def __reduce__(self) -> tuple[Any, ...]:
        return _raise, (SystemExit("leaves"),)


def _raise(error: BaseException) -> NoReturn:
    raise error


class Unshowable:
    """Refuses every text of it."""

    def __repr__(self) -> str:
        raise SystemExit

    __str__ = __repr__


def return_lock(_: object) -> object:
    return threading.Lock()


def return_what_raises_when_rebuilt(_: object) -> object:
    return RaisesWhenRebuilt()


def return_what_exits_when_rebuilt(_: object) -> object:
    return ExitsPolitelyWhenRebuilt()


def return_generator(x: int) -> Iterator[int]:
    return (x for _ in range(3))


def return_lambda(x: int) -> Callable[[int], int]:
    return lambda y: x + y


def return_200_mb(_: object) -> bytes:
    return bytes(200_000_000)


def return_open_file(_: object) -> object:
    return open(os.devnull, "rb")


def return_deeply_nested(_: object) -> object:
    nested: list[Any] = []
    for _i in range(100_000):
        nested = [nested]
    return nested


def return_unshowable(_: object) -> object:
    return Unshowable()


# Callables


class Unpicklable:
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __call__(self, _: object) -> None:
        raise AssertionError("cannot get here")


class Unloadable:
    def __reduce__(self) -> tuple[Any, ...]:
        return _raise, (LookupError("will not be rebuilt"),)

    def __call__(self, _: object) -> None:
        raise AssertionError("cannot get here")


class CrashesWhenLoaded(Unloadable):
    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (9,)


class HangsWhenLoaded(Unloadable):
    def __reduce__(self) -> tuple[Any, ...]:
        return time.sleep, (FOR_EVER,)


class PicklesEndlessly(Unloadable):
    def __reduce__(self) -> tuple[Any, ...]:
        nested: list[Any] = []
        for _i in range(100_000):
            nested = [nested]
        return list, (nested,)


class Shy:
    """Refuses to tell its name."""

    @property
    def name(self) -> str:
        raise SystemExit

    __name__ = name

    def run(self, x: int) -> int:
        return x

    __call__ = run


class _Unhashable(type):
    __hash__ = None  # type: ignore[assignment]


class Unhashable(metaclass=_Unhashable):
    """Of a type that can be no key."""

    def __call__(self, x: int) -> int:
        return x


# Descriptors and streams


def close_every_descriptor(_: object) -> None:
    os.closerange(0, 4096)


def reopen_every_descriptor(_: object) -> None:
    os.closerange(0, 4096)
    for _number in range(1024):
        os.open(os.devnull, os.O_RDWR)


def _every_pipe(act: Callable[[int], object]) -> None:
    for number in range(3, 4096):
        try:
            act(number)
        except OSError:
            continue  # closed, or no descriptor to do this with


def write_into_every_descriptor(_: object) -> None:
    _every_pipe(lambda number: os.write(number, b"no frame, and longer than a header is" * 2))


def read_every_descriptor(_: object) -> None:
    def read(number: int) -> None:
        os.set_blocking(number, False)
        os.read(number, 1 << 20)

    _every_pipe(read)


def truncate_every_descriptor(_: object) -> None:
    _every_pipe(lambda number: os.ftruncate(number, 0))


def make_every_descriptor_blocking(_: object) -> None:
    _every_pipe(lambda number: os.set_blocking(number, True))


def take_every_descriptor(_: object) -> None:
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


def print_to_nobody(_: object) -> None:
    """Leave text in a buffer whose pipe is full, and nobody reads it."""
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


# What the interpreter keeps for all


def clear_modules(_: object) -> None:
    sys.modules.clear()


def clear_path(_: object) -> None:
    sys.path.clear()


def _refuse(*_: object, **__: object) -> NoReturn:
    raise OSError("patched")


def patch_modules(_: object) -> None:
    """As those do who replace what waits or talks by something of their own."""
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
    os.environ["MISDEED"] = "done"
    del os.environ["PATH"]


def change_umask(_: object) -> None:
    os.umask(0o777)


def change_handlers(_: object) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


def change_recursion_limit(_: object) -> None:
    sys.setrecursionlimit(4321)


def change_resource_limits(_: object) -> None:
    """To what ends no process soon, but could be less."""
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
    """What Ctrl-C does to a worker, while another callable runs there."""
    pid = os.getpid()

    def interrupt() -> None:
        time.sleep(0.002)
        os.kill(pid, signal.SIGINT)

    threading.Thread(target=interrupt).start()


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


def fork_child_in_session_of_its_own(_: object) -> None:
    """Whose own child lives on as well."""
    if not os.fork():
        os.setsid()
        os.fork()
        time.sleep(FOR_EVER)


def start_daemon(_: object) -> None:
    """One that has left parent and session, and holds all descriptors for a moment."""
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
    process.returncode = 0  # so that nobody warns of it


def leave_process_of_multiprocessing(_: object) -> None:
    """One that the interpreter waits for at its end."""
    context = multiprocessing.get_context("fork")
    context.Process(target=time.sleep, args=(FOR_EVER,)).start()


def leave_thread(_: object) -> None:
    threading.Thread(target=time.sleep, args=(FOR_EVER,), daemon=True, name="left").start()


def leave_thread_that_is_waited_for(_: object) -> None:
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


def exceed_address_space(_: object) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, most))
    hoard = [bytes(1 << 26) for _i in range(64)]
    raise AssertionError(f"{len(hoard)} blocks fitted")


def leave_no_address_space(_: object) -> None:
    """Less than is in use: not one page more can be had."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (1 << 20, most))


def fill_disk(_: object) -> bytes:
    """Fill shared memory and the temporary folder, and return what does not fit there."""
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
    """Files may have no size any more; return what may have to travel in one."""
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


def hog_memory(_: object) -> None:
    hoard = []
    for _i in range(40):
        hoard.append(b"x" * 10_000_000)
        time.sleep(0.01)
    time.sleep(1)


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


def stop_oneself(_: object) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(FOR_EVER)


def lock_oneself_out(_: object) -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def wait_for_child_for_ever(_: object) -> None:
    if child := os.fork():
        os.waitpid(child, 0)
    time.sleep(FOR_EVER)


def become_program_without_end(_: object) -> None:
    os.execvp("sleep", ["sleep", str(FOR_EVER)])
