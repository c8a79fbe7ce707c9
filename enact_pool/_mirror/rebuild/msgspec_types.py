"""Structs of msgspec."""

from __future__ import annotations

import sys

from enact_pool._mirror.rebuild.classes import contents_with_methods, set_class
from enact_pool._mirror.registry import MissingDefinition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from enact_pool._mirror.rebuild.classes import ClassParts

__all__ = ["make_struct", "set_struct"]

# Keeps the hook of a base from running once more.
_HOOKLESS = {"__module__": __name__, "__init_subclass__": lambda cls, **keywords: None}


def make_struct(
    parts: ClassParts,
    fields: dict[str, dict[str, Any]],
    keyword_only: frozenset[str],
    keywords: dict[str, Any],
) -> type:
    """Make a struct with its fields: msgspec cannot add fields later."""
    import msgspec

    metaclass, name, bases, contents, methods = parts
    contents = contents_with_methods(contents, methods)
    for field, how in fields.items():
        if how:
            contents[field] = msgspec.field(**how)
    keywords = {**keywords, "kw_only": bool(keyword_only)}
    cls: type
    if any(_has_hook(kind) for base in bases for kind in base.__mro__):
        try:
            made_by: Any = type(msgspec.Struct)
            shadow = made_by("Hookless", (msgspec.Struct,), dict(_HOOKLESS))
            cls = metaclass(name, (shadow, *bases), contents, **keywords)
            cls.__bases__ = bases
        except TypeError:
            pass  # another layout
        else:
            return cls
    cls = metaclass(name, bases, contents, **keywords)
    return cls


def _has_hook(kind: type) -> bool:
    hook = kind.__dict__.get("__init_subclass__")
    return kind.__module__ != "typing" and type(hook) is classmethod


def set_struct(cls: type, state: dict[str, Any]) -> type:
    """Set the attributes of a struct, and what its functions refer to.

    msgspec evaluates annotations that are strings, with the names in the dict of the module.
    """
    module = sys.modules.get(cls.__module__)
    for name in state.pop("names"):
        try:
            # This puts the name into the dict.
            getattr(module, name, None)
        except MissingDefinition:
            continue  # msgspec reports that the name is missing
    return set_class(cls, state)
