"""The state of the caller's process, which its workers follow.

A run calls `observe` when it begins. Each `Part` is one aspect of the state since its last change.
`observe` returns the same tuple, with the same parts, until something changes. So a part's identity
is its version: a worker that has received a part never needs it again.

This module only reads state; it patches nothing and installs no hook. The check must cost a run
less than 5 us, so `observe` compares raw values with kept copies, and converts them only when they
differ.
"""

from __future__ import annotations

import _locale
import os
import sys
import threading
import warnings
from fcntl import F_DUPFD_CLOEXEC, fcntl
from operator import attrgetter, is_

from enact_pool._mirror.caller.plain_state import (
    DECIMAL_FIELDS,
    numpy_errors,
    plain_decimal,
    plain_filters,
    plain_path,
    plain_variables,
)
from enact_pool._mirror.module_versions import ModuleVersions, is_current, mark

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Part", "observe", "stream_descriptors"]

_STREAMS = (1, 2)

# Bound here, since a test of the caller's program may patch the modules that they come from.
_getcwd, _fstat = os.getcwd, os.fstat
_modules = sys.modules
# The dict in which `os.environ` keeps the variables. Comparing `os.environ` itself would decode
# each variable, which takes ten times as long.
_variables: dict[bytes, bytes] = vars(os.environ)["_data"]
_get_limit = sys.getrecursionlimit
_set_locale, _ALL = _locale.setlocale, _locale.LC_ALL

_decimal_fields: Callable[[Any], Any] = attrgetter(*DECIMAL_FIELDS, "traps")


class Part:
    """One aspect of the caller's state. When the aspect changes, a new part replaces this one.

    Attributes:
        name: which aspect it is: see `followed_state`.
        value: the state, which consists of builtin types only.
    """

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: Any) -> None:
        self.name = name
        self.value = value

    def __repr__(self) -> str:
        return f"Part({self.name!r}, {self.value!r})"


class _Observation:
    """The raw values at one observation, and the parts made from them. It never changes."""

    # Slots are faster: `observe` reads each of them.
    __slots__ = (
        "decimal",
        "err",
        "filters",
        "folder",
        "int_digits",
        "locale",
        "modules",
        "numpy",
        "out",
        "parts",
        "path",
        "recursion_limit",
        "variables",
    )

    def __init__(self) -> None:
        self.folder = _folder()
        self.variables = dict(_variables)
        self.path: list[Any] = list(sys.path)
        self.out, self.err = map(_stream, _STREAMS)
        self.recursion_limit = _get_limit()
        self.int_digits = _int_digits()
        self.decimal = _kept_decimal(_decimal())
        self.locale = _set_locale(_ALL)
        self.filters: list[Any] = list(warnings.filters)
        # Made before the errors and modules are read: the next check notices changes in between.
        self.numpy = _numpy_token()
        self.modules = mark()
        self.parts: tuple[Part, ...] = ()

    def values(self) -> dict[str, Any]:
        """Convert the raw values to the values of the parts, by name."""
        return {
            "folder": self.folder,
            "variables": plain_variables(self.variables),
            "path": plain_path(self.path, self.folder),
            "streams": (self.out, self.err),
            "recursion_limit": self.recursion_limit,
            "int_digits": self.int_digits,
            "decimal": plain_decimal(self.decimal),
            "locale": self.locale,
            "warnings": plain_filters(self.filters),
            "numpy_errors": numpy_errors(),
        }


class _Latest:
    """The latest observation of this process."""

    def __init__(self) -> None:
        # Re-entrant: a signal handler may begin a run while its thread is in `renew`. If `renew`
        # then stores its older observation, the next check finds the difference again.
        self.lock = threading.RLock()
        self.observation: _Observation | None = None
        self.modules = ModuleVersions()

    def renew(self) -> tuple[Part, ...]:
        """Observe everything, and return the parts. The caller must hold the lock."""
        last, observation = self.observation, _Observation()
        before = () if last is None else last.parts
        values = {**observation.values(), "modules": self.modules.inspect()}
        known = {part.name: part for part in before}
        parts = tuple(
            known[name] if name in known and known[name].value == value else Part(name, value)
            for name, value in values.items()
        )
        # The raw values may differ but not the parts: some state belongs to each thread.
        unchanged = len(before) == len(parts) and all(map(is_, before, parts))
        observation.parts = before if unchanged else parts
        # The last step, since other threads read it without the lock.
        self.observation = observation
        return observation.parts


_latest = _Latest()


def _begin_anew() -> None:
    """Replace the lock in a forked child: another thread may have held it at the fork."""
    global _latest
    _latest = _Latest()


os.register_at_fork(after_in_child=_begin_anew)


def observe() -> tuple[Part, ...]:
    """Return the state of this process, as the calling thread sees it, in parts.

    Returns:
        The same tuple as before if nothing has changed, else a new one with the same part for
        each aspect that has not changed. Any thread may call this at any time.
    """
    # Read once: another thread may replace the observation at any time, but never changes it.
    seen = _latest.observation
    try:
        if (
            seen is not None
            and _variables == seen.variables
            and sys.path == seen.path
            and _folder() == seen.folder
            and _stream(1) == seen.out
            and _stream(2) == seen.err
            and _get_limit() == seen.recursion_limit
            and _int_digits() == seen.int_digits
            and _decimal() == seen.decimal
            and _set_locale(_ALL) == seen.locale
            and warnings.filters == seen.filters
            and _numpy_token() == seen.numpy
            and is_current(seen.modules)
        ):
            return seen.parts
    except Exception:
        pass  # say, an entry of `sys.path` cannot be compared; it can be converted
    latest = _latest
    with latest.lock:
        return latest.renew()


def stream_descriptors() -> tuple[int, int]:
    """Duplicate the descriptors 1 and 2, which workers receive with the part "streams".

    Returns:
        Two new descriptors, which the caller must close. The null device replaces a closed
        stream.

    Raises:
        OSError: if the process cannot open more descriptors.
    """
    out = _duplicate(1)
    try:
        return out, _duplicate(2)
    except OSError:
        os.close(out)
        raise


def _duplicate(number: int) -> int:
    # 3 or more: if 2 is closed, the duplicate of 1 must not become 2.
    if _stream(number) is not None:
        return fcntl(number, F_DUPFD_CLOEXEC, 3)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        return fcntl(null, F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(null)


def _folder() -> str | None:
    try:
        return _getcwd()
    except OSError:
        return None  # the folder was removed


def _stream(number: int) -> tuple[int, ...] | None:
    """Return the inode and the device of a descriptor; None if it is closed.

    While a worker has the file open, no other file can have this inode.
    """
    try:
        return _fstat(number)[1:3]
    except OSError:
        return None


def _no_limit() -> int | None:
    return None  # Python before 3.10.7


_int_digits: Callable[[], int | None] = getattr(sys, "get_int_max_str_digits", _no_limit)


def _decimal() -> Any:
    """Return the fields of the thread's decimal context, of which the last is the live dict."""
    module = _modules.get("decimal")
    return None if module is None else _decimal_fields(module.getcontext())


def _kept_decimal(fields: Any) -> Any:
    return fields and (*fields[:-1], dict(fields[-1]))


def _numpy_token() -> Any:
    """Return a value that changes when NumPy's error settings do; None without NumPy."""
    numpy: Any = _modules.get("numpy")
    if numpy is None:
        return None
    try:
        # In NumPy 2, each change stores a new object here. `numpy.geterr` would take 1 us.
        return numpy._core.umath._extobj_contextvar.get()
    except (AttributeError, LookupError):
        return numpy_errors()
