"""Parametrized models of pydantic: `Model[int]`, which pydantic keeps in a cache."""

from __future__ import annotations

from typing import Any

from enact_pool._mirror.caller.definition import Definition
from enact_pool._mirror.caller.libraries.library import Library, Parts, Skeleton
from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.rebuild.pydantic_models import make_parametrized, set_parametrized

__all__ = ["LIBRARY"]


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
