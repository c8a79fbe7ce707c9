"""Which modules a worker can import: from the caller's very file, under the same name.

A worker has the caller's import path, but not the changes that the caller made to its import
system: finders that a test runner added, modules that were loaded from a file by hand, modules that
were made in memory. Each of these modules is a scope: see the package.
"""

from __future__ import annotations

import os
import struct
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from types import FunctionType, ModuleType
from typing import Any

import cloudpickle

from enact_pool._mirror.caller.patches import was_patched
from enact_pool._mirror.module_versions import Source, belongs_to_program, source_of
from enact_pool._mirror.registry import Mirror, module_of

__all__ = ["by_value_modules", "is_importable"]

# By name: the module, its spec and file when its name was searched for, and the result.
_known: dict[str, tuple[Any, Any, Any, bool]] = {}
_known_path: list[str] = []

# By name: the spec and the source of the program's own modules when they were first inspected.
_sources: dict[str, tuple[Any, Source]] = {}
# By name: modules that were edited after their import, or patched. A worker would import another.
_edited: dict[str, ModuleType] = {}


def is_importable(name: str) -> bool:
    """Return whether a worker that imports this name gets the module that the caller has."""
    module = sys.modules.get(name)
    if not isinstance(module, ModuleType) or isinstance(module, Mirror):
        return False
    if name in ("__main__", "__mp_main__"):
        return False
    if _known_path != sys.path:
        _known.clear()
        _known_path[:] = sys.path
    if name in _edited and _edited[name] is module:
        return False
    contents = module.__dict__
    spec, file = contents.get("__spec__"), contents.get("__file__")
    known = _known.get(name)
    if known is not None and known[0] is module and known[1] is spec and known[2] is file:
        return known[3] and not _was_edited(name, module, spec)
    result = _can_be_found(name, module, spec, file)
    if result and (_note_source(name, spec) or _was_edited(name, module, spec)):
        _edited[name] = module
        result = False
    _known[name] = module, spec, file, result
    return result


def _note_source(name: str, spec: Any) -> bool:
    """Note the source of a module; return whether it was edited after the import."""
    path = getattr(spec, "origin", None)
    if isinstance(path, str) and belongs_to_program(name, path):
        try:
            _sources[name] = spec, source_of(path)
        except OSError:
            _sources.pop(name, None)  # the module is in an archive
            return False
        return _is_compiled_otherwise(spec, _sources[name][1])
    return False


def _is_foreign(value: Any) -> bool:
    """Return whether a value is a function or class of a module that workers cannot import."""
    if issubclass(type(value), type):
        owner = module_of(value)
    elif type(value) is FunctionType:
        owner = value.__module__ if type(value.__module__) is str else ""
    else:
        return False
    return owner in ("__main__", "__mp_main__") or isinstance(sys.modules.get(owner), Mirror)


def _is_compiled_otherwise(spec: Any, source: Source) -> bool:
    """Return whether the import has written a compiled file of another source."""
    cached = getattr(spec, "cached", None)
    if not isinstance(cached, str) or not os.access(cached, os.W_OK):
        return False
    try:
        with open(cached, "rb") as file:
            header = file.read(16)
    except OSError:
        return False
    if len(header) < 16:
        return False  # Python compiles it again
    _, modified, size, _ = source
    flags, compiled_modified, compiled_size = struct.unpack_from("<4xIII", header)
    if flags:
        return False  # the file contains a hash of its source, not a time
    expected = int(modified // 1_000_000_000) & 0xFFFFFFFF, size & 0xFFFFFFFF
    return expected != (compiled_modified, compiled_size)


def _was_edited(name: str, module: ModuleType, spec: Any) -> bool:
    """Return whether a module differs from its source: by an edit of the file, or by a patch."""
    noted = _sources.get(name)
    if noted is None or noted[0] is not spec:
        return False
    if was_patched(name, module, _is_foreign):
        _edited[name] = module
        return True
    path, modified, size, digest = noted[1]
    try:
        status = os.stat(path)
        if (status.st_mtime_ns, status.st_size) == (modified, size):
            return False
        source = source_of(path)
    except OSError:
        return False  # the file is gone: the import in the worker fails
    if source[3] == digest:
        _sources[name] = spec, source
        return False
    _edited[name] = module
    return True


def by_value_modules() -> set[str]:
    """Return the names of modules that the user has registered to be sent by value."""
    return cloudpickle.list_registry_pickle_by_value()  # type: ignore[no-any-return]


def _can_be_found(name: str, module: ModuleType, spec: Any, file: Any) -> bool:
    if _is_standard(name) and (file is None or str(file).startswith(_STANDARD_FOLDER)):
        # The name of some of these differs from that of their file.
        return True
    parent, _, _ = name.rpartition(".")
    path = None
    if parent:
        if parent in sys.modules and not is_importable(parent):
            return False
        path = getattr(sys.modules.get(parent), "__path__", None)
        if path is None:
            # Its parent makes it during the import, as `os` does with `os.path`.
            return parent in sys.modules
    elif spec is None and file is None:
        return name.startswith(_CYTHON)
    others = filter(_is_at_start, sys.meta_path)
    finders: list[Any] = [BuiltinImporter, FrozenImporter, PathFinder, *others]
    for finder in finders:
        try:
            found = finder.find_spec(name, path)
        except Exception:
            # A finder of another package may have its own rules. The next one may know the module.
            continue
        if found is not None:
            return _is_same(found, module, spec, file)
    # A package may make a submodule during its import, or find it with a loader of its own.
    return bool(parent) and (file is None or _is_found_by(parent, spec))


# The modules that all extensions made by Cython share. An extension makes those that are missing.
_CYTHON = "_cython_", "_cyutility", "cython_runtime"

_STANDARD_FOLDER = os.path.dirname(os.__file__) + os.sep


def _is_standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names


def _is_found_by(package: str, spec: Any) -> bool:
    """Return whether the loader of a module belongs to a package."""
    loader = getattr(spec, "loader", None)
    kind = loader if isinstance(loader, type) else type(loader)
    return kind.__module__.partition(".")[0] == package.partition(".")[0]


def _is_at_start(finder: Any) -> bool:
    """Return whether every process has a finder: those of editable installs are in all of them."""
    kind = finder if isinstance(finder, type) else type(finder)
    return kind.__module__.startswith("__editable__") or kind.__name__ == "_EditableFinder"


def _is_same(found: Any, module: ModuleType, spec: Any, file: Any) -> bool:
    if found.origin in ("built-in", "frozen"):
        return True
    if file is None:
        # A namespace package has folders instead of a file.
        places = found.submodule_search_locations
        ours = getattr(module, "__path__", None)
        if found.origin is not None or places is None or ours is None:
            return False
        return set(map(os.path.realpath, places)) == set(map(os.path.realpath, ours))
    origin = found.origin
    if not isinstance(origin, str) or not isinstance(file, str):
        return False
    if origin == file or getattr(spec, "origin", None) == origin:
        return True
    try:
        return os.path.samefile(origin, file)
    except OSError:
        # The module is in an archive, or has no source: compare the paths.
        return os.path.abspath(origin) == os.path.abspath(file)
