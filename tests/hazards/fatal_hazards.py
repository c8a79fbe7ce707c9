"""Hazards that end or block the process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.hazards import fatal_callables, value_callables
from tests.hazards.hazard import Expected, Hazard, dies

__all__ = ["death_hazards", "hang_hazards"]

_TIMEOUT_S = 0.3


def death_hazards() -> list[Hazard]:
    def death(name: str, title: str, harmful: Callable[[Any], Any], code: str) -> Hazard:
        return Hazard(name, "Deaths", title, harmful, dies(code))

    m = fatal_callables
    return [
        death("segfault", "reads unmapped memory (SIGSEGV)", m.segfault, "SIGSEGV"),
        death(
            "segfault-without-stack",
            "turns faulthandler off and segfaults",
            m.segfault_without_a_stack,
            "SIGSEGV",
        ),
        death(
            "bus-error",
            "touches a mapping of a truncated file",
            m.bus_error,
            "SIGBUS",
        ),
        death("abort", "calls `os.abort` (SIGABRT)", m.abort, "SIGABRT"),
        death("fatal-error", "calls `Py_FatalError`", m.fatal_error, "SIGABRT"),
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
            m.return_value_that_dies_when_freed,
            Expected("dies", "exit_5", may_return=True),
        ),
        death(
            "die-and-leave-child",
            "dies, and leaves a forked child with all its pipes",
            m.die_and_leave_child,
            "exit_6",
        ),
    ]


def hang_hazards() -> list[Hazard]:
    m = fatal_callables

    def hanging(name: str, title: str, harmful: Callable[[Any], Any]) -> Hazard:
        where = f"Under a time limit of {_TIMEOUT_S:g} s"
        return Hazard(name, where, title, harmful, Expected("times out"), timeout=_TIMEOUT_S)

    return [
        hanging("hang", "sleeps for ever", m.sleep_for_ever),
        hanging("hang-with-gil", "loops in C for ever and holds the GIL", m.hold_gil_for_ever),
        hanging("hang-without-sigterm", "ignores SIGTERM", m.ignore_sigterm_for_ever),
        hanging("hang-catching", "catches every exception", m.catch_everything_for_ever),
        hanging("stop", "stops itself by SIGSTOP", m.stop_own_process),
        hanging("deadlock", "waits for a lock that it holds", m.deadlock),
        hanging("hang-with-child", "waits for a child that hangs", m.wait_for_child_for_ever),
        # enact_pool allows half a minute more, since unpickling may import modules; and the
        # same again when the callable is sent alone.
        replace(
            hanging(
                "hang-when-loaded", "hangs while it is unpickled", value_callables.HangsWhenLoaded()
            ),
            patience_s=75.0,
        ),
        hanging("exec-without-end", "becomes `sleep`", m.become_program_without_end),
    ]
