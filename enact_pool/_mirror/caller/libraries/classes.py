"""Which library has made a class."""

from __future__ import annotations

import sys

from enact_pool._mirror.caller.libraries import (
    ctypes_types,
    msgspec_types,
    pydantic_models,
    sqlalchemy_models,
)
from enact_pool._mirror.caller.libraries.library import Library

__all__ = ["library_of"]

# By the names of the modules that a program imports to use them.
_LIBRARIES = {
    "msgspec": msgspec_types.LIBRARY,
    "ctypes": ctypes_types.LIBRARY,
    "pydantic": pydantic_models.LIBRARY,
    "sqlalchemy.orm": sqlalchemy_models.LIBRARY,
}


def library_of(cls: type) -> Library | None:
    """Return the library that has made a class; None for most classes."""
    for module, library in _LIBRARIES.items():
        if module in sys.modules and library.has_made(cls):
            return library
    return None
