"""How a worker follows the modules of its caller: the versions that are imported, and reloads.

All workers of a pool must run the same version of a module. So

- before a worker imports one of the program's own modules, it compares the source with the one
  that the caller has seen. If the source was edited and not reloaded, an error is raised;
- a worker reloads the modules that the caller has reloaded, in place and in the same order. Then
  it updates what other modules have imported from them, which a new worker would not need.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import FunctionType, ModuleType

from enact_pool._mirror.registry import Mirror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from enact_pool._mirror.module_versions import Source

__all__ = ["FollowedModules"]

# Stands for a name that a module does not have.
_NOTHING = object()
# The attributes that a class keeps when it is updated.
_KEPT = frozenset({"__dict__", "__weakref__", "__module__", "__doc__", "__slots__"})


class FollowedModules:
    """The modules of this worker that are the program's own. Also a finder in `sys.meta_path`."""

    def __init__(self, reloads: dict[str, int]) -> None:
        """`reloads` are the numbers of reloads of modules before this worker imported any."""
        self._reloads = dict(reloads)
        self._sources: dict[str, Source] = {}

    def check(self, sources: dict[str, Source]) -> None:
        """Allow imports of the program's own modules from these sources only."""
        if sources != self._sources:
            importlib.invalidate_caches()  # the program may have written a module just now
        self._sources = sources
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        """Raise `ImportError` if the source was edited. Other finders find the module."""
        source = self._sources.get(name)
        if source is None:
            return
        path, modified, size, _ = source
        try:
            status = os.stat(path)
            if (status.st_mtime_ns, status.st_size) == (modified, size):
                return
            # Here, since it is needed only if the file was touched.
            from enact_pool._mirror.module_versions import source_of

            is_same = source_of(path)[3] == source[3]
        except OSError:
            return  # the finder of the module raises an error
        if not is_same:
            raise ImportError(
                f"the module {name!r} was edited after the program imported it: "
                f"reload it in the program (importlib.reload), or start the program again",
                name=name,
                path=path,
            )

    def follow(self, reloads: dict[str, int]) -> None:
        """Reload the modules that were reloaded since the last call. Raises `ImportError`."""
        for name, count in reloads.items():
            if count == self._reloads.get(name, 0):
                continue
            module = sys.modules.get(name)
            # A mirror receives the contents of the reloaded module instead.
            if isinstance(module, ModuleType) and not isinstance(module, Mirror):
                try:
                    _reload(module, self._sources)
                except BaseException as error:  # code of the module may raise any exception
                    raise ImportError(
                        f"the module {name!r}, which the program has reloaded, cannot be "
                        f"reloaded in the worker: {type(error).__name__}: {error}",
                        name=name,
                    ) from error
            self._reloads[name] = count


def _reload(module: ModuleType, sources: Iterable[str]) -> None:
    importlib.invalidate_caches()
    before = dict(vars(module))
    importlib.reload(module)
    changed = {
        key: (old, vars(module)[key])
        for key, old in before.items()
        if not key.startswith("__") and key in vars(module) and vars(module)[key] is not old
    }
    _rebind(module.__name__, changed, sources)
    for old, new in changed.values():
        if getattr(old, "__module__", None) == module.__name__:
            _update(old, new)


def _update(old: Any, new: Any) -> None:
    """Update an old function or class, which other objects may still refer to, to the new one."""
    if isinstance(old, FunctionType) and isinstance(new, FunctionType):
        for name in ("__code__", "__defaults__", "__kwdefaults__", "__dict__"):
            try:
                setattr(old, name, getattr(new, name))
            except ValueError:
                return  # the number of free variables differs
    elif isinstance(old, type) and isinstance(new, type):
        _update_class(old, new)


def _update_class(old: type, new: type) -> None:
    for name in vars(old).keys() - vars(new).keys() - _KEPT:
        try:
            delattr(old, name)
        except (AttributeError, TypeError):
            continue
    for name, value in list(vars(new).items()):
        known = vars(old).get(name)
        if isinstance(known, FunctionType) and isinstance(value, FunctionType):
            _update(known, value)  # not replaced: `super()` in it needs the old class
        elif name not in _KEPT:
            try:
                setattr(old, name, value)
            except (AttributeError, TypeError):
                continue  # for example a slot
    subclasses: list[type] = type.__subclasses__(old)
    for kind in subclasses:
        try:
            kind.__bases__ = tuple(new if base is old else base for base in kind.__bases__)
        except TypeError:
            continue  # the layout of its instances differs


def _rebind(name: str, changed: dict[str, tuple[Any, Any]], sources: Iterable[str]) -> None:
    """Set the new values in the program's modules that contain `from name import key`."""
    old_values = {id(old) for old, _ in changed.values()}
    for other in map(sys.modules.get, sources):
        if not isinstance(other, ModuleType) or other.__name__ == name:
            continue
        variables = vars(other)
        # Few modules contain an old value. Only the source shows whether that is a coincidence.
        if old_values.isdisjoint(map(id, list(variables.values()))):
            continue
        for imported, alias in _imported_names(other, name):
            for key in changed if imported == "*" else (imported,):
                old, new = changed.get(key, (_NOTHING, None))
                if variables.get(alias or key) is old:
                    variables[alias or key] = new


def _imported_names(module: ModuleType, name: str) -> list[tuple[str, str | None]]:
    """Return the names that a module's source imports from another module, and their aliases."""
    import ast  # importing it takes longer than most workers take to start

    path = getattr(module, "__file__", None) or ""
    if not path.endswith(".py"):
        return []
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, ValueError):
        return []
    found: list[tuple[str, str | None]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                package = (module.__package__ or "").rsplit(".", node.level - 1)[0]
                source = f"{package}.{source}".rstrip(".")
            if source == name:
                found += [(alias.name, alias.asname) for alias in node.names]
    return found
