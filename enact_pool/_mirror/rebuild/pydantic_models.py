"""Generic models of pydantic with arguments, such as `Model[int]`."""

from __future__ import annotations

from enact_pool._mirror.rebuild.classes import make_class, set_class

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from enact_pool._mirror.rebuild.classes import ClassParts

__all__ = ["make_parametrized", "set_parametrized"]


def make_parametrized(parts: ClassParts, origin: Any, arguments: tuple[Any, ...]) -> type:
    """Return the model that `origin[arguments]` is in this process; make it if it is unknown."""
    from pydantic._internal import _generics

    made: Any = _generics.get_cached_generic_type_early(origin, arguments)
    if made is None:
        made = make_class(*parts)
        _generics.set_cached_generic_type(origin, arguments, made, origin, arguments)
    return made  # type: ignore[no-any-return]


def set_parametrized(cls: type, state: dict[str, Any]) -> type:
    """Set the attributes of a model, unless it is complete."""
    return cls if "__pydantic_fields__" in cls.__dict__ else set_class(cls, state)
