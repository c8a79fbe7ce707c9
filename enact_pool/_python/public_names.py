"""Public names: classes and functions that say which package exports them.

A pickle, a traceback and a type's name in a result then name `enact_pool.Ok`, not the private
module that defines it, which may move.
"""

from __future__ import annotations

import sys
from typing import Any, TypeVar

__all__ = ["public"]

Named = TypeVar("Named", bound=Any)


def public(named: Named) -> Named:
    """Set `__module__` of a class or a function to the package that exports it; a decorator.

    That package is `enact_pool`, or one of its public subpackages for a name that is defined in
    that subpackage. (`inspect.getsource` finds functions and methods as before, but no classes: it
    searches classes in the file of `__module__`.)
    """
    module = named.__module__
    package, subpackage = module.split(".")[:2]
    if isinstance(named, type):
        # `typing.get_type_hints` evaluates texts in the namespace of `__module__`.
        hints: dict[str, Any] = vars(named).get("__annotations__", {})
        names = vars(sys.modules[module])
        for name, hint in hints.items():
            if isinstance(hint, str):
                hints[name] = eval(hint, names)
        # Python 3.13 keeps the line for some metaclasses: `inspect` would return another file's.
        if "__firstlineno__" in vars(named):
            type.__delattr__(named, "__firstlineno__")
    named.__module__ = package if subpackage.startswith("_") else f"{package}.{subpackage}"
    return named
