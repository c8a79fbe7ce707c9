"""Process trees: /proc and psutil, which is used where there is no /proc, agree."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from enact_pool._system import process_tree as tree


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen(["sleep", "300"]) as process:
        yield process.pid
        process.kill()


def test_both_report_the_same_children(sleeper: int, monkeypatch: pytest.MonkeyPatch) -> None:
    by_proc = tree.children(os.getpid())
    assert sleeper in by_proc
    monkeypatch.setattr(tree, "_HAS_CHILDREN", False)
    assert sorted(tree.children(os.getpid())) == sorted(by_proc)


def test_both_report_the_same_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    by_proc = tree.resident_bytes(os.getpid())
    assert by_proc > 1 << 20
    monkeypatch.setattr(tree, "_HAS_PROC", False)
    assert tree.resident_bytes(os.getpid()) == pytest.approx(by_proc, rel=0.5)


def test_both_report_the_same_own_memory_except_shared_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    most = 1 << 40
    before = tree.own_bytes(os.getpid(), most)
    assert 1 << 20 < before < tree.resident_bytes(os.getpid())
    monkeypatch.setattr(tree, "_HAS_PROC", False)
    assert tree.own_bytes(os.getpid(), most) == pytest.approx(before, rel=0.5)


@pytest.mark.parametrize("has_proc", [True, False])
def test_a_stopped_process_is_distinguished_from_a_running_one(
    sleeper: int, has_proc: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "_HAS_PROC", has_proc)
    assert not tree.is_stopped(sleeper)
    os.kill(sleeper, signal.SIGSTOP)
    os.waitpid(sleeper, os.WUNTRACED)
    assert tree.is_stopped(sleeper)


def test_an_exited_process_has_no_children_and_no_memory() -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    assert tree.children(process.pid) == []
    assert tree.resident_bytes(process.pid) == tree.own_bytes(process.pid, 0) == 0
    assert tree.is_stopped(process.pid)
