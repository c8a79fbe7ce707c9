"""How objects of libraries are sent that pickle cannot copy, or must not.

Models and statements of SQLAlchemy refer to registries, metadata, tables and columns, of which
a worker has one each. What msgspec has made in C cannot be pickled.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from typing import Any

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
from enact_pool._mirror.rebuild.values import call_with_keywords

__all__ = ["add_reducers", "is_usual_constructor", "note_place", "reducers"]

# By the types of what they reduce. Those of a library are added when it is imported.
reducers: dict[type, Callable[[Any], Any]] = {}


def add_reducers() -> None:
    """Add the reducers of libraries that have been imported since."""
    for name, (last, add) in list(_not_added.items()):
        # Another thread may be importing it.
        if hasattr(sys.modules.get(name), last):
            add()
            _not_added.pop(name, None)


# msgspec


def _add_msgspec() -> None:
    msgspec = _module("msgspec")
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


# SQLAlchemy


def _add_sqlalchemy() -> None:
    sqlalchemy, orm = _module("sqlalchemy"), _module("sqlalchemy.orm")
    reducers[_module("sqlalchemy.sql.schema").CallableColumnDefault] = _reduce_default
    reducers[_module("sqlalchemy.util").immutabledict] = _reduce_dict
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
    return make_registry, (token_of(registry), registry.metadata, options)


def _reduce_mapper(mapper: Any) -> Any:
    return mapper_of, (mapper.class_,)


def _reduce_dict(values: Any) -> Any:
    """What is noted at an expression: in that of a model, which is not mapped before it."""
    mapper = _module("sqlalchemy.orm").Mapper
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
    alone = _module("sqlalchemy").MetaData(info={_DETACHED: True})
    return make_table, (table.metadata, table.key, table.to_metadata(alone))


def _reduce_column(column: Any) -> Any:
    table = column.table
    if not isinstance(table, _module("sqlalchemy").Table) or table.metadata.info.get(_DETACHED):
        return column.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    return column_of, (table, column.key)


def _reduce_default(default: Any) -> Any:
    """By the function that the user has named: SQLAlchemy wraps it in one of its own."""
    function = vars(default).get("_fn", default.arg)
    module = getattr(function, "__globals__", {}).get("__name__", "")
    if module.startswith("sqlalchemy."):
        function = function.__wrapped__
    made = ("arg", "_fn", "dispatch")
    state = {name: value for name, value in vars(default).items() if name not in made}
    return make_default, (function,), state


_DETACHED = "enact_pool: a copy of one table"


def _module(name: str) -> Any:
    return sys.modules[name]


# The libraries that were not imported yet: the name that they define last, and what adds theirs.
_not_added: dict[str, tuple[str, Callable[[], None]]] = {
    "msgspec": ("to_builtins", _add_msgspec),
    "sqlalchemy.orm": ("registry", _add_sqlalchemy),
}
