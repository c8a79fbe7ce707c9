"""The reducers of objects of other libraries, which join a pickler's dispatch table."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from enact_pool._mirror.caller.libraries import (
    msgspec_types,
    pydantic_models,
    sqlalchemy_values,
    wrapt_proxies,
)

__all__ = ["add_reducers", "reducers"]

Reducers = dict[type, Callable[[Any], Any]]

# By the types that they reduce.
reducers: Reducers = {}

# The libraries that are not imported yet: the name that each defines last, and what adds its
# reducers.
_not_added: dict[str, tuple[str, Callable[[Reducers], None]]] = {
    "msgspec": ("to_builtins", msgspec_types.add_reducers),
    "pydantic._internal._validate_call": ("ValidateCallWrapper", pydantic_models.add_reducers),
    "sqlalchemy.orm": ("registry", sqlalchemy_values.add_reducers),
    "wrapt": ("wrap_function_wrapper", wrapt_proxies.add_reducers),
}


def add_reducers() -> None:
    """Add the reducers of the libraries that have been imported since the last call."""
    for name, (last, add) in list(_not_added.items()):
        # Another thread may be in the middle of the import.
        if hasattr(sys.modules.get(name), last):
            add(reducers)
            _not_added.pop(name, None)
