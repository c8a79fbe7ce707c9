"""A change of the caller's process state makes a new part, and nothing else does."""

from __future__ import annotations

import decimal
import locale
import os
import pickle
import sys
import threading
import timeit
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from pickletools import genops
from typing import Any

import numpy as np
import pytest

from enact_pool._mirror.caller import process_state
from enact_pool._mirror.caller.process_state import Part, observe, stream_descriptors

ASPECTS = (
    "folder",
    "variables",
    "path",
    "streams",
    "recursion_limit",
    "int_digits",
    "decimal",
    "locale",
    "warnings",
    "numpy_errors",
    "modules",
)


def values() -> dict[str, Any]:
    return {part.name: part.value for part in observe()}


def changed(before: tuple[Part, ...]) -> set[str]:
    """Return the names of the parts that differ from those of an earlier observation."""
    return {new.name for old, new in zip(before, observe(), strict=True) if new is not old}


@pytest.fixture
def undo() -> Iterator[ExitStack]:
    """Yield a stack of calls that restore the process state when the test ends."""
    with ExitStack() as stack:
        stack.callback(sys.setrecursionlimit, sys.getrecursionlimit())
        stack.callback(decimal.setcontext, decimal.getcontext())
        decimal.setcontext(decimal.getcontext().copy())
        stack.callback(locale.setlocale, locale.LC_ALL, locale.setlocale(locale.LC_ALL))
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(np.errstate())
        yield stack


def redirect_stderr(undo: ExitStack, path: Path) -> None:
    saved = os.dup(2)
    undo.callback(os.close, saved)
    undo.callback(os.dup2, saved, 2)
    with path.open("w") as file:
        os.dup2(file.fileno(), 2)


def test_the_parts_are_the_same_until_something_changes() -> None:
    parts = observe()
    assert tuple(part.name for part in parts) == ASPECTS
    assert observe() is parts
    assert observe() is parts


