"""Declarative models of SQLAlchemy, which it keeps in a registry and maps to tables."""

from __future__ import annotations

import sys
import warnings
from typing import Any

from enact_pool._mirror.caller.code_names import IDENTIFIER
from enact_pool._mirror.caller.definition import Definition
from enact_pool._mirror.caller.definitions import definitions
from enact_pool._mirror.caller.libraries.library import Library, Parts, Skeleton, loaded
from enact_pool._mirror.caller.libraries.sqlalchemy_values import (
    is_default_constructor,
    note_place,
)
from enact_pool._mirror.caller.needs import Needs
from enact_pool._mirror.caller.process_bound import Unsendable
from enact_pool._mirror.rebuild.classes import make_class
from enact_pool._mirror.rebuild.sqlalchemy_models import set_declared

__all__ = ["LIBRARY"]


def _is_declared(cls: Any) -> bool:
    contents = cls.__dict__
    return "__mapper__" in contents or "_sa_registry" in contents or _has_registry(cls)


def _has_registry(cls: Any) -> bool:
    return isinstance(cls.__dict__.get("registry"), loaded("sqlalchemy.orm").registry)


_DECLARED = frozenset(
    ("__mapper__", "__table__", "_sa_class_manager", "_sa_registry", "registry", "metadata")
)


def _remakes(name: str, value: Any) -> bool:
    orm = loaded("sqlalchemy.orm")
    if name in _DECLARED or isinstance(value, (orm.QueryableAttribute, orm.MappedColumn)):
        return True
    return name == "__init__" and (
        hasattr(value, "_sa_original_init") or is_default_constructor(value)
    )


def _warn_of_listeners(cls: Any) -> None:
    """Warn if a class has event listeners: SQLAlchemy keeps them outside the class."""
    known = getattr(sys.modules.get("sqlalchemy.event.registry"), "_key_to_collection", {})
    targets = {id(cls), id(cls.__dict__.get("__mapper__"))}
    if any(key[0] in targets for key in list(known)):
        warnings.warn(
            f"event listeners and Mutable columns of {cls.__name__} have no effect in tasks, since "
            "its script is not run there: define the model in a module that workers can import",
            RuntimeWarning,
            stacklevel=2,
        )


def _declared_parts(needs: Needs, definition: Definition, skeleton: Skeleton) -> Parts:
    cls: Any = definition.value
    _warn_of_listeners(cls)
    for base in cls.__mro__:
        if definitions.find_class(base) is None:
            for name in ("registry", "metadata"):
                if name in base.__dict__:
                    note_place(base.__dict__[name], base, name)
    state = skeleton.state
    # The bases are complete before the state is set.
    state["bases"] = cls.__bases__
    constructor = _own_constructor(cls)
    if constructor is not None:
        state["attributes"]["__init__"] = constructor
    if "__mapper__" in cls.__dict__:
        state["mapping"] = _mapping(needs, cls)
    else:
        registry = cls.__dict__.get("_sa_registry") or cls.__dict__["registry"]
        state["registry"] = registry
        state["metadata"] = cls.metadata
        # Everything that a worker would have after an import.
        state["tables"] = list(cls.metadata.tables.values())
        for mapper in registry.mappers:
            _needs_class(needs, mapper.class_)
    arguments = type(cls), cls.__name__, cls.__bases__, skeleton.contents, skeleton.functions
    return make_class, arguments, set_declared, state


def _own_constructor(cls: Any) -> Any:
    """Return the `__init__` of the class's own body, which the mapping has wrapped."""
    original = getattr(cls.__dict__.get("__init__"), "_sa_original_init", None)
    if original is object.__init__ or is_default_constructor(original):
        return None
    # The mapping wraps an inherited `__init__`, too.
    inherited = any(vars(base).get("__init__") is original for base in cls.__mro__)
    return None if inherited else original


def _needs_class(needs: Needs, cls: Any) -> Any:
    """Return the key of a class, and note that it is needed; the class itself if importable."""
    found = definitions.find_class(cls)
    if found is None:
        return cls
    needs.definitions[found] = None
    return found.key


def _mapping(needs: Needs, cls: Any) -> dict[str, Any]:
    """Return how a class is mapped: see `set_declared`."""
    orm = loaded("sqlalchemy.orm")
    mapper = cls.__mapper__
    inherited = None if mapper.inherits is None else mapper.inherits.class_
    properties: dict[str, Any] = {}
    related = []
    for key, prop in mapper._init_properties.items():
        if isinstance(prop, orm.RelationshipProperty):
            target = _needs_class(needs, prop.mapper.class_)
            related.append(target)
            properties[key] = "relationship", (target,), _relationship_options(needs, prop)
        elif isinstance(prop, orm.ColumnProperty):
            columns = tuple(map(_without_annotations, prop.columns))
            properties[key] = "ColumnProperty", columns, _column_options(prop)
        elif isinstance(prop, orm.SynonymProperty):
            properties[key] = "synonym", (prop.name,), {}
        elif isinstance(prop, orm.CompositeProperty):
            attributes = [getattr(each, "key", each) for each in prop.attrs]
            properties[key] = "composite", (prop.composite_class, *attributes), {}
        elif isinstance(prop, loaded("sqlalchemy").Column):
            properties[key] = "", (prop,), {}
        else:
            raise Unsendable(
                f"{cls.__name__}.{key}, a {type(prop).__name__}, cannot be sent: define the "
                "model in a module that workers can import"
            )
    # The class may have the attributes that the mapper's columns were made from.
    arguments = {
        name: _without_annotations(getattr(mapper, name, value))
        for name, value in getattr(cls, "__mapper_args__", {}).items()
        if name != "properties"
    }
    arguments["polymorphic_identity"] = mapper.polymorphic_identity
    arguments["inherits"] = inherited
    # A subclass may have added columns to the table later.
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
    """Return an expression without its references to mappers, and any other value unchanged."""
    sql = loaded("sqlalchemy.sql")
    if isinstance(value, (list, tuple)):
        return [*map(_without_annotations, value)]
    if isinstance(value, loaded("sqlalchemy.orm").QueryableAttribute):
        value = value.__clause_element__()
    return sql.util._deep_deannotate(value) if isinstance(value, sql.ClauseElement) else value


def _column_options(prop: Any) -> dict[str, Any]:
    names = ("group", "deferred", "raiseload", "active_history", "expire_on_flush")
    options = {name: getattr(prop, name) for name in names}
    # Since SQLAlchemy 2.1, a column has the default of a dataclass field.
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


def _relationship_options(needs: Needs, prop: Any) -> dict[str, Any]:
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
            # SQLAlchemy evaluates the string when it configures the mappers.
            names = set(IDENTIFIER.findall(value))
            for mapper in prop.parent.registry.mappers:
                if mapper.class_.__name__ in names:
                    _needs_class(needs, mapper.class_)
            if argument.name == "secondary":
                options["secondary"] = prop.parent.registry.metadata.tables.get(value, value)
    # In SQLAlchemy 2.0, `_init_args` lacks it.
    options.setdefault("back_populates", prop.back_populates)
    if prop.backref is not None:
        options.pop("back_populates")  # SQLAlchemy sets it when it configures the mappers
    return options


LIBRARY = Library(_is_declared, _remakes, _declared_parts)
