"""Which modules the caller has reloaded, and which source files its modules were loaded from.

A module that a worker imports later, or for the first time in a replacement of a worker,
must be the version that the caller has. So each of the program's own modules is noted with
its source, as that is when it is first seen. Modules of Python and of installed packages
do not change while a program runs.

To look at all modules takes 100 us. But each import, and each `importlib.reload`, puts its
module at the end of `sys.modules`; and a reload puts a new `__spec__` into the module. So
their number, the last one, and its spec say whether there is anything to look at.

IPython's `%autoreload` may also change the functions of a module in place. It does so only
before a cell is run, and notes the time of the source.
"""

from __future__ import annotations

import os
import sys
from importlib.util import source_hash
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Path, time of modification in nanoseconds, size in bytes, and hash.
Source = tuple[str, int, int, bytes]

__all__ = ["ModuleVersions", "Source", "is_current", "is_programs_own", "mark", "source_of"]

_modules = sys.modules
# A module may load itself when it is asked for an attribute: this does not ask it.
_variables_of: Any = vars(ModuleType)["__dict__"].__get__
_OWN_PACKAGE = __name__.partition(".")[0]
_PYTHON = os.path.dirname(os.__file__) + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class ModuleVersions:
    """What is known of the modules of this process. Its users take turns in `look`."""

    def __init__(self) -> None:
        # Kept, so that a new spec cannot have the identity of an old one.
        self._specs: dict[str, Any] = {}
        self._sources: dict[str, Source] = {}
        # How often each module was reloaded since it was first seen; the last one at the end.
        self._reloads: dict[str, int] = {}
        self._times: dict[str, float] = {}

    def look(self) -> tuple[dict[str, Source], dict[str, int]]:
        """Look at all modules. A mark that says when to look again must be made before.

        Returns:
            The sources of the program's own modules, and how often modules were reloaded, in
            the order of their last reload.
        """
        reloaded = []
        for name, module in list(_modules.items()):
            spec, known = _spec_of(module), self._specs.get(name)
            if spec is None or spec is known or spec.name != name:
                continue
            self._specs[name] = spec
            if known is not None:
                reloaded.append(name)
            self._note_source(name)
        for name in self._changed_in_place():
            if name not in reloaded:
                reloaded.append(name)
                self._note_source(name)
        for name in reloaded:
            self._reloads[name] = self._reloads.pop(name, 0) + 1
        for name in self._sources.keys() - _modules.keys():
            del self._sources[name]
        return dict(self._sources), dict(self._reloads)

    def _note_source(self, name: str) -> None:
        self._sources.pop(name, None)
        path = getattr(self._specs.get(name), "origin", None)
        if isinstance(path, str) and is_programs_own(name, path):
            try:
                self._sources[name] = source_of(path)
            except OSError:
                pass  # removed meanwhile: no worker can import it

    def _changed_in_place(self) -> list[str]:
        """Return the modules that IPython has reloaded since the last look."""
        times = _autoreload_times()
        before, self._times = (
            self._times,
            {name: times[name] for name in self._sources.keys() & times},
        )
        return [name for name, time in self._times.items() if before.get(name, time) != time]


def source_of(path: str) -> Source:
    """Return what tells one version of a source file from another. Raises `OSError`."""
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        return path, status.st_mtime_ns, status.st_size, source_hash(file.read())


def mark() -> tuple[Any, ...]:
    """Return what changes when a module is imported, removed or reloaded."""
    module = _modules.get(next(reversed(_modules), None))  # type: ignore[arg-type]
    # Not the shell's attribute, which takes ten times as long.
    state = getattr(_shell(), "_trait_values", None)
    cell = None if state is None else state.get("execution_count")
    return len(_modules), module, _spec_of(module), state, cell


def is_current(mark: tuple[Any, ...]) -> bool:
    """Whether nothing that it stands for has changed since the mark was made."""
    count, last, spec, state, cell = mark
    module = _modules.get(next(reversed(_modules), None))  # type: ignore[arg-type]
    return (
        len(_modules) == count
        and module is last
        and _spec_of(module) is spec
        and (state is None or state.get("execution_count") == cell)
    )


def _spec_of(module: Any) -> Any:
    # Not `isinstance`, which may ask it as well.
    return _variables_of(module).get("__spec__") if issubclass(type(module), ModuleType) else None


def is_programs_own(name: str, path: str) -> bool:
    """Whether a module is the program's, and workers import it by its name."""
    return (
        path.endswith(".py")
        and name not in ("__main__", "__mp_main__")
        and name.partition(".")[0] != _OWN_PACKAGE
        and not any(folder in path for folder in _INSTALLED)
        and not path.startswith(_PYTHON)
    )


def _shell() -> Any:
    """Return IPython's shell, if there is one."""
    module: Any = _modules.get("IPython.core.interactiveshell")
    return getattr(getattr(module, "InteractiveShell", None), "_instance", None)


def _autoreload_times() -> dict[str, float]:
    """Return the times of the sources that `%autoreload` has loaded, in seconds, by module."""
    try:
        magics = _shell().magics_manager.registry["AutoreloadMagics"]
        return dict(magics._reloader.modules_mtimes)
    except (AttributeError, KeyError):
        return {}  # it is not in use, or keeps them elsewhere: then `__spec__` has to do
