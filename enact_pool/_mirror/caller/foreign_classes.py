"""How to take apart a class of a script that a library has made in its own way.

The metaclass of such a class works in C, or keeps a registry, so that its attributes alone do
not make the class again. A library is consulted only where it is imported. The modules of
`rebuild` that are named after the libraries make the classes, in workers.
"""

from __future__ import annotations

import inspect
import re
import sys
import warnings
from collections.abc import Callable
from typing import Any

from attrs import frozen

from enact_pool._mirror.caller.foreign_values import is_usual_constructor, note_place
from enact_pool._mirror.caller.pickler import ByValuePickler, Unsendable
from enact_pool._mirror.caller.scopes import Definition, scopes
from enact_pool._mirror.rebuild.classes import make_class
from enact_pool._mirror.rebuild.ctypes_types import (
    make_array,
    make_c_type,
    make_prototype,
    set_c_type,
)
from enact_pool._mirror.rebuild.msgspec_types import make_struct, set_struct
from enact_pool._mirror.rebuild.pydantic_models import make_parametrized, set_parametrized
from enact_pool._mirror.rebuild.sqlalchemy_models import set_declared

__all__ = ["Library", "Skeleton", "library_of"]


_IDENTIFIER = re.compile(r"[^\W\d]\w*")


@frozen
class Skeleton:
    """What a class is made with, and what it gets then: see `make_class`."""

    contents: dict[str, Any]
    functions: list[tuple[str, str, Any]]
    state: dict[str, Any]


Parts = tuple[Callable[..., Any], tuple[Any, ...], Callable[..., Any] | None, Any]


@frozen
class Library:
    """A library that makes classes in its own way.

    Args:
        has_made: Return whether it has made a class.
        owns: Return whether it makes an attribute anew, given the name and the value.
        parts: Return what a class is made of.
    """

    has_made: Callable[[Any], bool]
    owns: Callable[[str, Any], bool]
    parts: Callable[[ByValuePickler, Definition, Skeleton], Parts]


def library_of(cls: type) -> Library | None:
    """Return the library that has made a class; None for most classes."""
    for module, library in _LIBRARIES.items():
        if module in sys.modules and library.has_made(cls):
            return library
    return None


# msgspec


def _is_struct(cls: Any) -> bool:
    return isinstance(cls, type(_module("msgspec").Struct))


def _struct_owns(name: str, value: Any) -> bool:
    return name.startswith("__struct_") or name in ("__match_args__", "__annotations__")


def _struct_parts(pickler: ByValuePickler, definition: Definition, skeleton: Skeleton) -> Parts:
    cls: Any = definition.value
    msgspec = _module("msgspec")
    names = cls.__struct_fields__
    defaults = dict(zip(reversed(names), reversed(cls.__struct_defaults__), strict=False))
    encoded = dict(zip(names, cls.__struct_encode_fields__, strict=True))
    annotations = inspect.get_annotations(cls)
    own = [name for name in annotations if name in encoded]
    fields = {}
    for name in own:
        default = defaults.get(name, msgspec.NODEFAULT)
        how: dict[str, Any] = {}
        if type(default).__name__ == "Factory":
            how["default_factory"] = default.factory
        elif default is not msgspec.NODEFAULT:
            how["default"] = default
        if encoded[name] != name:
            how["name"] = encoded[name]
        fields[name] = how
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
    keyword_only = frozenset(own).difference(cls.__match_args__)
    contents = {**skeleton.contents, "__annotations__": annotations}
    contents.pop("__slots__", None)
    attributes = skeleton.state["attributes"]
    for name in ("__orig_bases__", "__doc__"):
        if name in attributes:
            contents[name] = attributes.pop(name)
    parts = type(cls), cls.__name__, cls.__bases__, contents, skeleton.functions
    arguments = parts, fields, keyword_only, keywords
    texts = [str(annotation) for annotation in annotations.values()]
    state = {**skeleton.state, "names": sorted(set(_IDENTIFIER.findall(" ".join(texts))))}
    return make_struct, arguments, set_struct, state


# ctypes


def _is_of_c(cls: Any) -> bool:
    base = _module("_ctypes")._SimpleCData.__mro__[1]  # `_CData`, which has no name
    return issubclass(cls, base)


def _c_owns(name: str, value: Any) -> bool:
    return name == "_fields_" or type(value).__name__ == "CField"


