"""Process state as plain values: what workers are sent consists of builtin types only."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "DECIMAL_FIELDS",
    "numpy_errors",
    "plain_decimal",
    "plain_filters",
    "plain_path",
    "plain_variables",
]

# The attributes of a decimal context that are numbers or strings.
DECIMAL_FIELDS = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")


def plain_variables(variables: dict[bytes, bytes]) -> dict[str, str]:
    """Convert environment variables, which the process has as bytes."""
    return {os.fsdecode(name): os.fsdecode(value) for name, value in variables.items()}


def plain_path(entries: list[Any], folder: str | None) -> list[str]:
    """Convert `sys.path`, without the entries that the import system ignores."""
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


def plain_decimal(fields: Any) -> dict[str, Any] | None:
    """Convert the fields of a decimal context, of which the last is the dict of its traps."""
    if fields is None:
        return None
    traps = sorted(signal.__name__ for signal, traps in fields[-1].items() if traps)
    return {**dict(zip(DECIMAL_FIELDS, fields, strict=False)), "traps": traps}


def plain_filters(filters: list[Any]) -> list[tuple[Any, ...]]:
    """Convert `warnings.filters`; a category becomes the names of its module and class.

    So workers need not import the module, which may be a large library.
    """
    plain: list[tuple[Any, ...]] = []
    for entry in filters:
        try:
            action, message, category, module, line = entry
            named = str(category.__module__), str(category.__qualname__)
            texts = _plain_pattern(message), _plain_pattern(module)
            plain.append((str(action), texts[0], named, texts[1], int(line)))
        except (AttributeError, TypeError, ValueError):
            continue  # `warnings` could not use it either
    return plain


def _plain_pattern(pattern: Any) -> str | tuple[str, int] | None:
    """Convert the pattern of a filter; the filters that Python starts with have strings."""
    if pattern is None or isinstance(pattern, str):
        return pattern
    return str(pattern.pattern), int(pattern.flags)


def numpy_errors() -> dict[str, str] | None:
    """Return NumPy's error settings; None if the program has not imported NumPy."""
    get: Any = getattr(sys.modules.get("numpy"), "geterr", None)
    return get and dict(get())
