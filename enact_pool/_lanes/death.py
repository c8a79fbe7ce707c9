"""How a worker process ended, and where in Python it was."""

from __future__ import annotations

import os
import signal

from attrs import frozen

from enact_pool._python.tracebacks import PACKAGE_FOLDER, is_below_callables
from enact_pool._system.oom import oom_kills
from enact_pool._wire.frames import LOST_PIPES

__all__ = ["Death"]

# The files whose frames in a worker's stack are below all frames of callables.
_WORKER_FILES = tuple(
    os.path.join(PACKAGE_FOLDER, "_worker", name) for name in ("batches.py", "loop.py", "main.py")
)


@frozen
class Death:
    """How a worker process ended.

    `exit_code` is negative for a signal, as in `subprocess`, and None if
    something else in this process has waited for the worker, and so received it.
    `out_of_memory` says whether the kernel has killed a process because memory ran
    out since this one was started.
    """

    exit_code: int | None
    signal: str | None
    stack: str
    out_of_memory: bool = False

    @classmethod
    def of(cls, exit_code: int | None, stack: str, kills_before: tuple[int, ...]) -> Death:
        """Return the death of a process.

        Args:
            exit_code: Its exit code.
            stack: What faulthandler wrote.
            kills_before: The `oom_kills` when it was started.
        """
        name = _signal_name(exit_code)
        out_of_memory = name == "SIGKILL" and oom_kills() > kills_before
        return cls(exit_code, name, _users_part(stack), out_of_memory)

    @property
    def code(self) -> str:
        """The cause in one word."""
        return self.signal or ("unknown" if self.exit_code is None else f"exit_{self.exit_code}")

    def __str__(self) -> str:
        if self.out_of_memory:
            return f"was killed by {self.signal} (probably by the kernel: out of memory)"
        if self.signal:
            return f"was killed by {self.signal}"
        if self.exit_code is None:
            return "ended in an unknown way (its exit status was collected elsewhere)"
        if self.exit_code == LOST_PIPES:
            return f"exited with code {LOST_PIPES} (as it does when its pipes were closed)"
        return f"exited with code {self.exit_code}"


def _signal_name(exit_code: int | None) -> str | None:
    if exit_code is None or exit_code >= 0:
        return None
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return f"signal {-exit_code}"


def _users_part(stack: str) -> str:
    """Return a faulthandler dump without frames of this package, of event loops, and below."""
    kept: list[str] = []
    for line in stack.splitlines():
        _, _, rest = line.partition('  File "')
        path = rest.partition('"')[0]
        if path.startswith(PACKAGE_FOLDER):
            while kept and is_below_callables(kept[-1].partition('"')[2].partition('"')[0]):
                kept.pop()
            if path in _WORKER_FILES:
                break
        else:
            kept.append(line)
    return "\n".join(kept).strip()
