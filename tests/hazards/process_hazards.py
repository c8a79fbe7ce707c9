"""Hazards of processes, threads and resources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.hazards import fatal_callables, process_callables
from tests.hazards.hazard import INPUT, Expected, Hazard, raises, returns

__all__ = ["leftover_hazards", "shortage_hazards"]


def leftover_hazards() -> list[Hazard]:
    m = process_callables

    def leaving(
        name: str, title: str, harmful: Callable[[Any], Any], value: object = None
    ) -> Hazard:
        return Hazard(name, "Processes and threads", title, harmful, returns(value))

    return [
        leaving("child-crashes", "forks; the child crashes", m.fork_child_that_crashes),
        leaving("child-exits", "forks; the child calls `sys.exit`", m.fork_child_that_exits),
        leaving("child-raises", "forks; the child raises", m.fork_child_that_raises, INPUT),
        leaving("child-returns", "forks; the child returns too", m.fork_child_that_returns, INPUT),
        leaving("child-lives-on", "forks; the child lives on", m.fork_child_that_lives_on),
        leaving(
            "child-in-session",
            "forks; the child lives on in a session of its own, with a child",
            m.fork_child_in_own_session,
        ),
        leaving("daemon", "starts a daemon that holds its pipes for 0.3 s", m.start_daemon),
        leaving("program", "leaves a program running", m.leave_program),
        leaving(
            "multiprocessing-child",
            "leaves a child of multiprocessing running",
            m.leave_multiprocessing_child,
        ),
        leaving("daemon-thread", "leaves a daemon thread", m.leave_thread),
        leaving(
            "thread",
            "leaves a thread that the process waits for at its end",
            m.leave_non_daemon_thread,
        ),
        leaving("exit-in-thread", "calls `sys.exit` in a thread", m.exit_in_thread),
        leaving("hang-at-exit", "makes the process hang at its exit", m.hang_at_exit),
        leaving("die-at-exit", "makes the process abort at its exit", m.die_at_exit),
    ]


def shortage_hazards() -> list[Hazard]:
    m = process_callables
    group = "Resources"
    return [
        Hazard(
            "full-disk",
            group,
            "fills /dev/shm and the temporary folder, and returns 1 MB",
            m.fill_disk,
            returns(1_000_000, len),
            starves=True,
            needs_small_disk=True,
        ),
        Hazard(
            "no-files",
            group,
            "sets RLIMIT_FSIZE to 0, and returns 1 MB",
            m.forbid_files,
            returns(1_000_000, len),
            starves=True,
        ),
        Hazard(
            "no-processes",
            group,
            "forks where RLIMIT_NPROC allows no process",
            m.forbid_processes,
            raises("BlockingIOError", "[Errno 11]", seen=lambda text: text[:10]),
            starves=True,
        ),
        Hazard(
            "address-space",
            group,
            "allocates more address space than RLIMIT_AS allows",
            fatal_callables.exceed_address_space,
            raises("MemoryError", "MemoryError"),
        ),
        Hazard(
            "no-address-space",
            group,
            "sets RLIMIT_AS below what is in use",
            m.leave_no_address_space,
            returns(),
            starves=True,
        ),
        Hazard(
            "memory-limit",
            group,
            "allocates 400 MB where 200 MB are allowed",
            m.exceed_memory_limit,
            Expected("takes too much memory"),
            max_memory=200_000_000,
        ),
    ]
