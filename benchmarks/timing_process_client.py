"""A stand, seen from outside: how it is started, told what to do, and ended."""

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

__all__ = ["StandError", "StandProcess"]

# How long a stand may take for an order before it counts as hanging.
_PATIENCE_S = 180.0
_END_PATIENCE_S = 20.0
# What is left behind by a stand that is killed is gone after so long.
_TIDYING_S = 0.3


class StandError(Exception):
    """A stand has not answered, or is gone."""


class StandProcess:
    """A stand, seen from outside: a process group of its own, which we may kill.

    It is stopped from each reply to the next order: some pools look around many
    times a second, with each of their workers, and would take CPU time from
    whoever has its turn.
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
        self._orders, self._replies = self._process.stdin, self._process.stdout
        self._received = b""

    def order(self, *words: str) -> None:
        """Tell it what to do, without waiting."""
        self._signal(signal.SIGCONT)
        try:
            self._orders.write(json.dumps(words).encode() + b"\n")
        except BrokenPipeError:
            return  # `reply` will find out

    def reply(self, patience_s: float = _PATIENCE_S) -> dict[str, Any]:
        """What it says to the oldest order; raises `StandError` if it says nothing."""
        deadline = time.monotonic() + patience_s
        while b"\n" not in self._received:
            if not self._read(max(0.0, deadline - time.monotonic())):
                self.kill()
                raise StandError("its process ended, or kept silent for too long")
        self._signal(signal.SIGSTOP)
        line, _, self._received = self._received.partition(b"\n")
        told: dict[str, Any] = json.loads(line)
        return told

    def _read(self, seconds: float) -> bytes:
        """What comes within so many seconds; empty if nothing does, or ever will."""
        if not select.select([self._replies], [], [], seconds)[0]:
            return b""
        received = os.read(self._replies.fileno(), 1 << 16)
        self._received += received
        return received

    def kill(self) -> None:
        """End it, and all that it has started."""
        # Trackers of semaphores and shared memory ignore the first one, and tidy
        # up. The group has its leader's id, which is nobody else's before the
        # leader is waited for. macOS permits no signal to ended processes.
        self._signal(signal.SIGCONT)
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._signal(number)
            time.sleep(_TIDYING_S)
        self._process.wait()
        self._orders.close()
        self._replies.close()

    def hang_up(self) -> None:
        """Let it end, without waiting."""
        self._orders.close()
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def wait(self) -> None:
        """Wait until it has ended; kill it if it does not."""
        while select.select([self._replies], [], [], _END_PATIENCE_S)[0]:
            if not os.read(self._replies.fileno(), 1 << 16):
                # Its end of the pipe is closed, and so are those of its forks.
                self._process.wait()
                self._replies.close()
                return
        self.kill()
