"""How a worker follows the state of its caller's process: it applies parts of it.

The parts are those of `caller_state`. A part says how the caller's state is now. What the
worker has set itself, in an initializer, say, stays until the caller changes that same thing:

| part | value | what is applied |
| --- | --- | --- |
| folder | path, or None | the working directory; None, a removed one, leaves it |
| variables | dict | what differs from the caller's variables before |
| path | list of str | all of it; entries of the worker stay beside it |
| streams | identities | the descriptors that come with it become 1 and 2: see `relay` |
| recursion_limit, int_digits, locale | number, name | as it is |
| decimal | fields by name, or None | the context of the thread that applies it |
| warnings | list of tuples | all filters |
| numpy_errors | dict, or None | all settings |
| modules | sources, reloads | see `reloading` |

Each becomes what `surroundings` restores after a callable, once `Surroundings.follow` is called.
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

__all__ = ["RELAYED", "FollowedState"]

# Bound here: a callable may clear or patch the modules they come from.
_chdir, _close, _dup2 = os.chdir, os.close, os.dup2
_environ = os.environ
_set_limit = sys.setrecursionlimit
_set_locale, _ALL = _locale.setlocale, _locale.LC_ALL
_LocaleError: Any = _locale.Error  # type: ignore[attr-defined]
_modules = sys.modules

_STREAMS = (1, 2)

# What the identity of a stream begins with that is the pipe of a relay.
RELAYED = "relayed"

# What these begin with. While the caller has not changed them, they need not be imported.
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
    """The caller's state as this worker has it."""

    def __init__(
        self, env: Mapping[str, str] | None = None, defaults: Mapping[str, str] | None = None
    ) -> None:
        """Begin with what this process has inherited. Make it before an initializer runs.

        Args:
            env: the pool's own variables, which the caller's never replace.
            defaults: variables for workers, such as OMP_NUM_THREADS, which apply while the
                caller has not set them.
        """
        self._env = dict(env or {})
        self._defaults = dict(defaults or {})
        self._reloading: Any = None
        # Whether a stream is relayed to an object of the caller's: then what a callable has
        # printed must be in the pipe before its result is sent.
        self.is_relayed = False
        # The parts as they were applied last: the worker's own changes are not in there.
        self._has: dict[str, Any] = {
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
            "int_digits": _apply_int_digits,
            "decimal": _apply_decimal,
            "locale": _apply_locale,
            "warnings": _apply_warnings,
            "numpy_errors": _apply_numpy_errors,
            "modules": self._apply_modules,
        }

    def assume(self, name: str, value: Any) -> None:
        """Note a part as it was when this worker was started: it need not be applied."""
        self._has[name] = value
        if name == "modules" and any(value):
            sources, reloads = value
            self._own_reloading(reloads).check(sources)

    def apply(self, name: str, value: Any, descriptors: Sequence[int] = ()) -> None:
        """Make one aspect of this process as the caller's is.

        Does nothing if that is what was applied last, or what this process has inherited:
        then the caller has changed nothing, and the worker may have.

        Args:
            name: the part's name.
            value: its value.
            descriptors: for "streams", duplicates of the caller's 1 and 2; they are closed.

        Raises:
            OSError: the folder cannot be entered, or a stream cannot be replaced.
            ImportError: a reloaded module cannot be reloaded here.
            ValueError: the system does not know the locale.
            RecursionError: the recursion limit is lower than the depth of this call.

        If it raises, the part counts as not applied: no callable may run, since it would see
        something else than its caller. It can be applied again.
        """
        if name == "streams":
            self._apply_streams(value, descriptors)
            return
        if value is None:
            value = _USUAL.get(name)
        if value is None:
            # There is nothing to follow now. What comes next is to be applied in any case.
            self._has.pop(name, None)
        elif value != self._has.get(name):
            self._appliers[name](value)
            self._has[name] = value

    def _apply_streams(self, value: Any, descriptors: Sequence[int]) -> None:
        try:
            if descriptors and value != self._has["streams"]:
                _flush_streams()
                for number, descriptor in zip(_STREAMS, descriptors, strict=True):
                    _dup2(descriptor, number)
                self._has["streams"] = value
                self.is_relayed = any(each and each[0] == RELAYED for each in value)
        finally:
            for descriptor in descriptors:
                _close(descriptor)

    def _apply_variables(self, value: dict[str, str]) -> None:
        before = self._has["variables"]
        for name in before.keys() - value.keys() - self._env.keys():
            if name in self._defaults:
                _environ[name] = self._defaults[name]
            else:
                _environ.pop(name, None)
        for name, text in value.items():
            if before.get(name) != text and name not in self._env:
                _environ[name] = text
        if before.get("TZ") != value.get("TZ"):
            time.tzset()  # a worker that starts now has read it

    def _apply_path(self, value: list[str]) -> None:
        # What the worker has put before the caller's entries stays before them.
        before, entries = self._has["path"], list(sys.path)
        first = next((at for at, entry in enumerate(entries) if entry in before), 0)
        front, back = (
            [entry for entry in part if entry not in before and entry not in value]
            for part in (entries[:first], entries[first:])
        )
        sys.path[:] = [*front, *value, *back]
        sys.path_importer_cache.clear()

    def _apply_modules(self, value: tuple[dict[str, Any], dict[str, int]]) -> None:
        sources, reloads = value
        reloading = self._own_reloading({})
        reloading.check(sources)
        reloading.follow(reloads)

    def _own_reloading(self, reloads: dict[str, int]) -> Any:
        if self._reloading is None:
            from enact_pool._mirror.worker.reloading import (
                Reloading,  # many programs have no own modules
            )

            self._reloading = Reloading(reloads)
        return self._reloading


def _folder() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None  # it was removed


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
    """Write what was printed before to the streams before."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            stream.flush()  # type: ignore[union-attr]
        except Exception:
            continue  # a callable has closed it, or put something else there


def _apply_int_digits(value: int) -> None:
    sys.set_int_max_str_digits(value)


def _apply_decimal(value: dict[str, Any]) -> None:
    # This imports it, if the caller's is not what it begins with.
    import decimal

    # In place: what a callable runs in this thread, and in a copy of its context, sees it.
    context = decimal.getcontext()
    for name, setting in value.items():
        if name == "traps":
            for signal in context.traps:
                context.traps[signal] = signal.__name__ in setting
        else:
            setattr(context, name, setting)


def _apply_locale(value: str) -> None:
    if _set_locale(_ALL) == value:
        return
    try:
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
    """A category of which only the name is known: its subclasses are found by that."""

    def __subclasscheck__(cls, other: type) -> bool:
        return any(
            (kind.__module__, kind.__qualname__) == (cls.__module__, cls.__qualname__)
            for kind in other.__mro__
        )


def _category(module: str, name: str) -> type:
    """Return a category of warnings, or what stands for one whose module is not imported."""
    found: Any = _modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if isinstance(found, type):
        return found
    return _NamedCategory(
        name.rpartition(".")[2], (Warning,), {"__module__": module, "__qualname__": name}
    )


def _apply_numpy_errors(value: dict[str, Any]) -> None:
    import numpy

    numpy.seterr(**value)
