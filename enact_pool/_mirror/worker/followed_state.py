"""How a worker follows the process state of its caller: it applies the parts that it receives.

The caller's side is `process_state`. Each part is one aspect of the caller's state now. A change
by the worker itself, such as one by an initializer, stays until the caller changes the same thing:

| part | value | what is applied |
| --- | --- | --- |
| folder | path, or None | the working directory; None, for a removed one, changes nothing |
| variables | dict | the differences from the caller's variables before |
| path | list of str | all entries; the worker's own entries stay beside them |
| streams | identities | the received descriptors become 1 and 2: see `output_relay` |
| recursion_limit, int_digits, locale | number, name | the value |
| decimal | fields by name, or None | the context of the thread that applies the part |
| warnings | list of tuples | all filters |
| numpy_errors | dict, or None | all settings |
| modules | sources, reloads | see `followed_modules` |

After `ProcessState.follow` is called, the applied state is restored after each task.
"""

from __future__ import annotations

import _locale
import os
import re
import sys
import time
import warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from enact_pool._mirror.worker.followed_modules import FollowedModules

__all__ = ["RELAYED", "FollowedState"]

# Bound here: a callable may clear or patch the modules that they come from.
_chdir, _close, _dup2 = os.chdir, os.close, os.dup2
_environ = os.environ
_set_limit = sys.setrecursionlimit
_set_int_digits: Any = getattr(sys, "set_int_max_str_digits", None)  # from Python 3.10.7 on
_set_locale, _ALL = _locale.setlocale, _locale.LC_ALL
_modules = sys.modules
_LocaleError: Any = _locale.Error  # type: ignore[attr-defined]

_STREAMS = (1, 2)

# The first part of the identity of a stream that is the pipe of an output relay.
RELAYED = "relayed"

