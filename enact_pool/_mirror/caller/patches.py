"""Whether a test has patched one of the program's own modules.

Workers import a module by its name, and would not see the objects that `unittest.mock` or
pytest's `monkeypatch` has put into it. From then on, a patched module is treated like a script:
its functions are sent with the caller's values. Modules that import it see the patch only if they
are sent, too.

While neither `unittest.mock` nor `_pytest.monkeypatch` is imported, this costs two lookups.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from enact_pool._mirror.registry import module_of

__all__ = ["was_patched"]

# By the names of modules: the module, and the ids of its values when it was first inspected.
_baselines: dict[str, tuple[ModuleType, dict[tuple[str, str], int]]] = {}
# By the names of modules: the ids at the last inspection that found no patch.
_unchanged: dict[str, list[int]] = {}


def was_patched(name: str, module: ModuleType, is_foreign: Callable[[Any], bool]) -> bool:
    """Return whether a test has replaced values of a module since it was first inspected.

    Args:
        is_foreign: Return whether a value is a function or class that no importable module has.
    """
    if "unittest.mock" not in sys.modules and "_pytest.monkeypatch" not in sys.modules:
        return False
    values = dict(_values_of(module))
    ids = list(map(id, values.values()))
    if _unchanged.get(name) == ids:
        return False
    known = _baselines.get(name)
    if known is None or known[0] is not module:
        found = any(map(is_foreign, values.values())) or any(map(_is_mock, values.values()))
        known = _baselines[name] = module, dict(zip(values, ids, strict=True))
    else:
        changed = [place for place, value in values.items() if known[1].get(place) != id(value)]
        own = _bound_by_functions(module) if changed else set()
        # Globals that the module's own functions bind are its state, which each process has.
        found = any(
            (place in known[1] and place[1] not in own)
            or is_foreign(values[place])
            or _is_mock(values[place])
            for place in changed
        )
    if not found:
        _unchanged[name] = ids
    return found


def _values_of(module: ModuleType) -> Iterator[tuple[tuple[str, str], Any]]:
    """Yield the globals of a module, and the attributes of the classes that it defines."""
    for name, value in list(module.__dict__.items()):
        if name.startswith("__"):
            continue
        yield ("", name), value
        if issubclass(type(value), type) and module_of(value) == module.__name__:
            for attribute, inner in list(value.__dict__.items()):
                if not attribute.startswith("_abc_") and attribute not in _CACHED:
                    wraps = type(inner) in (classmethod, staticmethod)
                    yield (name, attribute), inner.__func__ if wraps else inner


# Attributes that Python stores in classes as a cache.
_CACHED = frozenset(("__slotnames__", "__annotations__", "__abstractmethods__", "__doc__"))


def _is_mock(value: Any) -> bool:
    mock: Any = sys.modules.get("unittest.mock")
    return mock is not None and issubclass(type(value), mock.NonCallableMock)


def _bound_by_functions(module: ModuleType) -> set[str]:
    """Return the names of the globals that functions of the module bind."""
    found: set[str] = set()
    codes: list[Any] = [
        value.__code__ for _, value in _values_of(module) if type(value) is FunctionType
    ]
    while codes:
        code: CodeType = codes.pop()
        found |= {
            str(each.argval) for each in dis.get_instructions(code) if each.opname == "STORE_GLOBAL"
        }
        codes += [constant for constant in code.co_consts if type(constant) is CodeType]
    return found
