"""The state of the caller's process, which its workers follow.

A run calls `observe` when it begins. Each `Part` is one aspect of the state, as it has been
since it last changed. `observe` returns the same tuple, with the same parts, until something
changes. So a part's identity is its version: a worker that has received a part needs it once.

Everything here is read, nothing is patched or hooked. The check must cost a run less than
5 us, so `observe` compares raw values with kept copies and converts them only when they differ.
"""

from __future__ import annotations

import _locale
import os
import sys
import threading
import warnings
from fcntl import F_DUPFD_CLOEXEC, fcntl
from operator import attrgetter

from enact_pool._mirror.module_versions import ModuleVersions, is_current, mark

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Part", "observe", "stream_descriptors"]

_STREAMS = (1, 2)

# Bound here: a test of the caller may patch the modules that they come from.
_getcwd, _fstat = os.getcwd, os.fstat
_modules = sys.modules
# The dict that `os.environ` keeps the variables in. To compare `os.environ` itself decodes
# each variable, which takes ten times as long.
_variables: dict[bytes, bytes] = vars(os.environ)["_data"]
_get_limit = sys.getrecursionlimit
_set_locale, _ALL = _locale.setlocale, _locale.LC_ALL

_DECIMAL = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")
_decimal_fields: Callable[[Any], Any] = attrgetter(*_DECIMAL, "traps")


class Part:
    """One aspect of the caller's state; a changed aspect becomes a new part.

    `value` consists of builtin types only. `followed_state` says what each name means.
    """

    __slots__ = ("name", "value")

    def __init__(self, name: str, value: Any) -> None:
        self.name = name
        self.value = value

    def __repr__(self) -> str:
        return f"Part({self.name!r}, {self.value!r})"


class _Seen:
    """The raw values that were seen last, and the parts they became. It never changes."""

    # Slots: `observe` reads each of them.
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
        # Before what they stand for: if that changes now, the next check sees it.
        self.numpy = _numpy_token()
        self.modules = mark()
        self.parts: tuple[Part, ...] = ()

    def values(self) -> dict[str, Any]:
        """Convert the raw values to what workers are sent, by the names of the parts."""
        return {
            "folder": self.folder,
            "variables": {
                os.fsdecode(name): os.fsdecode(value) for name, value in self.variables.items()
            },
            "path": _plain_path(self.path, self.folder),
            "streams": (self.out, self.err),
            "recursion_limit": self.recursion_limit,
            "int_digits": self.int_digits,
            "decimal": _plain_decimal(self.decimal),
            "locale": self.locale,
            "warnings": _plain_filters(self.filters),
            "numpy_errors": _numpy_errors(),
        }


class _Latest:
    """What this process has seen last."""

    def __init__(self) -> None:
        # Re-entrant: a signal handler may begin a run while its thread is in `renew`. What that
        # sees is newer, and is seen again by the next check.
        self.lock = threading.RLock()
        self.seen: _Seen | None = None
        self.modules = ModuleVersions()

    def renew(self) -> tuple[Part, ...]:
        """Look at everything, and return the parts. The lock must be held."""
        seen, before = _Seen(), () if self.seen is None else self.seen.parts
        values = {**seen.values(), "modules": self.modules.look()}
        known = {part.name: part for part in before}
        parts = tuple(
            known[name] if name in known and known[name].value == value else Part(name, value)
            for name, value in values.items()
        )
        # Threads that see the state of their own differently each renew it in turn.
        unchanged = len(before) == len(parts) and all(map(_is, before, parts))
        seen.parts = before if unchanged else parts
        # Last: other threads read it without the lock.
        self.seen = seen
        return seen.parts


def _is(one: object, other: object) -> bool:
    return one is other


_latest = _Latest()


def _begin_anew() -> None:
    """In a forked child: another thread may have held the lock at the fork."""
    global _latest
    _latest = _Latest()


os.register_at_fork(after_in_child=_begin_anew)


