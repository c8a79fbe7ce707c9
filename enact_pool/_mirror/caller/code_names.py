"""The names that code refers to, and how code itself is pickled."""

from __future__ import annotations

import inspect
import re
import weakref
from collections.abc import Iterable
from types import CodeType
from typing import Any

import cloudpickle
from cloudpickle import cloudpickle as _cloudpickle

__all__ = ["IDENTIFIER", "asks_for_every_name", "attributes_of", "names_of", "reduce_code"]

IDENTIFIER = re.compile(r"[^\W\d]\w*")

# Code with one of these names may ask for any global by a computed name.
_ASKS_FOR_NAMES = frozenset(("eval", "exec", "globals", "vars", "__main__", "import_module"))
# Code with one of these attributes finds a module, perhaps its own: `sys.modules[__name__]`.
_FINDS_MODULES = frozenset(("__main__", "import_module", "modules", "getmodule"))

_names: weakref.WeakKeyDictionary[CodeType, dict[str, None]] = weakref.WeakKeyDictionary()
_attributes: weakref.WeakKeyDictionary[CodeType, frozenset[str]] = weakref.WeakKeyDictionary()
_finds_modules: weakref.WeakKeyDictionary[CodeType, bool] = weakref.WeakKeyDictionary()


def names_of(code: CodeType) -> dict[str, None]:
    """Return the globals that code refers to, including the functions and classes inside it."""
    found = _names.get(code)
    if found is None:
        found = dict(_cloudpickle._extract_code_globals(code))
        waiting = [code]
        while waiting:
            each = waiting.pop()
            waiting += [constant for constant in each.co_consts if type(constant) is CodeType]
            if not each.co_flags & inspect.CO_OPTIMIZED:
                # The body of a class looks names up in its own dict first.
                found.update(dict.fromkeys(each.co_names))
        _names[code] = found
    return found


def attributes_of(code: CodeType) -> frozenset[str]:
    """Return the names of attributes, globals and imports in code, and in the code inside it."""
    found = _attributes.get(code)
    if found is None:
        inner = [constant for constant in code.co_consts if type(constant) is CodeType]
        found = frozenset(code.co_names).union(*map(attributes_of, inner))
        _attributes[code] = found
    return found


def asks_for_every_name(code: CodeType, names: Iterable[str]) -> bool:
    """Return whether code, which refers to these names, may find globals beyond them."""
    return not _ASKS_FOR_NAMES.isdisjoint(names) or _may_find_modules(code)


def _may_find_modules(code: CodeType) -> bool:
    """Return whether code imports `__main__`, or looks a module up by its name."""
    found = _finds_modules.get(code)
    if found is None:
        found = "__main__" in code.co_consts or not _FINDS_MODULES.isdisjoint(code.co_names)
        found = found or any(
            _may_find_modules(constant) for constant in code.co_consts if type(constant) is CodeType
        )
        _finds_modules[code] = found
    return found


_reduce_without_file = cloudpickle.Pickler.dispatch_table[CodeType]
# The file name that cloudpickle puts into code.
_NO_FILE = "<dynamic-code>"


def reduce_code(code: CodeType) -> tuple[Any, ...]:
    """Return how to pickle code: as cloudpickle does, but with the name of its file.

    Without that name, tracebacks would not show the line that raised.
    """
    kind, fields = _reduce_without_file(code)
    return kind, tuple(
        code.co_filename if type(field) is str and field == _NO_FILE else field for field in fields
    )
