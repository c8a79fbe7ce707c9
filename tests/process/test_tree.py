"""Process trees: what /proc tells is what psutil tells, which is asked where there is no /proc."""

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


def test_children_are_the_same(sleeper: int, monkeypatch: pytest.MonkeyPatch) -> None:
    by_proc = tree.children(os.getpid())
    assert sleeper in by_proc
    monkeypatch.setattr(tree, "_HAS_CHILDREN", False)
    assert sorted(tree.children(os.getpid())) == sorted(by_proc)


def test_memory_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    by_proc = tree.resident_bytes(os.getpid())
    assert by_proc > 1 << 20
    monkeypatch.setattr(tree, "_HAS_PROC", False)
    assert tree.resident_bytes(os.getpid()) == pytest.approx(by_proc, rel=0.5)


def test_own_memory_is_the_same_but_for_what_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 1 << 40
    before = tree.own_bytes(os.getpid(), most)
    assert 1 << 20 < before < tree.resident_bytes(os.getpid())
    monkeypatch.setattr(tree, "_HAS_PROC", False)
    assert tree.own_bytes(os.getpid(), most) == pytest.approx(before, rel=0.5)


@pytest.mark.parametrize("has_proc", [True, False])
def test_a_stopped_process_is_told_from_one_that_goes_on(
    sleeper: int, has_proc: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "_HAS_PROC", has_proc)
    assert not tree.is_stopped(sleeper)
    os.kill(sleeper, signal.SIGSTOP)
    os.waitpid(sleeper, os.WUNTRACED)
    assert tree.is_stopped(sleeper)


def test_who_is_gone_has_no_children_and_no_memory() -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    assert tree.children(process.pid) == []
    assert tree.resident_bytes(process.pid) == tree.own_bytes(process.pid, 0) == 0
    assert tree.is_stopped(process.pid)
