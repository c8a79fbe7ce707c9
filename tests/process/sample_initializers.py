"""Initializers for the tests with real processes. Workers import this."""

from __future__ import annotations

import os
import resource
import signal
import time
from pathlib import Path

from sample_callables import append


def limit_memory(size: int) -> None:
    """Limit the worker's address space to `size` bytes."""
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def start_if_allowed(log: str, gate: str) -> None:
    """Wait to be killed, or until the gate file exists."""
    append(log, os.getpid())
    while not os.path.exists(gate):
        time.sleep(0.001)


def die_twice(log: str) -> None:
    """Kill the first two workers."""
    append(log, os.getpid())
    if len(Path(log).read_text().split()) < 3:
        os.kill(os.getpid(), signal.SIGKILL)


def wait_unless_first(first: str, gate: str) -> None:
    """Wait for the gate file in all workers except the first."""
    try:
        os.mkdir(first)
    except FileExistsError:
        while not os.path.exists(gate):
            time.sleep(0.001)


def start_only_if(gate: str) -> None:
    """Raise unless the gate file exists."""
    if not os.path.exists(gate):
        raise RuntimeError("the gate is shut")


def fail_to_start() -> None:
    """Raise in every worker."""
    raise RuntimeError("no licence for this worker")