def observe() -> tuple[Part, ...]:
    """Return the state of this process, as the calling thread sees it, in parts.

    Returns the same tuple as before if nothing has changed, and the same part for each
    aspect that has not. Any thread may call it at any time.
    """
    # Read once: another thread may replace it meanwhile, but never changes it.
    seen = _latest.seen
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
        pass  # an entry of `sys.path` cannot be compared, say; it can be converted
    latest = _latest
    with latest.lock:
        return latest.renew()


def stream_descriptors() -> tuple[int, int]:
    """Duplicate the descriptors 1 and 2 for workers, which the "streams" part belongs to.

    Returns:
        Two new descriptors, which the caller must close. A closed stream is replaced by
        the null device.

    Raises:
        OSError: if no descriptor is left.
    """
    out = _duplicate(1)
    try:
        return out, _duplicate(2)
    except OSError:
        os.close(out)
        raise


def _duplicate(number: int) -> int:
    # Never as a closed one's number: the duplicate of 1 would become 2.
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
        return None  # it was removed


def _stream(number: int) -> tuple[int, ...] | None:
    """Return the inode and the device of a descriptor, or None if it is closed.

    While a worker has the file open, no other file can get its inode.
    """
    try:
        return _fstat(number)[1:3]
    except OSError:
        return None


def _no_limit() -> int | None:
    return None  # Python before 3.10.7


_int_digits: Callable[[], int | None] = getattr(sys, "get_int_max_str_digits", _no_limit)


def _plain_path(entries: list[Any], folder: str | None) -> list[str]:
    plain = []
    for entry in entries:
        try:
            text = os.fspath(entry)
        except TypeError:
            continue  # the import system ignores it as well
        if isinstance(text, str):
            # "" is the current folder, which may not be the worker's.
            plain.append(str(text) if text or folder is None else folder)
    return plain


def _decimal() -> Any:
    """Return the thread's decimal context as fields, of which the last is live."""
    module = _modules.get("decimal")
    return None if module is None else _decimal_fields(module.getcontext())


def _kept_decimal(fields: Any) -> Any:
    return fields and (*fields[:-1], dict(fields[-1]))


def _plain_decimal(fields: Any) -> dict[str, Any] | None:
    if fields is None:
        return None
    traps = sorted(signal.__name__ for signal, traps in fields[-1].items() if traps)
    return {**dict(zip(_DECIMAL, fields, strict=False)), "traps": traps}


def _plain_filters(filters: list[Any]) -> list[tuple[Any, ...]]:
    """Convert `warnings.filters`; a category becomes its module's name and its own.

    So workers need not import its module, which may be a large library.
    """
    plain: list[tuple[Any, ...]] = []
    for entry in filters:
        try:
            action, message, category, module, line = entry
            named = str(category.__module__), str(category.__qualname__)
            texts = _plain_pattern(message), _plain_pattern(module)
            plain.append((str(action), texts[0], named, texts[1], int(line)))
        except (AttributeError, TypeError, ValueError):
            continue  # `warnings` would not understand it either
    return plain


def _plain_pattern(pattern: Any) -> str | tuple[str, int] | None:
    """Convert what a filter matches with; the filters that Python starts with have plain texts."""
    if pattern is None or isinstance(pattern, str):
        return pattern
    return str(pattern.pattern), int(pattern.flags)


def _numpy_token() -> Any:
    """Return what changes when NumPy's error settings do, or None without NumPy."""
    numpy: Any = _modules.get("numpy")
    if numpy is None:
        return None
    try:
        # Of NumPy 2: each change puts a new object there. To ask for the settings takes 1 us.
        return numpy._core.umath._extobj_contextvar.get()
    except (AttributeError, LookupError):
        return _numpy_errors()


def _numpy_errors() -> dict[str, str] | None:
    get: Any = getattr(_modules.get("numpy"), "geterr", None)
    return get and dict(get())