# The initial settings of modules. A worker does not import a module to apply these.
_USUAL: dict[str, Any] = {
    "decimal": {
        "prec": 28,
        "rounding": "ROUND_HALF_EVEN",
        "Emin": -999999,
        "Emax": 999999,
        "capitals": 1,
        "clamp": 0,
        "traps": ["DivisionByZero", "InvalidOperation", "Overflow"],
    },
    "numpy_errors": {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"},
}


class FollowedState:
    """The parts of the caller's process state that this worker has applied."""

    def __init__(
        self, env: Mapping[str, str] | None = None, defaults: Mapping[str, str] | None = None
    ) -> None:
        """Start from the state that this process has inherited: before an initializer runs.

        Args:
            env: The pool's own variables, which the caller's variables never replace.
            defaults: Variables for workers, such as OMP_NUM_THREADS, which apply while the
                caller has not set them.
        """
        self._env = dict(env or {})
        self._defaults = dict(defaults or {})
        self._modules: FollowedModules | None = None
        # Whether a stream is relayed to an object of the caller's. If so, the worker must flush
        # what a callable has printed into the pipe before it sends the result.
        self.is_relayed = False
        # The parts as they were applied last, without the worker's own changes.
        self._applied: dict[str, Any] = {
            **_USUAL,
            "folder": _folder(),
            "variables": {
                name: value
                for name, value in _environ.items()
                if name not in self._env and self._defaults.get(name) != value
            },
            "path": list(sys.path),
            "streams": tuple(map(_stream, _STREAMS)),
            "recursion_limit": sys.getrecursionlimit(),
            "int_digits": getattr(sys, "get_int_max_str_digits", int)(),
            "locale": _set_locale(_ALL),
            "modules": ({}, {}),
        }
        self._appliers: dict[str, Callable[[Any], None]] = {
            "folder": _apply_folder,
            "variables": self._apply_variables,
            "path": self._apply_path,
            "recursion_limit": _set_limit,
            "int_digits": _set_int_digits,
            "decimal": _apply_decimal,
            "locale": _apply_locale,
            "warnings": _apply_warnings,
            "numpy_errors": _apply_numpy_errors,
            "modules": self._apply_modules,
        }

    def assume(self, name: str, value: Any) -> None:
        """Note a part that this worker has had since its start, and that need not be applied."""
        self._applied[name] = value
        if name == "modules" and any(value):
            self._followed_modules(value[1]).check(value[0])

    def apply(self, name: str, value: Any, descriptors: Sequence[int] = ()) -> None:
        """Apply a part: change one aspect of this process to the caller's.

        Does nothing if the value equals the one that was applied last or inherited: then the
        caller has changed nothing, and a change by the worker itself stays.

        If an exception is raised, the part is not applied, and can be applied again. No callable
        may run, since it would see another state than its caller.

        Args:
            name: The part's name.
            value: The part's value.
            descriptors: For "streams": duplicates of the caller's 1 and 2, which are closed.

        Raises:
            OSError: The folder cannot be entered, or a stream cannot be replaced.
            ImportError: A reloaded module cannot be reloaded here.
            ValueError: The system does not know the locale.
            RecursionError: The recursion limit is lower than the depth of this call.
        """
        if name == "streams":
            self._apply_streams(value, descriptors)
            return
        if value is None:
            value = _USUAL.get(name)
        if value is None:
            # The caller has no state to follow. The next value must be applied in any case.
            self._applied.pop(name, None)
        elif value != self._applied.get(name):
            self._appliers[name](value)
            self._applied[name] = value

    def _apply_streams(self, value: Any, descriptors: Sequence[int]) -> None:
        try:
            if descriptors and value != self._applied["streams"]:
                _flush_streams()
                for number, descriptor in zip(_STREAMS, descriptors, strict=True):
                    _dup2(descriptor, number)
                self._applied["streams"] = value
                self.is_relayed = any(each and each[0] == RELAYED for each in value)
        finally:
            for descriptor in descriptors:
                _close(descriptor)

    def _apply_variables(self, value: dict[str, str]) -> None:
        before = self._applied["variables"]
        for name in before.keys() - value.keys() - self._env.keys():
            if name in self._defaults:
                _environ[name] = self._defaults[name]
            else:
                _environ.pop(name, None)
        for name, text in value.items():
            if before.get(name) != text and name not in self._env:
                _environ[name] = text
        if before.get("TZ") != value.get("TZ"):
            time.tzset()  # a new worker reads it at its start

    def _apply_path(self, value: list[str]) -> None:
        # Entries that the worker has put before the caller's entries stay before them.
        before, entries = self._applied["path"], list(sys.path)
        first = next((at for at, entry in enumerate(entries) if entry in before), 0)
        front, back = (
            [entry for entry in part if entry not in before and entry not in value]
            for part in (entries[:first], entries[first:])
        )
        sys.path[:] = [*front, *value, *back]
        sys.path_importer_cache.clear()

    def _apply_modules(self, value: tuple[dict[str, Any], dict[str, int]]) -> None:
        sources, reloads = value
        modules = self._followed_modules({})
        modules.check(sources)
        modules.follow(reloads)

    def _followed_modules(self, reloads: dict[str, int]) -> FollowedModules:
        if self._modules is None:
            from enact_pool._mirror.worker.followed_modules import FollowedModules  # few need it

            self._modules = FollowedModules(reloads)
        return self._modules


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None  # the folder was removed


def _stream(number: int) -> tuple[int, ...] | None:
    try:
        return os.fstat(number)[1:3]
    except OSError:
        return None


def _apply_folder(value: str) -> None:
    try:
        _chdir(value)
    except OSError as error:
        raise OSError(
            f"the worker cannot enter the caller's working directory {value!r}: {error.strerror}"
        ) from error


def _flush_streams() -> None:
    """Write buffered output to the descriptors before they are replaced."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()  # type: ignore[union-attr]
        except Exception:
            continue  # a callable has closed or replaced the stream


def _apply_locale(value: str) -> None:
    try:
        if _set_locale(_ALL) != value:
            _set_locale(_ALL, value)
    except _LocaleError as error:
        raise ValueError(f"the worker cannot set the caller's locale {value!r}: {error}") from error


def _apply_warnings(value: list[tuple[Any, ...]]) -> None:
    warnings.filters[:] = [  # type: ignore[index]
        (action, _pattern(message), _category(*named), _pattern(module), line)
        for action, message, named, module, line in value
    ]
    mutated: Any = getattr(warnings, "_filters_mutated_lock_held", None)
    if mutated is not None:
        with warnings._lock:  # type: ignore[attr-defined]
            mutated()  # Python 3.14
    else:
        warnings._filters_mutated()  # type: ignore[attr-defined]


def _pattern(plain: Any) -> Any:
    return re.compile(*plain) if isinstance(plain, tuple) else plain


class _NamedCategory(type):
    """A category of which only the name is known: a subclass is recognized by that name."""

    def __subclasscheck__(cls, other: type) -> bool:
        return any(
            (kind.__module__, kind.__qualname__) == (cls.__module__, cls.__qualname__)
            for kind in other.__mro__
        )


def _category(module: str, name: str) -> type:
    """Return a category of warnings, or a stand-in if its module is not imported."""
    found: Any = _modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type):
        return found
    return _NamedCategory(
        name.rpartition(".")[2], (Warning,), {"__module__": module, "__qualname__": name}
    )


def _apply_decimal(value: dict[str, Any]) -> None:
    import decimal  # few callers change it

    # In place: code in this thread, and in a copy of its context, sees the change.
    context = decimal.getcontext()
    for name, setting in value.items():
        if name == "traps":
            for signal in context.traps:
                context.traps[signal] = signal.__name__ in setting
        else:
            setattr(context, name, setting)


def _apply_numpy_errors(value: dict[str, Any]) -> None:
    import numpy  # the caller has imported it

    numpy.seterr(**value)
