"""Changes of the caller's process state become new parts, and nothing else does."""

from __future__ import annotations

import decimal
import importlib
import locale
import os
import pickle
import sys
import threading
import timeit
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from pickletools import genops
from typing import Any

import numpy as np
import pytest

from enact_pool._mirror.caller import process_state as caller_state
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
    """Return the names of the parts that are new since `before`."""
    return {new.name for old, new in zip(before, observe(), strict=True) if new is not old}


@pytest.fixture
def undo() -> Iterator[ExitStack]:
    """Return a stack of functions that are called when the test ends."""
    with ExitStack() as stack:
        stack.callback(sys.setrecursionlimit, sys.getrecursionlimit())
        stack.callback(decimal.setcontext, decimal.getcontext())
        decimal.setcontext(decimal.getcontext().copy())
        stack.callback(locale.setlocale, locale.LC_ALL, locale.setlocale(locale.LC_ALL))
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(np.errstate())
        yield stack


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """Return a module of the program, which was observed before."""
    (tmp_path / "own_module_of_test.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("own_module_of_test")
    sys.modules.pop("own_module_of_test", None)


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
    # "" means the current folder, which one of the changes affects.
    monkeypatch.setattr(sys, "path", [entry or os.getcwd() for entry in sys.path])
    before = observe()
    CHANGES[name](monkeypatch, undo, tmp_path)
    assert changed(before) == {name}
    after = observe()
    assert observe() is after


def test_a_trap_of_the_decimal_context_is_a_change(undo: ExitStack) -> None:
    decimal.getcontext().traps[decimal.Inexact] = False
    before = observe()
    decimal.getcontext().traps[decimal.Inexact] = True
    assert changed(before) == {"decimal"}
    assert "Inexact" in values()["decimal"]["traps"]


@pytest.mark.skipif(not hasattr(sys, "set_int_max_str_digits"), reason="newer Pythons only")
def test_the_limit_of_digits_is_a_part(undo: ExitStack) -> None:
    before = observe()
    undo.callback(sys.set_int_max_str_digits, sys.get_int_max_str_digits())
    sys.set_int_max_str_digits(7777)
    assert changed(before) == {"int_digits"}
    assert values()["int_digits"] == 7777


def test_a_change_that_is_undone_before_the_next_snapshot_is_not_a_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = observe()
    with monkeypatch.context() as patch:
        patch.setenv("ENACT_POOL_TEST_STATE", "1")
    assert observe() is before


def test_the_values_are_plain() -> None:
    for part in observe():
        assert pickle.loads(pickle.dumps(part.value)) == part.value
        # Unpickling them imports no class.
        assert not any("GLOBAL" in op.name for op, _, _ in genops(pickle.dumps(part.value, 5)))


def test_odd_entries_of_the_path_become_plain_or_are_omitted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Text(str):
        __slots__ = ()

    class Odd:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("it cannot be compared")

        __hash__ = None  # type: ignore[assignment]

    odd: list[Any] = ["", Path("/a"), Text("/b"), b"/c", 4, None, Odd()]
    monkeypatch.setattr(sys, "path", odd)
    path = values()["path"]
    assert path == [os.getcwd(), "/a", "/b"]
    assert {type(entry) for entry in path} == {str}
    parts = observe()
    odd[-1] = Odd()
    assert observe() is parts


def test_a_removed_folder_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert values()["folder"] is None
    assert observe() is observe()


def test_filters_name_their_categories_and_odd_ones_are_omitted(undo: ExitStack) -> None:
    class OfTheScript(UserWarning):
        pass

    warnings.resetwarnings()
    warnings.filters[:0] = [  # type: ignore[index]
        ("error", "a text", OfTheScript, None, 3),
        ("error", None, 5, None, 0),
        ("odd",),
    ]
    warnings.filterwarnings("ignore", "(?i)some", DeprecationWarning, r"a\.b")
    (ignored, error) = values()["warnings"]
    assert ignored[0] == "ignore"
    assert ignored[1][0] == "(?i)some"
    assert ignored[2] == ("builtins", "DeprecationWarning")
    assert ignored[3][0] == r"a\.b"
    assert error == ("error", "a text", (__name__, OfTheScript.__qualname__), None, 3)


def test_streams_are_duplicated_and_closed_ones_become_the_null_device(
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


def test_every_reload_is_detected(own_module: types.ModuleType) -> None:
    path = str(own_module.__file__)
    sources, reloads = values()["modules"]
    count = reloads.get(own_module.__name__, 0)
    assert sources[own_module.__name__][0] == path
    for number in (1, 2):
        before = observe()
        Path(path).write_text(f"VALUE = 'number {number}'\n")
        assert observe() is before
        importlib.reload(own_module)
        assert changed(before) == {"modules"}
        new_sources, reloads = values()["modules"]
        assert reloads[own_module.__name__] == count + number
        assert new_sources[own_module.__name__] != sources[own_module.__name__]
        assert list(reloads)[-1] == own_module.__name__


def test_a_reload_is_detected_if_another_module_is_imported_after_it(
    own_module: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As before: the same number of modules, and one without a spec at the end.
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "one_of_test", types.ModuleType("one_of_test"))
        count = values()["modules"][1].get(own_module.__name__, 0)
    importlib.reload(own_module)
    monkeypatch.setitem(sys.modules, "another_of_test", types.ModuleType("another_of_test"))
    assert values()["modules"][1][own_module.__name__] == count + 1


def test_a_module_that_is_imported_again_counts_as_reloaded(own_module: types.ModuleType) -> None:
    name = own_module.__name__
    count = values()["modules"][1].get(name, 0)
    del sys.modules[name]
    assert name not in values()["modules"][0]
    importlib.import_module(name)
    sources, reloads = values()["modules"]
    assert name in sources
    assert reloads[name] == count + 1


def test_modules_of_python_and_packages_do_not_belong_to_the_program() -> None:
    sources, _ = values()["modules"]
    assert "conftest" in sources or "tests.conftest" in sources
    assert not sources.keys() & {
        "json",
        "os",
        "numpy",
        "pytest",
        "__main__",
        "enact_pool._api.pool",
    }


def test_lazy_modules_are_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(types.ModuleType):
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError("it was asked")

    monkeypatch.setitem(sys.modules, "lazy_of_test", Lazy("lazy_of_test"))
    monkeypatch.setitem(sys.modules, "odd_of_test", 5)
    assert observe() is observe()


def test_functions_that_ipython_replaces_in_place_count_as_reloaded(
    own_module: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = own_module.__name__
    times = {name: 1.0}
    reloader = types.SimpleNamespace(modules_mtimes=times)
    magics = types.SimpleNamespace(_reloader=reloader)
    shell = types.SimpleNamespace(
        _trait_values={"execution_count": 1},
        magics_manager=types.SimpleNamespace(registry={"AutoreloadMagics": magics}),
    )
    module: Any = types.ModuleType("IPython.core.interactiveshell")
    module.InteractiveShell = types.SimpleNamespace(_instance=shell)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    count = values()["modules"][1].get(name, 0)
    shell._trait_values["execution_count"] = 2
    assert values()["modules"][1].get(name, 0) == count
    times[name] = 2.0
    shell._trait_values["execution_count"] = 3
    assert values()["modules"][1][name] == count + 1
    before = observe()
    shell._trait_values["execution_count"] = 4
    assert observe() is before


def test_threads_see_no_inconsistent_state(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "ENACT_POOL_TEST_STATE"
    monkeypatch.setenv(name, "0")
    ends = threading.Event()
    wrong: list[object] = []

    def look() -> None:
        last = 0
        while not ends.is_set():
            parts = observe()
            number = int(next(p for p in parts if p.name == "variables").value[name])
            if tuple(part.name for part in parts) != ASPECTS or number < last:
                wrong.append((parts, last))
            last = number

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 300):
        monkeypatch.setenv(name, str(number))
        assert values()["variables"][name] == str(number)
    ends.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert observe() is observe()


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_starts_with_a_new_snapshot() -> None:
    before = observe()
    with caller_state._latest.lock:
        pid = os.fork()
        if pid == 0:
            parts = observe()
            anew = all(one is not other for one, other in zip(before, parts, strict=True))
            os._exit(0 if anew and observe() is parts else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert observe() is before


def test_a_snapshot_is_quick_if_nothing_has_changed() -> None:
    # About 4 us on an idle machine; many more if one of the comparisons always fails.
    assert min(timeit.repeat(observe, number=1000, repeat=5)) / 1000 < 30e-6
