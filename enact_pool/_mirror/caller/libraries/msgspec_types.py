"""Structs, metadata and coders of msgspec, whose types are made in C."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from enact_pool._mirror.caller.code_names import IDENTIFIER
from enact_pool._mirror.caller.definition import Definition
from enact_pool._mirror.caller.libraries.library import Library, Parts, Skeleton, loaded
from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.rebuild.msgspec_types import make_struct, set_struct
from enact_pool._mirror.rebuild.values import call_with_keywords

__all__ = ["LIBRARY", "add_reducers"]


def _is_struct(cls: Any) -> bool:
    return isinstance(cls, type(loaded("msgspec").Struct))


def _remakes(name: str, value: Any) -> bool:
    return name.startswith("__struct_") or name in ("__match_args__", "__annotations__")


def _struct_parts(needs: Needs, definition: Definition, skeleton: Skeleton) -> Parts:
    cls: Any = definition.value
    encoded = dict(zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True))
    annotations = inspect.get_annotations(cls)
    own = [name for name in annotations if name in encoded]
    keyword_only = frozenset(own).difference(cls.__match_args__)
    contents = {**skeleton.contents, "__annotations__": annotations}
    contents.pop("__slots__", None)
    attributes = skeleton.state["attributes"]
    for name in ("__orig_bases__", "__doc__"):
        if name in attributes:
            contents[name] = attributes.pop(name)
    parts = type(cls), cls.__name__, cls.__bases__, contents, skeleton.functions
    arguments = parts, _own_fields(cls, own, encoded), keyword_only, _keywords(cls)
    texts = [str(annotation) for annotation in annotations.values()]
    state = {**skeleton.state, "names": sorted(set(IDENTIFIER.findall(" ".join(texts))))}
    return make_struct, arguments, set_struct, state


def _own_fields(cls: Any, own: list[str], encoded: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return the keywords for `msgspec.field`, by the names of the struct's own fields."""
    msgspec = loaded("msgspec")
    names = cls.__struct_fields__
    defaults = dict(zip(reversed(names), reversed(cls.__struct_defaults__), strict=False))
    fields = {}
    for name in own:
        default = defaults.get(name, msgspec.NODEFAULT)
        keywords: dict[str, Any] = {}
        if type(default).__name__ == "Factory":
            keywords["default_factory"] = default.factory
        elif default is not msgspec.NODEFAULT:
            keywords["default"] = default
        if encoded[name] != name:
            keywords["name"] = encoded[name]
        fields[name] = keywords
    return fields


def _keywords(cls: Any) -> dict[str, Any]:
    """Return the keywords that the struct is defined with."""
    config = cls.__struct_config__
    keywords = {
        name: getattr(config, name)
        for name in dir(config)
        if not name.startswith("_") and isinstance(getattr(config, name), (bool, int, str))
    }
    # Without a tag, the class must not inherit one. A subclass inherits `True` as such.
    tag = False if config.tag is None else config.tag
    keywords["tag"] = tag == cls.__qualname__.rpartition(".")[2] or tag
    if config.tag is None:
        keywords.pop("tag_field", None)
    return keywords


LIBRARY = Library(_is_struct, _remakes, _struct_parts)


def add_reducers(reducers: dict[type, Callable[[Any], Any]]) -> None:
    """Add the reducers of msgspec's own objects, which pickle refuses."""
    msgspec = loaded("msgspec")
    reducers[msgspec.Meta] = _reduce_meta
    for coding in (msgspec.json, msgspec.msgpack):
        reducers[coding.Encoder] = reducers[coding.Decoder] = _reduce_coder


def _reduce_meta(meta: Any) -> Any:
    names = [name for name in dir(meta) if not name.startswith("_")]
    return call_with_keywords, (type(meta), _options(meta, names))


def _reduce_coder(coder: Any) -> Any:
    names = [name for name in dir(coder) if name.endswith(("_hook", "_format"))]
    return call_with_keywords, (type(coder), _options(coder, [*names, "order", "strict", "type"]))


def _options(value: Any, names: list[str]) -> dict[str, Any]:
    found = {name: getattr(value, name, None) for name in names}
    return {name: option for name, option in found.items() if option is not None}
