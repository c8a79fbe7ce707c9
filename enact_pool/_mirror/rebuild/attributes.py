"""Attributes of objects, and the contents of containers."""

from __future__ import annotations

from types import CellType

from enact_pool._mirror.rebuild.functions import set_cell
from enact_pool._mirror.registry import unwrapped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "REGISTERED",
    "change_attribute",
    "fill_container",
    "set_attributes",
    "update_attributes",
]

# The prefix of the name of a change that registers a class with an abstract base class.
REGISTERED = "registered with: "


def set_attributes(value: Any, attributes: dict[str, Any]) -> Any:
    """Set attributes of any object."""
    for name, attribute in attributes.items():
        setattr(value, name, attribute)
    return value


def update_attributes(value: Any, attributes: dict[str, Any]) -> Any:
    """Set attributes of an instance, without its own `__setattr__`."""
    vars(value).update(attributes)
    return value


def fill_container(container: Any, contents: Any) -> Any:
    """Replace the contents of a list, dict or set."""
    container.clear()
    if type(container) is list:
        container.extend(contents)
    else:
        container.update(contents)
    return container


def change_attribute(value: Any, name: str, contents: tuple[Any, ...]) -> None:
    """Set an attribute that the caller has set; delete the attribute if `contents` is empty."""
    if issubclass(type(value), CellType):
        set_cell(value, contents)
    elif issubclass(type(value), type) and "." in name:
        method, _, attribute = name.partition(".")
        if method in value.__dict__:
            change_attribute(unwrapped(value.__dict__[method]), attribute, contents)
    elif name.startswith(REGISTERED):
        if contents:
            value.register(contents[0])
    elif contents:
        if issubclass(type(value), type):
            type.__setattr__(value, name, contents[0])
        else:
            setattr(value, name, contents[0])
    elif name in value.__dict__:
        if issubclass(type(value), type):
            type.__delattr__(value, name)
        else:
            delattr(value, name)
