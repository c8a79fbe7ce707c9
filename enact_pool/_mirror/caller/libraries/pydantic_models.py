"""What pydantic makes: parametrized models, which it keeps in a cache, and validated functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from enact_pool._mirror.caller.definition import Definition
from enact_pool._mirror.caller.libraries.library import Library, Parts, Skeleton, loaded
from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.rebuild.pydantic_models import (
    make_parametrized,
    make_validator,
    set_parametrized,
)

__all__ = ["LIBRARY", "add_reducers"]


def add_reducers(reducers: dict[type, Callable[[Any], Any]]) -> None:
    """Add the reducers of pydantic's objects."""
    reducers[loaded("pydantic._internal._validate_call").ValidateCallWrapper] = _reduce_validator


def _reduce_validator(validator: Any) -> Any:
    config = validator.config_wrapper.config_dict
    return make_validator, (validator.function, config, validator.validate_return)


def _is_parametrized(cls: Any) -> bool:
    metadata = cls.__dict__.get("__pydantic_generic_metadata__")
    return isinstance(metadata, dict) and metadata.get("origin") is not None


def _parametrized_parts(needs: Needs, definition: Definition, skeleton: Skeleton) -> Parts:
    """Return the parts of a class that must be the value of `Model[int]` in the worker, too."""
    cls: Any = definition.value
    metadata = cls.__pydantic_generic_metadata__
    parts = type(cls), cls.__name__, cls.__bases__, skeleton.contents, skeleton.functions
    arguments = parts, metadata["origin"], metadata["args"]
    maker, setter = make_parametrized, set_parametrized
    return maker, arguments, setter, skeleton.state


LIBRARY = Library(_is_parametrized, lambda name, value: False, _parametrized_parts)
