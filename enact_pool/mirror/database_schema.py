"""How the registries, metadata, tables and columns of SQLAlchemy are sent.

A worker has one of each, to which models and statements refer. They must not bring copies.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from typing import Any

from enact_pool.mirror import rebuild_foreign
from enact_pool.mirror.rebuild_foreign import token_of

__all__ = ["add_reducers", "is_usual_constructor", "note_place", "reducers"]

# By the types of what they reduce; empty as long as SQLAlchemy is not imported.
reducers: dict[type, Callable[[Any], Any]] = {}


def add_reducers() -> None:
    """Fill `reducers` if SQLAlchemy is imported."""
    if reducers or "sqlalchemy.orm" not in sys.modules:
        return
    sqlalchemy, orm = _module("sqlalchemy"), _module("sqlalchemy.orm")
    if hasattr(orm, "registry"):  # else it is being imported, by another thread
        schema = _module("sqlalchemy.sql.schema")
        reducers[schema.CallableColumnDefault] = _reduce_default
        reducers[sqlalchemy.Table] = _reduce_table
        reducers[sqlalchemy.Column] = _reduce_column
        reducers[sqlalchemy.MetaData] = _reduce_metadata
        reducers[orm.registry] = _reduce_registry
        reducers[orm.Mapper] = _reduce_mapper


# Registries and metadata that a worker finds in a module: the class that has each, and the name.
_places: dict[int, tuple[type, str]] = {}


def note_place(value: Any, owner: type, name: str) -> None:
    """Note that a worker finds a registry, or metadata, as an attribute of a class."""
    _places[id(value)] = owner, name


def is_usual_constructor(function: Any) -> bool:
    """Return whether a function is the `__init__` that models have by default."""
    return getattr(function, "__module__", "") == "sqlalchemy.orm.decl_base"


def _reduce_registry(registry: Any) -> Any:
    if id(registry) in _places:
        return getattr, _places[id(registry)]
    options = {"type_annotation_map": registry.type_annotation_map}
    if not is_usual_constructor(registry.constructor):
        options["constructor"] = registry.constructor
    return rebuild_foreign.make_registry, (token_of(registry), registry.metadata, options)


def _reduce_mapper(mapper: Any) -> Any:
    return rebuild_foreign.mapper_of, (mapper.class_,)


def _reduce_metadata(metadata: Any) -> Any:
    if metadata.info.get(_DETACHED):
        return metadata.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    if id(metadata) in _places:
        return getattr, _places[id(metadata)]
    options = {"schema": metadata.schema, "naming_convention": metadata.naming_convention}
    return rebuild_foreign.make_metadata, (token_of(metadata), options)


def _reduce_table(table: Any) -> Any:
    if table.metadata.info.get(_DETACHED):
        return table.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    alone = _module("sqlalchemy").MetaData(info={_DETACHED: True})
    return rebuild_foreign.make_table, (table.metadata, table.key, table.to_metadata(alone))


def _reduce_column(column: Any) -> Any:
    table = column.table
    if not isinstance(table, _module("sqlalchemy").Table) or table.metadata.info.get(_DETACHED):
        return column.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    return rebuild_foreign.column_of, (table, column.key)


def _reduce_default(default: Any) -> Any:
    """By the function that the user has named: SQLAlchemy wraps it in one of its own."""
    function = vars(default).get("_fn", default.arg)
    module = getattr(function, "__globals__", {}).get("__name__", "")
    if module.startswith("sqlalchemy."):
        function = function.__wrapped__
    made = ("arg", "_fn", "dispatch")
    state = {name: value for name, value in vars(default).items() if name not in made}
    return rebuild_foreign.make_default, (function,), state


_DETACHED = "enact_pool: a copy of one table"


def _module(name: str) -> Any:
    return sys.modules[name]
