"""How caches, and the objects that `typing` makes for a script, are taken apart."""

from __future__ import annotations

import sys
import typing
from types import ModuleType
from typing import Any

from enact_pool._mirror.caller.definition import LruCache
from enact_pool._mirror.caller.definitions import definitions
from enact_pool._mirror.caller.module_globals import provides
from enact_pool._mirror.caller.scopes import scopes
from enact_pool._mirror.rebuild.attributes import set_attributes
from enact_pool._mirror.rebuild.functions import make_cached, set_cached
from enact_pool._mirror.rebuild.typing_objects import (
    make_alias,
    make_new_type,
    make_type_variable,
    set_alias,
)

__all__ = ["TYPING_TYPES", "object_parts"]

_TypeAlias: Any = getattr(typing, "TypeAliasType", None)
_TypeVarTuple: Any = getattr(typing, "TypeVarTuple", None)

# The types of the objects that `object_parts` knows. Python 3.10 and 3.11 lack some of them.
TYPING_TYPES: tuple[Any, ...] = (
    LruCache,
    typing.NewType,
    typing.TypeVar,
    typing.ParamSpec,
    *(kind for kind in (_TypeAlias, _TypeVarTuple) if kind is not None),
)


def object_parts(obj: Any) -> tuple[Any, tuple[Any, ...], Any, Any] | None:
    """Return maker, arguments, setter and state of an object; None if workers can import it."""
    module = getattr(obj, "__module__", None)
    name = getattr(obj, "__qualname__", None) or getattr(obj, "__name__", None)
    owner = sys.modules.get(module) if type(module) is str else None
    if (
        isinstance(owner, ModuleType)
        and scopes.is_importable(owner.__name__, owner)
        and type(name) is str
        and (type(obj) is not LruCache or provides(owner, name, obj))
    ):
        return None
    kind = type(obj)
    if kind is LruCache:
        attributes = {k: v for k, v in obj.__dict__.items() if k != "__wrapped__"}
        arguments = obj.cache_parameters(), obj.__wrapped__
        return make_cached, arguments, set_cached, (None, attributes)
    if kind is typing.NewType:
        state = {"__supertype__": obj.__supertype__}
        return make_new_type, (name, module), set_attributes, state
    if kind is _TypeAlias:
        return _alias_parts(obj, module)
    details = {
        attribute: value
        for attribute in ("bound", "covariant", "contravariant", "constraints")
        if (value := getattr(obj, f"__{attribute}__", None))
    }
    if kind is _TypeVarTuple:
        details = {}
    return make_type_variable, (kind.__name__, name, module, details), None, None


def _alias_parts(alias: Any, module: Any) -> tuple[Any, tuple[Any, ...], Any, Any]:
    """Return the parts of a type alias, whose parameters are made along with it."""
    marks = {"TypeVar": "", "ParamSpec": "**", "TypeVarTuple": "*"}
    parameters, keys = [], []
    for parameter in alias.__type_params__:
        parameters.append(marks[type(parameter).__name__] + parameter.__name__)
        definition = definitions.define(parameter, "with_alias")
        keys.append(definition.key)
    arguments = alias.__name__, module, parameters, keys
    return make_alias, arguments, set_alias, alias.__value__
