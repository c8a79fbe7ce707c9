"""Checks that several tests make."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

__all__ = ["assert_each_started_once", "assert_ends", "is_alive"]


def assert_each_started_once(log: Path, count: int) -> None:
    assert sorted(map(int, log.read_text().split())) == list(range(count))


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def assert_ends(pid: int) -> None:
    # Polled, since only its parent would be notified, and the process is not our child.
    deadline = time.monotonic() + 30
    while is_alive(pid):
        assert time.monotonic() < deadline