CHANGES: dict[str, Callable[[pytest.MonkeyPatch, ExitStack, Path], object]] = {
    "folder": lambda patch, undo, path: patch.chdir(path),
    "variables": lambda patch, undo, path: patch.setenv("ENACT_POOL_TEST_STATE", "\udcff"),
    "path": lambda patch, undo, path: patch.setattr(sys, "path", [*sys.path, "/nowhere"]),
    "streams": lambda patch, undo, path: redirect_stderr(undo, path / "err"),
    "recursion_limit": lambda patch, undo, path: sys.setrecursionlimit(5432),
    "decimal": lambda patch, undo, path: setattr(decimal.getcontext(), "prec", 7),
    "locale": lambda patch, undo, path: locale.setlocale(locale.LC_CTYPE, "C"),
    "warnings": lambda patch, undo, path: warnings.simplefilter("ignore", DeprecationWarning),
    "numpy_errors": lambda patch, undo, path: np.seterr(divide="ignore"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_makes_one_new_part(
    name: str, monkeypatch: pytest.MonkeyPatch, undo: ExitStack, tmp_path: Path
) -> None:
    if name == "locale" and locale.setlocale(locale.LC_CTYPE) == "C":
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    # "" stands for the current folder, which one of the changes replaces.
    monkeypatch.setattr(sys, "path", [entry or os.getcwd() for entry in sys.path])
    before = observe()
    CHANGES[name](monkeypatch, undo, tmp_path)
    assert changed(before) == {name}
    after = observe()
    assert observe() is after


def test_setting_a_trap_of_the_decimal_context_makes_a_new_part(undo: ExitStack) -> None:
    decimal.getcontext().traps[decimal.Inexact] = False
    before = observe()
    decimal.getcontext().traps[decimal.Inexact] = True
    assert changed(before) == {"decimal"}
    assert "Inexact" in values()["decimal"]["traps"]


@pytest.mark.skipif(not hasattr(sys, "set_int_max_str_digits"), reason="needs Python 3.10.7")
def test_setting_the_limit_of_integer_digits_makes_a_new_part(undo: ExitStack) -> None:
    before = observe()
    undo.callback(sys.set_int_max_str_digits, sys.get_int_max_str_digits())
    sys.set_int_max_str_digits(7777)
    assert changed(before) == {"int_digits"}
    assert values()["int_digits"] == 7777


def test_a_change_that_is_undone_between_two_observations_makes_no_new_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = observe()
    with monkeypatch.context() as patch:
        patch.setenv("ENACT_POOL_TEST_STATE", "1")
    assert observe() is before


def test_values_are_pickled_without_any_class() -> None:
    for part in observe():
        assert pickle.loads(pickle.dumps(part.value)) == part.value
        # A worker imports no class to load it.
        assert not any("GLOBAL" in op.name for op, _, _ in genops(pickle.dumps(part.value, 5)))


def test_entries_of_sys_path_become_strings_or_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Text(str):
        __slots__ = ()

    class Odd:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("this entry cannot be compared")

        __hash__ = None  # type: ignore[assignment]

    odd: list[Any] = ["", Path("/a"), Text("/b"), b"/c", 4, None, Odd()]
    monkeypatch.setattr(sys, "path", odd)
    path = values()["path"]
    assert path == [os.getcwd(), "/a", "/b"]
    assert {type(entry) for entry in path} == {str}
    parts = observe()
    odd[-1] = Odd()
    assert observe() is parts


def test_a_current_folder_that_was_removed_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert values()["folder"] is None
    assert observe() is observe()


def test_filters_name_their_categories_and_malformed_filters_are_left_out(undo: ExitStack) -> None:
    class ScriptWarning(UserWarning):
        pass

    warnings.resetwarnings()
    warnings.filters[:0] = [  # type: ignore[index]
        ("error", "a text", ScriptWarning, None, 3),
        ("error", None, 5, None, 0),
        ("odd",),
    ]
    warnings.filterwarnings("ignore", "(?i)some", DeprecationWarning, r"a\.b")
    (ignored, error) = values()["warnings"]
    assert ignored[0] == "ignore"
    assert ignored[1][0] == "(?i)some"
    assert ignored[2] == ("builtins", "DeprecationWarning")
    assert ignored[3][0] == r"a\.b"
    assert error == ("error", "a text", (__name__, ScriptWarning.__qualname__), None, 3)


def test_streams_are_duplicated_and_the_null_device_replaces_closed_ones(
    undo: ExitStack, tmp_path: Path
) -> None:
    redirect_stderr(undo, tmp_path / "err")
    for number, name in zip(stream_descriptors(), ("out", "err"), strict=True):
        with open(number, "w") as file:
            file.write(name)
    assert (tmp_path / "err").read_text() == "err"
    os.close(2)
    assert values()["streams"][1] is None
    out, err = stream_descriptors()
    assert min(out, err) > 2
    assert os.path.samestat(os.fstat(err), os.stat(os.devnull))
    os.close(out)
    os.close(err)


def test_threads_never_observe_older_state_after_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "ENACT_POOL_TEST_STATE"
    monkeypatch.setenv(name, "0")
    has_ended = threading.Event()
    wrong: list[object] = []

    def observe_until_the_end() -> None:
        last = 0
        while not has_ended.is_set():
            parts = observe()
            number = int(next(p for p in parts if p.name == "variables").value[name])
            if tuple(part.name for part in parts) != ASPECTS or number < last:
                wrong.append((parts, last))
            last = number

    threads = [threading.Thread(target=observe_until_the_end) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 300):
        monkeypatch.setenv(name, str(number))
        assert values()["variables"][name] == str(number)
    has_ended.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert observe() is observe()


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_observes_anew_though_the_lock_was_held() -> None:
    before = observe()
    with process_state._latest.lock:
        pid = os.fork()
        if pid == 0:
            parts = observe()
            anew = all(one is not other for one, other in zip(before, parts, strict=True))
            os._exit(0 if anew and observe() is parts else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert observe() is before


def test_an_observation_is_fast_if_nothing_has_changed() -> None:
    # About 4 us on a quiet machine. If one of the comparisons always failed: far more.
    assert min(timeit.repeat(observe, number=1000, repeat=5)) / 1000 < 30e-6
