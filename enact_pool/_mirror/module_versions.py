"""Which modules the caller has reloaded, and which source files its modules were loaded from.

A worker may import a module later than the caller, or in the place of a worker that exited. It must
get the caller's version. So the source of each of the program's own modules is noted when the
module is first inspected. Modules of Python and of installed packages do not change while a
program runs.

Inspecting all modules takes 100 us. But each import, and each `importlib.reload`, puts its module
at the end of `sys.modules`; and a reload puts a new `__spec__` into the module. So the number of
modules, the last one, and its spec show whether anything has changed.

IPython's `%autoreload` may also change the functions of a module in place. It does so only
before a cell runs, and stores the modification time of the source.
"""

from __future__ import annotations

import os
import sys
from importlib.util import source_hash
from types import ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Path, modification time in nanoseconds, size in bytes, and hash of a source file.
Source = tuple[str, int, int, bytes]

__all__ = ["ModuleVersions", "Source", "belongs_to_program", "is_current", "mark", "source_of"]

_modules = sys.modules
# Reading an attribute of a lazy module may import it. This reads its `__dict__` instead.
_variables_of: Any = vars(ModuleType)["__dict__"].__get__
_OWN_PACKAGE = __name__.partition(".")[0]
_PYTHON = os.path.dirname(os.__file__) + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class ModuleVersions:
    """The versions of the modules of this process. Only one thread at a time may call `inspect`."""

    def __init__(self) -> None:
        # Kept alive, so that a new spec cannot have the identity of an old one.
        self._specs: dict[str, Any] = {}
        self._sources: dict[str, Source] = {}
        # How often each module was reloaded; the one that was reloaded last is at the end.
        self._reloads: dict[str, int] = {}
        self._times: dict[str, float] = {}

    def inspect(self) -> tuple[dict[str, Source], dict[str, int]]:
        """Inspect all modules. Make the mark for the next check before this call.

        Returns:
            The sources of the program's own modules, and how often modules were reloaded, in
            the order of their last reload.
        """
        reloaded = []
        for name, module in _modules.copy().items():
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
        if isinstance(path, str) and belongs_to_program(name, path):
            try:
                self._sources[name] = source_of(path)
            except OSError:
                pass  # the file is gone: no worker can import the module

    def _changed_in_place(self) -> list[str]:
        """Return the modules that IPython has reloaded since the last inspection."""
        times = _autoreload_times()
        before, self._times = (
            self._times,
            {name: times[name] for name in self._sources.keys() & times},
        )
        return [name for name, time in self._times.items() if before.get(name, time) != time]


def source_of(path: str) -> Source:
    """Return what distinguishes the versions of a source file.

    Raises:
        OSError: if the file cannot be read.
    """
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        return path, status.st_mtime_ns, status.st_size, source_hash(file.read())


def mark() -> tuple[Any, ...]:
    """Return a value that changes when a module is imported, removed or reloaded."""
    module = _modules.get(next(reversed(_modules), None))  # type: ignore[arg-type]
    # Reading the shell's attribute instead would take ten times as long.
    state = getattr(_shell(), "_trait_values", None)
    cell = None if state is None else state.get("execution_count")
    return len(_modules), module, _spec_of(module), state, cell


def is_current(mark: tuple[Any, ...]) -> bool:
    """Return whether no module was imported, removed or reloaded since the mark was made."""
    count, last, spec, state, cell = mark
    module = _modules.get(next(reversed(_modules), None))  # type: ignore[arg-type]
    return (
        len(_modules) == count
        and module is last
        and _spec_of(module) is spec
        and (state is None or state.get("execution_count") == cell)
    )


def _spec_of(module: Any) -> Any:
    # Not `isinstance`, which may read an attribute of the module as well.
    return _variables_of(module).get("__spec__") if issubclass(type(module), ModuleType) else None


def belongs_to_program(name: str, path: str) -> bool:
    """Return whether a module is the program's own, and workers import it by its name."""
    return (
        path.endswith(".py")
        and name not in ("__main__", "__mp_main__")
        and name.partition(".")[0] != _OWN_PACKAGE
        and not any(folder in path for folder in _INSTALLED)
        and not path.startswith(_PYTHON)
    )


def _shell() -> Any:
    """Return IPython's shell; None if there is none."""
    module: Any = _modules.get("IPython.core.interactiveshell")
    return getattr(getattr(module, "InteractiveShell", None), "_instance", None)


def _autoreload_times() -> dict[str, float]:
    """Return the modification times, in seconds, of the modules that `%autoreload` has loaded."""
    try:
        magics = _shell().magics_manager.registry["AutoreloadMagics"]
        return dict(magics._reloader.modules_mtimes)
    except (AttributeError, KeyError):
        return {}  # `%autoreload` is not in use, or stores them elsewhere: use `__spec__` only
