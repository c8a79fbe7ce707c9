"""Enums and their members."""

from __future__ import annotations

from enact_pool._mirror.rebuild.classes import make_class, set_class
from enact_pool._mirror.registry import complete_definition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from enact_pool._mirror.rebuild.classes import ClassParts

__all__ = ["enum_member", "enum_value", "make_enum", "set_enum"]

_set_attribute = type.__setattr__


def make_enum(
    parts: ClassParts,
    member_type: type,
    members: list[tuple[str, tuple[Any, ...], dict[str, Any]]],
) -> type:
    """Make an enum with its members, some of which have no values yet.

    For each member: its name, what `__new__` makes it of, and its first attributes.
    """
    cls = make_class(*parts)
    made: dict[str, Any] = {}
    for name, arguments, attributes in members:
        made[name] = member_type.__new__(cls, *arguments)
        made[name].__dict__.update(attributes)
    _set_attribute(cls, "_member_map_", made)
    return cls


def set_enum(cls: type, state: dict[str, Any]) -> type:
    """Set the attributes of an enum, the values of its members, and the names of both."""
    made: dict[str, Any] = cls.__dict__["_member_map_"]
    members, names = state.pop("members"), state.pop("names")
    for name, attributes in members.items():
        made[name].__dict__.update(attributes)
        made[name].__objclass__ = cls
    by_name = {name: made[member] for name, member in names.items()}
    set_class(cls, state)
    by_value: dict[Any, Any] = {}
    for member in made.values():
        try:
            by_value.setdefault(member._value_, member)
        except TypeError:
            continue  # it cannot be hashed: enums find it by comparison
    _set_attribute(cls, "_member_map_", by_name)
    _set_attribute(cls, "_value2member_map_", by_value)
    for name, member in by_name.items():
        if name not in cls.__dict__:
            _set_attribute(cls, name, member)
    return cls


def enum_member(cls: Any, name: str) -> Any:
    """Return the member of an enum with this name."""
    return cls.__dict__["_member_map_"][name]


def enum_value(cls: Any, value: Any) -> Any:
    """Return the member of a flag that combines others."""
    complete_definition(cls)
    return cls(value)
