"""Hazards: what a callable can do to its worker, and what enact_pool says it comes to.

Used by `reliability`, which tries them with every library, and by the tests,
which look at every word of enact_pool's results. `harmful_callables` has what is done.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from tests.hazards import harmful_callables

__all__ = [
    "HAZARDS",
    "INPUT",
    "SQUARED",
    "Expected",
    "Hazard",
    "by_name",
    "on_small_disk",
    "small_disk_refusal",
]

# What culprits and neighbours are called with, and what neighbours return then.
INPUT = 7
SQUARED = 49

# Before the culprit, and again behind it.
_NEIGHBOURS = (harmful_callables.square, harmful_callables.slow_square) * 3
_TIMEOUT_S = 0.3


def _itself(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Expected:
    """What the culprit comes to, by enact_pool's contract.

    returns      `Ok`, and what `seen` sees of its value equals `value`
    raises       `Err` under its own name; what `seen` sees of its text equals `value`, and
                 `type` is the exception's; `traceback` lists what the traceback tells
    is refused   `Err` under its own name, whose text begins with `value`
    dies         agent "unknown", kernel_internal; `value` is the code
    times out    `Err` under its own name, timeout
    takes too much memory   the same, quota_exceeded

    `may_return` if a library is not at fault that tells a value: there was one.
    """

    fate: Literal["returns", "raises", "is refused", "dies", "times out", "takes too much memory"]
    value: Any = None
    seen: Callable[[Any], Any] = _itself
    type: str = ""
    traceback: Sequence[str] = ()
    may_return: bool = False


@dataclass(frozen=True)
class Hazard:
    """A callable that does one bad thing, and what it comes to.

    `title` goes on from "a callable that". `timeout` is in seconds, `max_memory` in
    bytes: what the user allows, where that is the point. `starves` if it may keep
    neighbours in the same process from opening a file. `needs_small_disk` if it is to
    run where /dev/shm and the temporary folder are small: see `on_small_disk`.
    `patience_s` is for how many seconds a caller may wait, if that is longer than usual.
    """

    name: str
    group: str
    title: str
    culprit: Callable[[Any], Any]
    expected: Expected
    timeout: float | None = None
    max_memory: int | None = None
    starves: bool = False
    needs_small_disk: bool = False
    patience_s: float = 0.0
    neighbours: Sequence[Callable[[int], int]] = _NEIGHBOURS

    @property
    def callables(self) -> list[Callable[[Any], Any]]:
        """The culprit between its neighbours."""
        return [*self.neighbours, self.culprit, *self.neighbours]

    @property
    def place(self) -> int:
        """Where the culprit is among them."""
        return len(self.neighbours)


def on_small_disk(command: Sequence[str], folder: str) -> list[str]:
    """A command that does another one where /dev/shm and `folder` have room for 1 MB.

    They are mounted for it alone, and are gone when it and all that it started are. It
    needs the rights of root, and Linux.
    """
    mounts = " && ".join(f'mount -t tmpfs -o size=1m tmpfs "{at}"' for at in ("/dev/shm", "$0"))
    script = f'{mounts} && TMPDIR="$0" exec "$@"'
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, folder, *command]


def small_disk_refusal(folder: str) -> str:
    """Why `on_small_disk` cannot be had here; empty if it can."""
    try:
        done = subprocess.run(
            on_small_disk(["true"], folder), capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        return str(error)
    return done.stderr.strip() or f"exit code {done.returncode}" if done.returncode else ""


def _returns(value: Any = None, seen: Callable[[Any], Any] = _itself) -> Expected:
    return Expected("returns", value, seen)


def _raises(
    type: str, text: Any, *traceback: str, seen: Callable[[Any], Any] = _itself
) -> Expected:
    return Expected("raises", text, seen, type, traceback)


def _refused(text: str) -> Expected:
    return Expected("is refused", text, may_return=True)


def _dies(code: str) -> Expected:
    return Expected("dies", code)


def _called_with_1(value: Any) -> Any:
    return value(1)


_OURS = "tests.hazards.harmful_callables."


def _deaths() -> list[Hazard]:
    def death(name: str, title: str, culprit: Callable[[Any], Any], code: str) -> Hazard:
        return Hazard(name, "Deaths", title, culprit, _dies(code))

    m = harmful_callables
    return [
        death("segfault", "reads memory that is not there (SIGSEGV)", m.segfault, "SIGSEGV"),
        death(
            "segfault-without-stack",
            "does so after it has turned faulthandler off",
            m.segfault_without_a_stack,
            "SIGSEGV",
        ),
        death("bus-error", "touches a mapped file that was cut off", m.bus_error, "SIGBUS"),
        death("abort", "calls `os.abort` (SIGABRT)", m.abort, "SIGABRT"),
        death("fatal-error", "makes Python give up (`Py_FatalError`)", m.fatal_error, "SIGABRT"),
        death("sigfpe", "dies of SIGFPE", m.floating_point_error, "SIGFPE"),
        death("sigill", "dies of SIGILL", m.illegal_instruction, "SIGILL"),
        death("sigpipe", "dies of SIGPIPE", m.broken_pipe, "SIGPIPE"),
        death("sigterm", "dies of SIGTERM", m.terminate, "SIGTERM"),
        death("sigkill", "is killed, as by the kernel when memory is out", m.kill, "SIGKILL"),
        death("kill-group", "calls `os.kill(0, SIGKILL)`", m.kill_own_group, "SIGKILL"),
        death("term-group", "calls `os.killpg(0, SIGTERM)`", m.terminate_own_group, "SIGTERM"),
        death("cpu-limit", "exceeds RLIMIT_CPU (SIGXCPU)", m.exceed_cpu_limit, "SIGXCPU"),
        death("exit-0", "calls `os._exit(0)`", m.exit_0, "exit_0"),
        death("exit-7", "calls `os._exit(7)`", m.exit_7, "exit_7"),
        death("exit-from-c", "calls C's `exit(3)`", m.exit_from_c, "exit_3"),
        death("exec", "becomes another program (`exec`)", m.become_another_program, "exit_0"),
        death("end-thread", "ends the main thread from C", m.end_main_thread, "exit_0"),
        death("c-stack", "recurses in C without end", m.overflow_c_stack, "SIGSEGV"),
        death(
            "abort-at-limit",
            "aborts when its address space is used up",
            m.abort_at_memory_limit,
            "SIGABRT",
        ),
        Hazard(
            "dies-when-freed",
            "Deaths",
            "returns an object whose destructor ends the process",
            m.return_what_dies_when_freed,
            Expected("dies", "exit_5", may_return=True),
        ),
        death(
            "die-and-leave-child",
            "dies, and leaves a forked child with all its pipes",
            m.die_and_leave_child,
            "exit_6",
        ),
    ]


def _exceptions() -> list[Hazard]:
    def raising(name: str, title: str, culprit: Callable[[Any], Any], expected: Expected) -> Hazard:
        return Hazard(name, "Exceptions", "raises " + title, culprit, expected)

    m = harmful_callables
    hazards = [
        raising("plain", "`ValueError`", m.raise_plainly, _raises("ValueError", "plain")),
        raising(
            "unpicklable-exception",
            "an exception that cannot be pickled",
            m.raise_what_holds_a_lock,
            _raises(_OURS + "HoldsLock", "holds a lock"),
        ),
        raising(
            "not-rebuildable-exception",
            "an exception that pickle cannot rebuild",
            m.raise_not_rebuildable,
            _raises(_OURS + "NotRebuildable", "1 and 2"),
        ),
        raising(
            "exiting-exception",
            "an exception that ends the process that rebuilds it",
            m.raise_what_exits_when_rebuilt,
            _raises(_OURS + "ExitsWhenRebuilt", "would exit"),
        ),
        raising(
            "str-raises",
            "an exception whose `str` raises",
            m.raise_bad_text,
            _raises(_OURS + "BadText", f"<{_OURS}BadText whose text raises ZeroDivisionError>"),
        ),
        raising(
            "str-is-none",
            "an exception whose `str` gives no text",
            m.raise_no_text,
            _raises(_OURS + "NoText", f"<{_OURS}NoText whose text raises TypeError>"),
        ),
        raising(
            "str-of-50-mb",
            "an exception whose `str` is 50 MB long",
            m.raise_50_mb,
            _raises("ValueError", 50_000_000, seen=len),
        ),
        raising(
            "secret-type",
            "an exception of a type that does not tell its name",
            m.raise_secret,
            _raises(_OURS + "Secret", "not to be named"),
        ),
        raising(
            "base-exception",
            "a `BaseException` of its own",
            m.raise_own_base,
            _raises(_OURS + "OwnBase", "no Exception"),
        ),
        raising("sys-exit", "`SystemExit`", m.raise_system_exit, _raises("SystemExit", "3")),
        raising(
            "keyboard-interrupt",
            "`KeyboardInterrupt`",
            m.raise_keyboard_interrupt,
            _raises("KeyboardInterrupt", "KeyboardInterrupt"),
        ),
        raising(
            "generator-exit",
            "`GeneratorExit`",
            m.raise_generator_exit,
            _raises("GeneratorExit", "g"),
        ),
        raising(
            "stop-iteration",
            "`StopIteration`",
            m.raise_stop_iteration,
            _raises("StopIteration", "4"),
        ),
        raising(
            "cancelled-error",
            "`asyncio.CancelledError`",
            m.raise_cancelled_error,
            _raises("asyncio.exceptions.CancelledError", "CancelledError"),
        ),
        raising(
            "memory-error",
            "`MemoryError`",
            m.raise_memory_error,
            _raises("MemoryError", "MemoryError"),
        ),
        raising(
            "note-and-cause",
            "an exception with a note and a cause",
            m.raise_with_note_and_cause,
            _raises(
                "ValueError",
                "noted",
                "the cause",
                *["the note"] * (sys.version_info >= (3, 11)),
            ),
        ),
        raising(
            "endless-cause",
            "an exception that is the cause of its cause",
            m.raise_with_endless_cause,
            _raises("ValueError", "caused by itself", "in between"),
        ),
        raising(
            "recursion",
            "`RecursionError`: recurses in Python without end",
            m.recurse_without_end,
            _raises("RecursionError", "maximum recursion", seen=lambda text: text[:17]),
        ),
    ]
    if sys.version_info >= (3, 11):
        hazards.append(
            raising(
                "exception-group",
                "an exception group",
                m.raise_group,
                _raises(
                    "ExceptionGroup",
                    "two of them (2 sub-exceptions)",
                    "the first",
                    "the second",
                ),
            )
        )
    return hazards


def _values() -> list[Hazard]:
    def returning(
        name: str, title: str, culprit: Callable[[Any], Any], expected: Expected
    ) -> Hazard:
        return Hazard(name, "Return values", "returns " + title, culprit, expected)

    m = harmful_callables
    of_type = "the return value, of type {}, cannot be pickled: "
    return [
        returning("lock", "a lock", m.return_lock, _refused(of_type.format("_thread.lock"))),
        returning(
            "generator", "a generator", m.return_generator, _refused(of_type.format("generator"))
        ),
        returning(
            "open-file",
            "an open file",
            m.return_open_file,
            _refused(of_type.format("_io.BufferedReader")),
        ),
        returning(
            "deeply-nested",
            "a list in 100 000 lists",
            m.return_deeply_nested,
            _refused(of_type.format("list")),
        ),
        returning(
            "raises-when-rebuilt",
            "what raises when it is unpickled",
            m.return_what_raises_when_rebuilt,
            _refused("the return value cannot be rebuilt: LookupError: will not be rebuilt"),
        ),
        returning(
            "exits-when-rebuilt",
            "what raises `SystemExit` when it is unpickled",
            m.return_what_exits_when_rebuilt,
            _refused("the return value cannot be rebuilt: SystemExit: leaves"),
        ),
        returning("lambda", "a lambda", m.return_lambda, _returns(INPUT + 1, _called_with_1)),
        returning("200-mb", "200 MB", m.return_200_mb, _returns(200_000_000, len)),
        returning(
            "unshowable",
            "an object whose `repr` raises `SystemExit`",
            m.return_unshowable,
            _returns(m.Unshowable, type),
        ),
    ]


def _callables() -> list[Hazard]:
    def being(name: str, title: str, culprit: Callable[[Any], Any], expected: Expected) -> Hazard:
        return Hazard(name, "Callables", title, culprit, expected)

    m = harmful_callables
    return [
        being(
            "unpicklable",
            "cannot be pickled",
            m.Unpicklable(),
            _refused("the callable cannot be pickled: TypeError"),
        ),
        being(
            "endless-pickle",
            "is nested too deeply to be pickled",
            m.PicklesEndlessly(),
            _refused("the callable cannot be pickled: "),
        ),
        being(
            "unloadable",
            "cannot be unpickled",
            m.Unloadable(),
            _refused("the callable cannot be rebuilt in the worker: LookupError"),
        ),
        being(
            "crashes-when-loaded",
            "ends the process that unpickles it",
            m.CrashesWhenLoaded(),
            _dies("exit_9"),
        ),
        being("shy", "raises when it is asked for its name", m.Shy(), _returns(INPUT)),
        being(
            "unhashable",
            "is of a type that cannot be hashed",
            m.Unhashable(),
            _refused("the callable cannot be pickled: TypeError: unhashable type"),
        ),
    ]


def _damages() -> list[Hazard]:
    m = harmful_callables

    def harm(
        name: str,
        title: str,
        culprit: Callable[[Any], Any],
        *,
        starves: bool = False,
        neighbours: Sequence[Callable[[int], int]] = _NEIGHBOURS,
    ) -> Hazard:
        return Hazard(
            name, "Damage", title, culprit, _returns(), starves=starves, neighbours=neighbours
        )

    return [
        harm("close-all", "closes every descriptor", m.close_every_descriptor),
        harm(
            "reopen-all",
            "closes every descriptor, and opens files under their numbers",
            m.reopen_every_descriptor,
        ),
        harm("write-all", "writes into every descriptor", m.write_into_every_descriptor),
        harm("read-all", "reads every descriptor empty", m.read_every_descriptor),
        harm("truncate-all", "truncates every file it has open", m.truncate_every_descriptor),
        harm("block-all", "makes every pipe blocking", m.make_every_descriptor_blocking),
        harm(
            "take-all",
            "takes every descriptor that is left",
            m.take_every_descriptor,
            starves=True,
        ),
        harm("close-output", "closes stdout and stderr", m.close_output),
        harm("flood-output", "writes 20 MB to stdout and stderr", m.flood_output),
        harm("break-output", "leaves a stdout that exits when it is flushed", m.break_output),
        harm("unread-output", "leaves text in a stdout that nobody reads", m.print_to_nobody),
        harm("clear-modules", "clears `sys.modules`", m.clear_modules),
        harm("clear-path", "clears `sys.path`", m.clear_path),
        harm(
            "patch-modules",
            "patches os, pickle, time and threading so that they raise",
            m.patch_modules,
            starves=True,
            neighbours=(m.square,) * 6,  # which need none of these
        ),
        harm("patch-builtins", "patches `open` and `print` so that they raise", m.patch_builtins),
        harm(
            "low-recursion-limit",
            "sets the lowest recursion limit there can be",
            m.lower_recursion_limit,
        ),
        harm("removed-folder", "changes to a folder and removes it", m.remove_own_folder),
        harm("alarm", "leaves an alarm that kills", m.leave_alarm),
        harm("raising-alarm", "leaves alarms that raise", m.leave_alarm_that_raises),
        harm("block-signals", "blocks all signals", m.block_all_signals),
        harm("later-interrupt", "has its process sent SIGINT later", m.interrupt_later),
    ]


def _changes() -> list[Hazard]:
    m = harmful_callables

    def change(what: str, culprit: Callable[[Any], Any]) -> Hazard:
        return Hazard(
            f"change-{what.replace(' ', '-')}",
            "What the next one in the process finds",
            f"changes the {what}",
            culprit,
            _returns(),
            neighbours=(m.square_unless_changed,) * 6,
        )

    return [
        change("folder", m.change_folder),
        change("environment", m.change_environment),
        change("umask", m.change_umask),
        change("signal handlers", m.change_handlers),
        change("recursion limit", m.change_recursion_limit),
        change("timers", m.change_timers),
        change("resource limits", m.change_resource_limits),
    ]


def _leftovers() -> list[Hazard]:
    m = harmful_callables

    def leaving(
        name: str, title: str, culprit: Callable[[Any], Any], value: object = None
    ) -> Hazard:
        return Hazard(name, "Processes and threads", title, culprit, _returns(value))

    return [
        leaving("child-crashes", "forks; the child crashes", m.fork_child_that_crashes),
        leaving("child-exits", "forks; the child calls `sys.exit`", m.fork_child_that_exits),
        leaving("child-raises", "forks; the child raises", m.fork_child_that_raises, INPUT),
        leaving("child-returns", "forks; the child returns too", m.fork_child_that_returns, INPUT),
        leaving("child-lives-on", "forks; the child lives on", m.fork_child_that_lives_on),
        leaving(
            "child-in-session",
            "forks; the child lives on in a session of its own, with a child",
            m.fork_child_in_session_of_its_own,
        ),
        leaving("daemon", "starts a daemon that holds its pipes for 0.3 s", m.start_daemon),
        leaving("program", "leaves a program running", m.leave_program),
        leaving(
            "multiprocessing-child",
            "leaves a process of multiprocessing's running",
            m.leave_process_of_multiprocessing,
        ),
        leaving("daemon-thread", "leaves a daemon thread", m.leave_thread),
        leaving(
            "thread",
            "leaves a thread that the process waits for at its end",
            m.leave_thread_that_is_waited_for,
        ),
        leaving("exit-in-thread", "calls `sys.exit` in a thread", m.exit_in_thread),
        leaving("hang-at-exit", "has the process hang at its exit", m.hang_at_exit),
        leaving("die-at-exit", "has the process abort at its exit", m.die_at_exit),
    ]


def _shortages() -> list[Hazard]:
    m = harmful_callables
    group = "Resources"
    return [
        Hazard(
            "full-disk",
            group,
            "fills /dev/shm and the temporary folder, and returns 1 MB",
            m.fill_disk,
            _returns(1_000_000, len),
            starves=True,
            needs_small_disk=True,
        ),
        Hazard(
            "no-files",
            group,
            "sets RLIMIT_FSIZE to 0, and returns 1 MB",
            m.forbid_files,
            _returns(1_000_000, len),
            starves=True,
        ),
        Hazard(
            "no-processes",
            group,
            "forks where RLIMIT_NPROC allows no process",
            m.forbid_processes,
            _raises("BlockingIOError", "[Errno 11]", seen=lambda text: text[:10]),
            starves=True,
        ),
        Hazard(
            "address-space",
            group,
            "takes more address space than RLIMIT_AS allows",
            m.exceed_address_space,
            _raises("MemoryError", "MemoryError"),
        ),
        Hazard(
            "no-address-space",
            group,
            "sets RLIMIT_AS below what is in use",
            m.leave_no_address_space,
            _returns(),
            starves=True,
        ),
        Hazard(
            "hog",
            group,
            "takes 400 MB where 200 MB are allowed",
            m.hog_memory,
            Expected("takes too much memory"),
            max_memory=200_000_000,
        ),
    ]


def _hangs() -> list[Hazard]:
    m = harmful_callables

    def hanging(name: str, title: str, culprit: Callable[[Any], Any]) -> Hazard:
        where = f"Under a time limit of {_TIMEOUT_S:g} s"
        return Hazard(name, where, title, culprit, Expected("times out"), timeout=_TIMEOUT_S)

    return [
        hanging("hang", "sleeps for ever", m.sleep_for_ever),
        hanging("hang-with-gil", "loops in C for ever and holds the GIL", m.hold_gil_for_ever),
        hanging("hang-without-sigterm", "ignores SIGTERM", m.ignore_sigterm_for_ever),
        hanging("hang-catching", "catches every exception", m.catch_everything_for_ever),
        hanging("stop", "stops itself by SIGSTOP", m.stop_oneself),
        hanging("deadlock", "waits for a lock that it has", m.lock_oneself_out),
        hanging("hang-with-child", "waits for a child that hangs", m.wait_for_child_for_ever),
        # enact_pool gives it half a minute more, since modules may be imported then; and the
        # same again when it is sent alone.
        replace(
            hanging("hang-when-loaded", "hangs while it is unpickled", m.HangsWhenLoaded()),
            patience_s=75.0,
        ),
        hanging("exec-without-end", "becomes `sleep`", m.become_program_without_end),
    ]


HAZARDS: list[Hazard] = [
    *_deaths(),
    *_exceptions(),
    *_values(),
    *_callables(),
    *_damages(),
    *_changes(),
    *_leftovers(),
    *_shortages(),
    *_hangs(),
]


def by_name(name: str) -> Hazard:
    """The hazard of this name. Raises `KeyError`."""
    return {hazard.name: hazard for hazard in HAZARDS}[name]
