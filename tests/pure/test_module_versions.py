"""Imports, removals and reloads of modules make a new part of the process state."""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from enact_pool._mirror.caller.process_state import observe


def modules() -> tuple[dict[str, Any], dict[str, int]]:
    """Return the sources of modules, and how often each was reloaded."""
    (part,) = (part for part in observe() if part.name == "modules")
    sources, reloads = part.value
    return sources, reloads


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """Yield a module of the program, which was imported from a file of its own."""
    (tmp_path / "own_module_of_test.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("own_module_of_test")
    sys.modules.pop("own_module_of_test", None)


def test_each_reload_makes_a_new_part(own_module: types.ModuleType) -> None:
    path = str(own_module.__file__)
    sources, reloads = modules()
    count = reloads.get(own_module.__name__, 0)
    assert sources[own_module.__name__][0] == path
    for number in (1, 2):
        before = observe()
        Path(path).write_text(f"VALUE = 'number {number}'\n")
        assert observe() is before
        importlib.reload(own_module)
        assert [part.name for part in observe() if part not in before] == ["modules"]
        new_sources, reloads = modules()
        assert reloads[own_module.__name__] == count + number
        assert new_sources[own_module.__name__] != sources[own_module.__name__]
        assert list(reloads)[-1] == own_module.__name__


def test_a_reload_is_noticed_if_another_module_is_imported_after_it(
    own_module: types.ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Afterwards there are as many modules as before, and again the last one has no spec.
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "one_of_test", types.ModuleType("one_of_test"))
        count = modules()[1].get(own_module.__name__, 0)
    importlib.reload(own_module)
    monkeypatch.setitem(sys.modules, "another_of_test", types.ModuleType("another_of_test"))
    assert modules()[1][own_module.__name__] == count + 1


def test_a_module_that_is_removed_and_imported_again_counts_as_reloaded(
    own_module: types.ModuleType,
) -> None:
    name = own_module.__name__
    count = modules()[1].get(name, 0)
    del sys.modules[name]
    assert name not in modules()[0]
    importlib.import_module(name)
    sources, reloads = modules()
    assert name in sources
    assert reloads[name] == count + 1


def test_modules_of_python_and_of_installed_packages_have_no_noted_source() -> None:
    sources, _ = modules()
    assert "conftest" in sources or "tests.conftest" in sources
    assert not sources.keys() & {
        "json",
        "os",
        "numpy",
        "pytest",
        "__main__",
        "enact_pool._api.pool",
    }


def test_attributes_of_lazy_modules_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy(types.ModuleType):
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(f"{name} was read")

    monkeypatch.setitem(sys.modules, "lazy_of_test", Lazy("lazy_of_test"))
    monkeypatch.setitem(sys.modules, "odd_of_test", 5)
    assert observe() is observe()


def test_a_module_that_ipython_changes_in_place_counts_as_reloaded(
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
    count = modules()[1].get(name, 0)
    shell._trait_values["execution_count"] = 2
    assert modules()[1].get(name, 0) == count
    times[name] = 2.0
    shell._trait_values["execution_count"] = 3
    assert modules()[1][name] == count + 1
    before = observe()
    shell._trait_values["execution_count"] = 4
    assert observe() is before
