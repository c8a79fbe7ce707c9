"""Objects that type hints consist of: new types, type variables and type aliases."""

from __future__ import annotations

from enact_pool._mirror.registry import registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["make_alias", "make_new_type", "make_type_variable", "set_alias"]


def make_new_type(name: str, module: Any) -> Any:
    """Make a `NewType`, whose supertype is set later."""
    import typing

    new_type: Any = typing.NewType
    made = new_type(name, object)
    made.__module__ = module
    return made


def make_type_variable(kind: str, name: str, module: Any, details: dict[str, Any]) -> Any:
    """Make a type variable."""
    import typing

    constraints = details.pop("constraints", ())
    made = getattr(typing, kind)(name, *constraints, **details)
    made.__module__ = module
    return made


def make_alias(name: str, module: Any, parameters: list[str], keys: list[str]) -> Any:
    """Make a type alias that looks its value up when the value is read: it may be recursive."""
    value: list[Any] = []
    declared = f"[{', '.join(parameters)}]" if parameters else ""
    contents: dict[str, Any] = {"__name__": module, "_value": value}
    exec(f"type {name}{declared} = _value[0]", contents)
    made = contents[name]
    for key, parameter in zip(keys, made.__type_params__, strict=True):
        registry.add(key, parameter)
    _alias_values[id(made)] = made, value
    return made


# Aliases without a value, and where each looks its value up, by the alias's id.
_alias_values: dict[int, tuple[Any, list[Any]]] = {}


def set_alias(alias: Any, value: Any) -> Any:
    """Set the value of a type alias."""
    _alias_values.pop(id(alias))[1].append(value)
    return alias