def _c_parts(pickler: ByValuePickler, definition: Definition, skeleton: Skeleton) -> Parts:
    cls: Any = definition.value
    ctypes = _module("ctypes")
    # These are made by a function that returns the same class each time.
    if issubclass(cls, ctypes._Pointer) and ctypes.POINTER(cls._type_) is cls:
        return ctypes.POINTER, (cls._type_,), None, None
    if issubclass(cls, ctypes.Array) and cls._type_ * cls._length_ is cls:
        return make_array, (cls._type_, cls._length_), None, None
    if cls.__bases__[0] is ctypes._CFuncPtr:
        results = cls.__dict__.get("_restype_"), cls.__dict__.get("_argtypes_", ())
        return make_prototype, (*results, cls._flags_), None, None
    for order in ("__ctype_le__", "__ctype_be__"):
        native = getattr(cls, order, cls)
        if native is not cls and cls.__module__ == "ctypes":
            other = {"__ctype_le__": "__ctype_be__", "__ctype_be__": "__ctype_le__"}[order]
            return getattr, (native, other), None, None
    contents, attributes = skeleton.contents, skeleton.state["attributes"]
    for name in ("_pack_", "_anonymous_", "_align_", "_layout_", "_type_", "_length_"):
        if name in attributes:
            contents[name] = attributes.pop(name)
    state = {**skeleton.state, "bases": cls.__bases__}
    if "_fields_" in cls.__dict__:
        state["fields"] = cls.__dict__["_fields_"]
    # Those of C cannot be imported.
    metaclass = type(cls) if type(cls).__module__ != "_ctypes" else None
    arguments = metaclass, cls.__name__, cls.__bases__, contents, skeleton.functions
    return make_c_type, arguments, set_c_type, state


# pydantic


def _is_parametrized(cls: Any) -> bool:
    metadata = cls.__dict__.get("__pydantic_generic_metadata__")
    return isinstance(metadata, dict) and metadata.get("origin") is not None


def _parametrized_parts(
    pickler: ByValuePickler, definition: Definition, skeleton: Skeleton
) -> Parts:
    """`Model[int]`, which must be the very class that this expression gives in a worker."""
    cls: Any = definition.value
    metadata = cls.__pydantic_generic_metadata__
    parts = type(cls), cls.__name__, cls.__bases__, skeleton.contents, skeleton.functions
    arguments = parts, metadata["origin"], metadata["args"]
    maker, setter = make_parametrized, set_parametrized
    return maker, arguments, setter, skeleton.state


# SQLAlchemy


def _is_declared(cls: Any) -> bool:
    contents = cls.__dict__
    return "__mapper__" in contents or "_sa_registry" in contents or _has_registry(cls)


def _has_registry(cls: Any) -> bool:
    return isinstance(cls.__dict__.get("registry"), _module("sqlalchemy.orm").registry)


_DECLARED = frozenset(
    ("__mapper__", "__table__", "_sa_class_manager", "_sa_registry", "registry", "metadata")
)


def _declared_owns(name: str, value: Any) -> bool:
    orm = _module("sqlalchemy.orm")
    if name in _DECLARED or isinstance(value, (orm.QueryableAttribute, orm.MappedColumn)):
        return True
    return name == "__init__" and (
        hasattr(value, "_sa_original_init") or is_usual_constructor(value)
    )


def _warn_of_listeners(cls: Any) -> None:
    """Say that a class has listeners, which SQLAlchemy keeps elsewhere."""
    known = getattr(sys.modules.get("sqlalchemy.event.registry"), "_key_to_collection", {})
    targets = {id(cls), id(cls.__dict__.get("__mapper__"))}
    if any(key[0] in targets for key in list(known)):
        warnings.warn(
            f"event listeners and Mutable columns of {cls.__name__} have no effect in tasks, since "
            "its script is not run there: define the model in a module that workers can import",
            RuntimeWarning,
            stacklevel=2,
        )


def _declared_parts(pickler: ByValuePickler, definition: Definition, skeleton: Skeleton) -> Parts:
    cls: Any = definition.value
    _warn_of_listeners(cls)
    for base in cls.__mro__:
        if scopes.find_class(base) is None:
            for name in ("registry", "metadata"):
                if name in base.__dict__:
                    note_place(base.__dict__[name], base, name)
    state = skeleton.state
    # These are complete before the class gets its state.
    state["bases"] = cls.__bases__
    constructor = _own_constructor(cls)
    if constructor is not None:
        state["attributes"]["__init__"] = constructor
    if "__mapper__" in cls.__dict__:
        state["mapping"] = _mapping(pickler, cls)
    else:
        registry = cls.__dict__.get("_sa_registry") or cls.__dict__["registry"]
        state["registry"] = registry
        state["metadata"] = cls.metadata
        # All that a worker would have after an import.
        state["tables"] = list(cls.metadata.tables.values())
        for mapper in registry.mappers:
            _needs_class(pickler, mapper.class_)
    arguments = type(cls), cls.__name__, cls.__bases__, skeleton.contents, skeleton.functions
    return make_class, arguments, set_declared, state


def _own_constructor(cls: Any) -> Any:
    """Return the `__init__` of the class's own body, which is wrapped where it is mapped."""
    original = getattr(cls.__dict__.get("__init__"), "_sa_original_init", None)
    if original is object.__init__ or is_usual_constructor(original):
        return None
    # An inherited one is wrapped too.
    inherited = any(vars(base).get("__init__") is original for base in cls.__mro__)
    return None if inherited else original


def _needs_class(pickler: ByValuePickler, cls: Any) -> Any:
    """Have workers get a class of the script; return its key, or a class that they can import."""
    found = scopes.find_class(cls)
    if found is None:
        return cls
    pickler.needs.definitions[found] = None
    return found.key


