"""What pydantic makes: generic models with arguments (`Model[int]`), and validated functions."""

from __future__ import annotations

from enact_pool._mirror.rebuild.classes import make_class, set_class
from enact_pool._mirror.registry import complete_definition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from enact_pool._mirror.rebuild.classes import ClassParts

__all__ = ["make_parametrized", "make_validator", "set_parametrized"]


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


def make_validator(function: Any, config: Any, validates_return: bool) -> Any:
    """Make what `validate_call` calls: it reads the annotations of the function."""
    from pydantic._internal import _validate_call

    complete_definition(function)
    return _validate_call.ValidateCallWrapper(function, config, validates_return, None)
