"""How functions are taken apart: what `rebuild` makes them from, and what that needs."""

from __future__ import annotations

import sys
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

from cloudpickle import cloudpickle as _cloudpickle

from enact_pool._mirror.caller.code_names import (
    IDENTIFIER,
    asks_for_every_name,
    attributes_of,
    names_of,
)
from enact_pool._mirror.caller.needs import EVERY_NAME, Needs
from enact_pool._mirror.caller.scopes import Scope, scopes
from enact_pool._mirror.rebuild.functions import make_dispatcher

__all__ = ["dispatcher_parts", "function_parts", "function_state", "note_annotations"]


def function_parts(
    function: FunctionType, scope: Scope, cells: tuple[CellType, ...] | None, needs: Needs
) -> tuple[Any, ...]:
    """Return the arguments of `make_function`; add what they need to `needs`."""
    needs.scopes[scope] = None
    _note_names(function.__code__, scope, needs)
    return (
        function.__code__,
        scope.key,
        function.__name__,
        function.__qualname__,
        function.__module__,
        function.__doc__,
        cells,
    )


def function_state(function: FunctionType, scope: Scope | None, needs: Needs) -> dict[str, Any]:
    """Return the state for `set_function`; add what it needs to `needs`."""
    state: dict[str, Any] = {}
    if function.__dict__:
        state["attributes"] = function.__dict__
    if function.__defaults__ is not None:
        state["__defaults__"] = function.__defaults__
    if function.__kwdefaults__ is not None:
        state["__kwdefaults__"] = function.__kwdefaults__
    if function.__annotations__:
        state["__annotations__"] = function.__annotations__
        if scope is not None:
            note_annotations(function.__annotations__, scope, needs)
    parameters = getattr(function, "__type_params__", ())
    if parameters:
        state["__type_params__"] = parameters
    modules = _modules_of(function)
    if modules:
        state["imports"] = modules
    return state


def _modules_of(function: FunctionType) -> list[str]:
    """Return the submodules that a function reaches as attributes of packages."""
    contents = function.__globals__
    values = [contents[name] for name in names_of(function.__code__) if name in contents]
    for cell in function.__closure__ or ():
        try:
            values.append(cell.cell_contents)
        except ValueError:
            continue  # it has no value yet
    packages = [value for value in values if type(value) is ModuleType]
    if not packages:
        return []
    found = _cloudpickle._find_imported_submodules(function.__code__, packages)
    return [module.__name__ for module in found if scopes.is_importable(module.__name__, module)]


def _note_names(code: CodeType, scope: Scope, needs: Needs) -> None:
    """Note which globals code refers to."""
    names = names_of(code)
    for name in names:
        needs.names[scope, name] = None
    if asks_for_every_name(code, names):
        needs.names[scope, EVERY_NAME] = None
    _note_imports(code, scope, needs)


def _note_imports(code: CodeType, scope: Scope, needs: Needs) -> None:
    """Note the modules that code imports, and that workers cannot import."""
    package = scope.contents.get("__package__")
    for name in attributes_of(code):
        _note_module(name, needs)
        if package and type(package) is str:
            _note_module(f"{package}.{name}", needs)


def _note_module(name: str, needs: Needs) -> None:
    module = sys.modules.get(name)
    if type(module) is not ModuleType or name == "__main__":
        return
    imported = scopes.scope_of_module(module)
    if imported is not None and imported not in needs.scopes:
        needs.scopes[imported] = None
        needs.names[imported, EVERY_NAME] = None
        _note_module(name.rpartition(".")[0], needs)


def note_annotations(annotations: dict[str, Any], scope: Scope, needs: Needs) -> None:
    """Note which globals the annotations that are strings refer to."""
    for annotation in annotations.values():
        if type(annotation) is str:
            for name in IDENTIFIER.findall(annotation):
                needs.names[scope, name] = None


def dispatcher_parts(function: Any) -> tuple[Any, tuple[Any, ...], Any] | None:
    """Return maker, arguments and state of a `singledispatch` function; None if importable."""
    module = function.__module__
    owner = sys.modules.get(module)
    if (
        isinstance(owner, ModuleType)
        and "<locals>" not in function.__qualname__
        and scopes.is_importable(module, owner)
    ):
        return None
    functions = list(function.registry.items())
    attributes = {
        name: value
        for name, value in function.__dict__.items()
        if name not in ("register", "dispatch", "registry", "_clear_cache")
    }
    first = function.registry[object]
    return make_dispatcher, (first,), (functions, attributes)
