"""The command line of a worker, which is that of the standard library's "spawn".

So `multiprocessing.set_executable` counts, the worker has the interpreter flags of its parent,
and frozen programs work, if they call `multiprocessing.freeze_support`. Everything else, such as
`sys.path`, the worker reads from a pipe: a command line may not be long.
"""

from __future__ import annotations

import errno
import os
import sys
from multiprocessing.spawn import get_command_line, get_executable

__all__ = ["NEEDS_SUPPORT", "check_executable", "import_path", "is_frozen", "worker_command"]

NEEDS_SUPPORT = "a frozen program has to call multiprocessing.freeze_support() before all else"


def worker_command(tracker: int, pipe: int, name: str) -> list[str]:
    """Return the command line of a worker.

    Args:
        tracker: The descriptor of the resource tracker, which the worker inherits.
        pipe: The descriptor of the pipe from which it reads what it is.
        name: What lists of processes show as its last argument.
    """
    command = get_command_line(tracker_fd=tracker, pipe_handle=pipe)
    if "-c" in command:
        at = command.index("-c") + 1
        # What is in the current folder must not be imported.
        command[at] = f"import sys; sys.path[:] = filter(None, sys.path); {command[at]}"
        command.append(name)
    return command


def import_path() -> list[str]:
    """Return `sys.path` with the name of the current folder; the import system ignores the rest."""
    try:
        folder = os.getcwd()
    except OSError:
        folder = ""  # it was removed
    return [entry or folder for entry in sys.path if isinstance(entry, str) and (entry or folder)]


def is_frozen() -> bool:
    """Return whether this program and its interpreter are one executable, as of PyInstaller."""
    return bool(getattr(sys, "frozen", False))


def _is_tracker(arguments: list[str]) -> bool:
    *_, option, program = ["", "", *arguments]
    return option == "-c" and program.startswith("from multiprocessing.")


def check_executable() -> None:
    """Refuse to start a worker that cannot run: what `exec` would report is lost.

    Raises:
        OSError: The executable is missing, or is none.
        RuntimeError: This process was started as a worker, and runs a program instead.
    """
    executable = get_executable()
    if not executable:
        raise OSError(
            "sys.executable is empty, as in programs that embed Python: name the interpreter by "
            "multiprocessing.set_executable"
        )
    # The executable of a frozen program runs that program, whatever its arguments are.
    if is_frozen() and ("--multiprocessing-fork" in sys.argv or _is_tracker(sys.argv)):
        raise RuntimeError(f"this process was started to serve {sys.executable}: {NEEDS_SUPPORT}")
    path = os.fsdecode(executable)
    os.stat(path)
    if not os.access(path, os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
