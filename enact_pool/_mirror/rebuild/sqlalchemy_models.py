"""Models of SQLAlchemy, and what they refer to: registries, metadata, tables and columns."""

from __future__ import annotations

from enact_pool._mirror.rebuild.classes import set_class
from enact_pool._mirror.registry import complete_definition, registry, resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "column_of",
    "make_default",
    "make_expression_values",
    "make_metadata",
    "make_registry",
    "make_table",
    "mapper_of",
    "set_declared",
    "token_of",
]

# Registries and metadata, by tokens that are the same in all processes.
_by_token: dict[str, Any] = {}
_tokens: dict[int, str] = {}


def token_of(value: Any) -> str:
    """Return the token of a registry or of metadata."""
    token = _tokens.get(id(value))
    if token is None:
        token = _tokens[id(value)] = registry.new_key()
        _by_token[token] = value
    return token


def _keep(token: str, value: Any) -> Any:
    _by_token[token] = value
    _tokens[id(value)] = token
    return value


def make_metadata(token: str, options: dict[str, Any]) -> Any:
    """Return the metadata with this token; make it if it is unknown."""
    import sqlalchemy

    return _by_token.get(token) or _keep(token, sqlalchemy.MetaData(**options))


def make_registry(token: str, metadata: Any, options: dict[str, Any]) -> Any:
    """Return the registry with this token; make it if it is unknown."""
    from sqlalchemy import orm

    return _by_token.get(token) or _keep(token, orm.registry(metadata=metadata, **options))


def make_table(metadata: Any, key: str, alone: Any) -> Any:
    """Return the table with this key; make it from the copy `alone` if it is unknown."""
    found = metadata.tables.get(key)
    return alone.to_metadata(metadata) if found is None else found


def column_of(table: Any, key: str) -> Any:
    """Return a column of a table."""
    return table.c[key]


def mapper_of(cls: Any) -> Any:
    """Return the mapper of a model."""
    complete_definition(cls)
    return cls.__mapper__


def make_expression_values(kind: Any, others: dict[str, Any], models: dict[str, Any]) -> Any:
    """Make the dict of an expression: values, and mappers of models; empty before mapping."""
    for cls in models.values():
        complete_definition(cls)
    if not all("__mapper__" in cls.__dict__ for cls in models.values()):
        return kind()
    return kind({**others, **{name: cls.__mapper__ for name, cls in models.items()}})


def make_default(function: Any) -> Any:
    """Make the default of a column, which calls a function."""
    import sqlalchemy

    return sqlalchemy.ColumnDefault(function)


# Models that wait until their bases are mapped, and their mappings.
_waiting: list[tuple[Any, dict[str, Any]]] = []


def set_declared(cls: Any, state: dict[str, Any]) -> Any:
    """Set the attributes of a model, and map it; or of the base of models."""
    state.pop("bases")
    mapping = state.pop("mapping", None)
    if mapping is None:
        _set_base(cls, state)
    else:
        set_class(cls, state)
        _waiting.append((cls, mapping))
    while ready := [each for each in _waiting if _is_ready(each[1])]:
        for each in ready:
            _waiting.remove(each)
            _map(*each)
    return cls


def _set_base(cls: Any, state: dict[str, Any]) -> None:
    made, metadata = state.pop("registry"), state.pop("metadata")
    state.pop("tables")
    set_class(cls, state)
    for name, value in (("registry", made), ("_sa_registry", made), ("metadata", metadata)):
        type.__setattr__(cls, name, value)
    if cls.__init__ is object.__init__:
        type.__setattr__(cls, "__init__", made.constructor)


def _is_ready(mapping: dict[str, Any]) -> bool:
    inherited = mapping["arguments"]["inherits"]
    return inherited is None or "__mapper__" in inherited.__dict__


def _map(cls: Any, mapping: dict[str, Any]) -> None:
    from sqlalchemy import orm

    properties = {}
    for key, (kind, arguments, options) in mapping["properties"].items():
        if kind == "relationship":
            target = _target(arguments[0])
            properties[key] = orm.relationship(target, **options)
        else:
            properties[key] = getattr(orm, kind)(*arguments, **options) if kind else arguments[0]
    mapping["registry"].map_imperatively(
        cls, mapping["table"], properties=properties, **mapping["arguments"]
    )
    # Making an instance configures the mappers of these models.
    for key in mapping["related"]:
        if isinstance(key, str):
            registry.complete(key)


def _target(key: Any) -> Any:
    if not isinstance(key, str):
        return key

    def find() -> Any:
        return resolve(key)

    return find
