"""Which modules a worker can import: the caller's very file, under the same name.

A worker has the caller's import path, but not what the caller did to its import system:
finders that a test runner added, modules that were loaded from a file by hand, modules that
were made in memory. A module of this kind is a scope: see the package.
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
from enact_pool._mirror.module_versions import Source, is_programs_own, source_of
from enact_pool._mirror.registry import Mirror, module_of

__all__ = ["is_importable"]

# By the names of modules: the module, its spec and file when it was looked up, and the result.
_known: dict[str, tuple[Any, Any, Any, bool]] = {}
_known_path: list[str] = []

# The sources of the program's own modules, as they were when these were looked up first.
_sources: dict[str, tuple[Any, Source]] = {}
# Modules that were edited since they were imported, or patched: importing gives others.
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
    """Note what the source of a module is; return whether it was edited since the import."""
    path = getattr(spec, "origin", None)
    if isinstance(path, str) and is_programs_own(name, path):
        try:
            _sources[name] = spec, source_of(path)
        except OSError:
            _sources.pop(name, None)  # it is in an archive
            return False
        return _is_compiled_otherwise(spec, _sources[name][1])
    return False


def _is_foreign(value: Any) -> bool:
    """Return whether a function or a class is of a module that workers cannot import."""
    if issubclass(type(value), type):
        owner = module_of(value)
    elif type(value) is FunctionType:
        owner = value.__module__ if type(value.__module__) is str else ""
    else:
        return False
    return owner in ("__main__", "__mp_main__") or isinstance(sys.modules.get(owner), Mirror)


def _is_compiled_otherwise(spec: Any, source: Source) -> bool:
    """Return whether the import has left a compiled file of another source."""
    cached = getattr(spec, "cached", None)
    if not isinstance(cached, str) or not os.access(cached, os.W_OK):
        return False
    try:
        with open(cached, "rb") as file:
            header = file.read(16)
    except OSError:
        return False
    _, modified, size, _ = source
    flags, compiled_modified, compiled_size = struct.unpack_from("<4xIII", header)
    if flags:
        return False  # it is known by a hash of its source
    expected = int(modified // 1_000_000_000) & 0xFFFFFFFF, size & 0xFFFFFFFF
    return expected != (compiled_modified, compiled_size)


def _was_edited(name: str, module: ModuleType, spec: Any) -> bool:
    """Return whether a module is not what its source is: one was edited, or the other patched."""
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
        return False  # it is gone: workers say so
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
        # Some of these have another name than their file.
        return True
    parent, _, _ = name.rpartition(".")
    path = None
    if parent:
        if parent in sys.modules and not is_importable(parent):
            return False
        path = getattr(sys.modules.get(parent), "__path__", None)
        if path is None:
            # Its parent makes it while it is imported, as `os` does with `os.path`.
            return parent in sys.modules
    elif spec is None and file is None:
        return name.startswith(_CYTHON)
    others = filter(_is_at_start, sys.meta_path)
    finders: list[Any] = [BuiltinImporter, FrozenImporter, PathFinder, *others]
    for finder in finders:
        try:
            found = finder.find_spec(name, path)
        except Exception:
            # A finder of others, which has its own rules. The next one may know the module.
            continue
        if found is not None:
            return _is_same(found, module, spec, file)
    # A package may make a submodule while it is imported, or find it in a way of its own.
    return bool(parent) and (file is None or _is_found_by(parent, spec))


# Modules that each extension made by Cython shares, and makes if they are not there.
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
    """Return whether a finder is there in each process: those of editable installs are."""
    kind = finder if isinstance(finder, type) else type(finder)
    return kind.__module__.startswith("__editable__") or kind.__name__ == "_EditableFinder"


def _is_same(found: Any, module: ModuleType, spec: Any, file: Any) -> bool:
    if found.origin in ("built-in", "frozen"):
        return True
    if file is None:
        # A namespace package has no file, but folders.
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
        # In an archive, or without a source: compare the text.
        return os.path.abspath(origin) == os.path.abspath(file)