def _mapping(pickler: ByValuePickler, cls: Any) -> dict[str, Any]:
    """How a class is mapped."""
    orm = _module("sqlalchemy.orm")
    mapper = cls.__mapper__
    inherited = None if mapper.inherits is None else mapper.inherits.class_
    properties: dict[str, Any] = {}
    related = []
    for key, prop in mapper._init_properties.items():
        if isinstance(prop, orm.RelationshipProperty):
            target = _needs_class(pickler, prop.mapper.class_)
            related.append(target)
            properties[key] = "relationship", (target,), _relationship_options(pickler, prop)
        elif isinstance(prop, orm.ColumnProperty):
            columns = tuple(map(_without_annotations, prop.columns))
            properties[key] = "ColumnProperty", columns, _column_options(prop)
        elif isinstance(prop, orm.SynonymProperty):
            properties[key] = "synonym", (prop.name,), {}
        elif isinstance(prop, orm.CompositeProperty):
            attributes = [getattr(each, "key", each) for each in prop.attrs]
            properties[key] = "composite", (prop.composite_class, *attributes), {}
        elif isinstance(prop, _module("sqlalchemy").Column):
            properties[key] = "", (prop,), {}
        else:
            raise Unsendable(
                f"{cls.__name__}.{key}, a {type(prop).__name__}, cannot be sent: define the "
                "model in a module that workers can import"
            )
    # The mapper has columns where the class may have what these were made from.
    arguments = {
        name: _without_annotations(getattr(mapper, name, value))
        for name, value in getattr(cls, "__mapper_args__", {}).items()
        if name != "properties"
    }
    arguments["polymorphic_identity"] = mapper.polymorphic_identity
    arguments["inherits"] = inherited
    # Columns that a subclass has added to the table later.
    excluded = {c for each in mapper.tables for c in each.c if c not in mapper._columntoproperty}
    if excluded:
        arguments["exclude_properties"] = excluded
    return {
        "registry": mapper.registry,
        "table": None if mapper.single else mapper.local_table,
        "properties": properties,
        "arguments": arguments,
        "related": related,
    }


def _without_annotations(value: Any) -> Any:
    """Return an expression without its references to mappers; anything else as it is."""
    sql = _module("sqlalchemy.sql")
    if isinstance(value, (list, tuple)):
        return [*map(_without_annotations, value)]
    if isinstance(value, _module("sqlalchemy.orm").QueryableAttribute):
        value = value.__clause_element__()
    return sql.util._deep_deannotate(value) if isinstance(value, sql.ClauseElement) else value


def _column_options(prop: Any) -> dict[str, Any]:
    names = ("group", "deferred", "raiseload", "active_history", "expire_on_flush")
    options = {name: getattr(prop, name) for name in names}
    # The default of a dataclass, which a column has since SQLAlchemy 2.1.
    default = getattr(prop, "_default_scalar_value", None)
    if default is not None:
        options["default_scalar_value"] = default
    if prop.comparator_factory is not type(prop).Comparator:
        options["comparator_factory"] = prop.comparator_factory
    return options


_RELATIONSHIP_OPTIONS = (
    "active_history",
    "backref",
    "collection_class",
    "distinct_target_key",
    "doc",
    "enable_typechecks",
    "innerjoin",
    "join_depth",
    "lazy",
    "load_on_pending",
    "omit_join",
    "passive_deletes",
    "passive_updates",
    "post_update",
    "query_class",
    "single_parent",
    "sync_backref",
    "uselist",
    "viewonly",
)


def _relationship_options(pickler: ByValuePickler, prop: Any) -> dict[str, Any]:
    options = {
        name: value
        for name in _RELATIONSHIP_OPTIONS
        if (value := getattr(prop, name, None)) is not None
    }
    if prop.viewonly:
        options.pop("sync_backref", None)
    options["cascade"] = ", ".join(sorted(prop.cascade))
    if prop._overlaps:
        options["overlaps"] = ",".join(sorted(prop._overlaps))
    if prop.info:
        options["info"] = prop.info
    for argument in prop._init_args:
        value = argument.argument
        if value is None or value is False:
            continue
        options[argument.name] = _without_annotations(value)
        if isinstance(value, str):
            # A text that is evaluated when the mappers are configured.
            names = set(_IDENTIFIER.findall(value))
            for mapper in prop.parent.registry.mappers:
                if mapper.class_.__name__ in names:
                    _needs_class(pickler, mapper.class_)
            if argument.name == "secondary":
                options["secondary"] = prop.parent.registry.metadata.tables.get(value, value)
    # SQLAlchemy 2.0 does not have it among the arguments.
    options.setdefault("back_populates", prop.back_populates)
    if prop.backref is not None:
        options.pop("back_populates")  # it is set when the mappers are configured
    return options


def _module(name: str) -> Any:
    return sys.modules[name]


_LIBRARIES = {
    "msgspec": Library(_is_struct, _struct_owns, _struct_parts),
    "ctypes": Library(_is_of_c, _c_owns, _c_parts),
    "pydantic": Library(_is_parametrized, lambda name, value: False, _parametrized_parts),
    "sqlalchemy.orm": Library(_is_declared, _declared_owns, _declared_parts),
}
