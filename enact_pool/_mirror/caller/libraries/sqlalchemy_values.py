"""Registries, metadata, tables, columns and expressions of SQLAlchemy.

They refer to each other. A worker must have one of each, so they are pickled by the name of the
class or table that they belong to.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

from enact_pool._mirror.caller.libraries.library import loaded
from enact_pool._mirror.rebuild.sqlalchemy_models import (
    column_of,
    make_default,
    make_expression_values,
    make_metadata,
    make_registry,
    make_table,
    mapper_of,
    token_of,
)

__all__ = ["add_reducers", "is_default_constructor", "note_place"]

# An entry of `MetaData.info`: this metadata was made to pickle one table, and is copied as it is.
_DETACHED = "enact_pool: a copy of one table"

# By id, the registries and metadata that a worker finds in a module: the class that has each as
# an attribute, and the attribute's name.
_places: dict[int, tuple[type, str]] = {}


def add_reducers(reducers: dict[type, Callable[[Any], Any]]) -> None:
    """Add the reducers of SQLAlchemy's objects."""
    sqlalchemy, orm = loaded("sqlalchemy"), loaded("sqlalchemy.orm")
    reducers[loaded("sqlalchemy.sql.schema").CallableColumnDefault] = _reduce_default
    reducers[loaded("sqlalchemy.util").immutabledict] = _reduce_dict
    reducers[sqlalchemy.Table] = _reduce_table
    reducers[sqlalchemy.Column] = _reduce_column
    reducers[sqlalchemy.MetaData] = _reduce_metadata
    reducers[orm.registry] = _reduce_registry
    reducers[orm.Mapper] = _reduce_mapper


def note_place(value: Any, owner: type, name: str) -> None:
    """Note that a worker finds a registry, or metadata, as an attribute of a class."""
    _places[id(value)] = owner, name


def is_default_constructor(function: Any) -> bool:
    """Return whether a function is the `__init__` that models have by default."""
    return getattr(function, "__module__", "") == "sqlalchemy.orm.decl_base"


def _reduce_registry(registry: Any) -> Any:
    if id(registry) in _places:
        return getattr, _places[id(registry)]
    options = {"type_annotation_map": registry.type_annotation_map}
    if not is_default_constructor(registry.constructor):
        options["constructor"] = registry.constructor
    return make_registry, (token_of(registry), registry.metadata, options)


def _reduce_mapper(mapper: Any) -> Any:
    return mapper_of, (mapper.class_,)


def _reduce_dict(values: Any) -> Any:
    """Reduce the annotations of an expression, which a worker may load before it maps a model."""
    mapper = loaded("sqlalchemy.orm").Mapper
    models = {name: value.class_ for name, value in values.items() if isinstance(value, mapper)}
    others = {name: value for name, value in values.items() if name not in models}
    return make_expression_values, (type(values), others, models)


def _reduce_metadata(metadata: Any) -> Any:
    if metadata.info.get(_DETACHED):
        return metadata.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    if id(metadata) in _places:
        return getattr, _places[id(metadata)]
    options = {"schema": metadata.schema, "naming_convention": metadata.naming_convention}
    return make_metadata, (token_of(metadata), options)


def _reduce_table(table: Any) -> Any:
    if table.metadata.info.get(_DETACHED):
        return table.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    alone = loaded("sqlalchemy").MetaData(info={_DETACHED: True})
    return make_table, (table.metadata, table.key, table.to_metadata(alone))


def _reduce_column(column: Any) -> Any:
    table = column.table
    if not isinstance(table, loaded("sqlalchemy").Table) or table.metadata.info.get(_DETACHED):
        return column.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    return column_of, (table, column.key)


def _reduce_default(default: Any) -> Any:
    """Reduce a default to the user's function, which SQLAlchemy wraps in one of its own."""
    function = vars(default).get("_fn", default.arg)
    module = getattr(function, "__globals__", {}).get("__name__", "")
    if module.startswith("sqlalchemy."):
        function = function.__wrapped__
    made = ("arg", "_fn", "dispatch")
    state = {name: value for name, value in vars(default).items() if name not in made}
    return make_default, (function,), state
