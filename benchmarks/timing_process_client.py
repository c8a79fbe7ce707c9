"""The client of a timing process: starts it, sends commands to it, and ends it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

__all__ = ["TimingProcessError", "TimingProcessClient"]

# How many seconds a command may take before the process counts as hanging.
_TIMEOUT_S = 180.0
_END_TIMEOUT_S = 20.0
# How long a killed process's resource trackers may take to tidy up.
_TIDYING_S = 0.3


class TimingProcessError(Exception):
    """A timing process has not replied, or has exited."""


class TimingProcessClient:
    """Controls a timing process, which has a process group of its own and can be killed.

    The process is stopped between each reply and the next command: some pools poll many
    times per second, in each worker, and would take CPU time from other contenders.
    """

    def __init__(self, contender: str, workers: int, quick: bool) -> None:
        command = [sys.executable, "-m", "benchmarks.timing_process", contender, str(workers)]
        self._process = subprocess.Popen(
            [*command, "quick"] if quick else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._commands, self._replies = self._process.stdin, self._process.stdout
        self._received = b""

    def send(self, *words: str) -> None:
        """Send a command, without waiting."""
        self._signal(signal.SIGCONT)
        try:
            self._commands.write(json.dumps(words).encode() + b"\n")
        except BrokenPipeError:
            return  # `reply` raises the error

    def reply(self, timeout_s: float = _TIMEOUT_S) -> dict[str, Any]:
        """Return the reply to the oldest command. Raises `TimingProcessError` if none arrives."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._received:
            if not self._read(max(0.0, deadline - time.monotonic())):
                self.kill()
                raise TimingProcessError("its process ended, or did not reply in time")
        self._signal(signal.SIGSTOP)
        line, _, self._received = self._received.partition(b"\n")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _read(self, seconds: float) -> bytes:
        """Read what arrives within some seconds; return nothing at the time-out or end of file."""
        if not select.select([self._replies], [], [], seconds)[0]:
            return b""
        received = os.read(self._replies.fileno(), 1 << 16)
        self._received += received
        return received

    def kill(self) -> None:
        """Kill the process, and all processes it has started."""
        # Trackers of semaphores and shared memory ignore SIGTERM, and tidy up. The group
        # has its leader's id, which is not reused before the leader is waited for. macOS
        # does not permit signals to ended processes.
        self._signal(signal.SIGCONT)
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._signal(number)
            time.sleep(_TIDYING_S)
        self._process.wait()
        self._commands.close()
        self._replies.close()

    def close(self) -> None:
        """Close the process's input, so that it exits, without waiting."""
        self._commands.close()
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def wait(self) -> None:
        """Wait until the process has exited; kill it if it does not."""
        while select.select([self._replies], [], [], _END_TIMEOUT_S)[0]:
            if not os.read(self._replies.fileno(), 1 << 16):
                # The process and its forks have closed their ends of the pipe.
                self._process.wait()
                self._replies.close()
                return
        self.kill()
