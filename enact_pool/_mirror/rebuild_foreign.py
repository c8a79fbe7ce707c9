"""How classes are made that a library makes in its own way: see `foreign_classes`.

The libraries are imported when the first such class is made.
"""

from __future__ import annotations

import sys

from enact_pool._mirror.rebuild import make_class, make_function, set_class
from enact_pool._mirror.registry import MissingDefinition, registry, resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    # Their names, how each is wrapped, and their parts: see `rebuild.make_class`.
    Functions = Iterable[tuple[str, str, Any]]

__all__ = [
    "call",
    "column_of",
    "make_array",
    "make_c_type",
    "make_declared",
    "make_metadata",
    "make_parametrized",
    "make_prototype",
    "make_registry",
    "make_struct",
    "make_table",
    "set_c_type",
    "set_declared",
    "set_parametrized",
    "set_struct",
    "token_of",
]


def _with_functions(contents: dict[str, Any], functions: Functions) -> dict[str, Any]:
    """Return the contents of a class along with its functions, which refer to nothing yet."""
    wrappers: dict[str, Any] = {"class": classmethod, "static": staticmethod}
    contents = dict(contents)
    for value in contents.values():
        if type(value) in (list, dict, set):
            _complete(value)  # the library reads it when it makes the class
    for name, wrapper, parts in functions:
        function = make_function(*parts)
        contents[name] = wrappers[wrapper](function) if wrapper else function
    return contents


def _complete(value: Any) -> None:
    """Have a definition of the script complete, if it is one."""
    key = registry.key_of(value)
    if key is not None:
        registry.complete(key)


def call(function: Any, keywords: dict[str, Any]) -> Any:
    """Call a function with keywords, which pickles cannot do."""
    return function(**keywords)


# msgspec


def make_struct(
    metaclass: Any,
    name: str,
    bases: tuple[type, ...],
    contents: dict[str, Any],
    functions: Functions,
    fields: dict[str, dict[str, Any]],
    keyword_only: frozenset[str],
    keywords: dict[str, Any],
) -> type:
    """Make a struct with its fields: it has no other way to get these."""
    import msgspec

    contents = _with_functions(contents, functions)
    for field, how in fields.items():
        if how:
            contents[field] = msgspec.field(**how)
    keywords = {**keywords, "kw_only": bool(keyword_only)}
    cls: type
    if any(_has_hook(kind) for base in bases for kind in base.__mro__):
        try:
            made_by: Any = type(msgspec.Struct)
            shadow = made_by("Hookless", (msgspec.Struct,), dict(_HOOKLESS))
            cls = metaclass(name, (shadow, *bases), contents, **keywords)
            cls.__bases__ = bases
        except TypeError:
            pass  # another layout
        else:
            return cls
    cls = metaclass(name, bases, contents, **keywords)
    return cls


def _has_hook(kind: type) -> bool:
    hook = kind.__dict__.get("__init_subclass__")
    return kind.__module__ != "typing" and type(hook) is classmethod


# Keeps the hook of a base from running once more.
_HOOKLESS = {"__module__": __name__, "__init_subclass__": lambda cls, **keywords: None}


def set_struct(cls: type, state: dict[str, Any]) -> type:
    """Give a struct its attributes, and its functions what they refer to.

    msgspec looks up the names in annotations that are texts, in the dict of the module.
    """
    module = sys.modules.get(cls.__module__)
    for name in state.pop("names"):
        try:
            getattr(module, name, None)
        except MissingDefinition:
            continue  # msgspec says that the name is missing
    return set_class(cls, state)


# ctypes


def make_c_type(
    metaclass: Any,
    name: str,
    bases: tuple[type, ...],
    contents: dict[str, Any],
    functions: Functions,
) -> type:
    """Make a type of C, which has no fields yet."""
    for base in bases:
        _complete(base)  # it gets no fields any more
    made_by = metaclass or type(bases[0])
    cls: type = made_by(name, bases, _with_functions(contents, functions))
    return cls


def set_c_type(cls: Any, state: dict[str, Any]) -> type:
    """Give a type of C its fields, whose types are complete, and its attributes."""
    import ctypes

    state.pop("bases")
    if "fields" in state:
        fields = state.pop("fields")
        for field in fields:
            _complete(field[1])
        # That of types in the other order of bytes would turn the fields around once more.
        kind = type(ctypes.Union if issubclass(cls, ctypes.Union) else ctypes.Structure)
        kind.__setattr__(cls, "_fields_", fields)
    # `type` refuses to set those of a metaclass of C that sets them itself.
    for name, value in state["attributes"].items():
        setattr(cls, name, value)
    return set_class(cls, {**state, "attributes": {}})


def make_array(element: Any, length: int) -> type:
    """Make a type of arrays; the type of its elements must have its size."""
    _complete(element)
    cls: type = element * length
    return cls


def make_prototype(result: Any, arguments: tuple[Any, ...], flags: int) -> type:
    """Make a type of functions of C."""
    import _ctypes
    import ctypes

    if flags & _ctypes.FUNCFLAG_PYTHONAPI:
        return ctypes.PYFUNCTYPE(result, *arguments)
    return ctypes.CFUNCTYPE(
        result,
        *arguments,
        use_errno=bool(flags & _ctypes.FUNCFLAG_USE_ERRNO),
        use_last_error=bool(flags & _ctypes.FUNCFLAG_USE_LASTERROR),
    )


# pydantic


def make_parametrized(
    metaclass: type,
    name: str,
    bases: tuple[type, ...],
    contents: dict[str, Any],
    functions: Functions,
    origin: Any,
    arguments: tuple[Any, ...],
) -> type:
    """Return the model that is a generic one with these arguments; make it if it is not here."""
    from pydantic._internal import _generics

    made: Any = _generics.get_cached_generic_type_early(origin, arguments)
    if made is None:
        made = make_class(metaclass, name, bases, contents, functions)
        _generics.set_cached_generic_type(origin, arguments, made, origin, arguments)
    return made  # type: ignore[no-any-return]


def set_parametrized(cls: type, state: dict[str, Any]) -> type:
    """Give such a model its attributes, if it was not complete before."""
    return cls if "__pydantic_fields__" in cls.__dict__ else set_class(cls, state)


# SQLAlchemy

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
    """Return the metadata with this token; make it if it is not here."""
    import sqlalchemy

    return _by_token.get(token) or _keep(token, sqlalchemy.MetaData(**options))


def make_registry(token: str, metadata: Any, options: dict[str, Any]) -> Any:
    """Return the registry with this token; make it if it is not here."""
    from sqlalchemy import orm

    return _by_token.get(token) or _keep(token, orm.registry(metadata=metadata, **options))


def make_table(metadata: Any, key: str, alone: Any) -> Any:
    """Return the table of this key; make it if it is not here, after one that is `alone`."""
    found = metadata.tables.get(key)
    return alone.to_metadata(metadata) if found is None else found


def column_of(table: Any, key: str) -> Any:
    """Return a column of a table."""
    return table.c[key]


def mapper_of(cls: Any) -> Any:
    """Return the mapper of a model."""
    _complete(cls)
    return cls.__mapper__


def make_dict(kind: Any, others: dict[str, Any], models: dict[str, Any]) -> Any:
    """Make a dict that has the mappers of models, without those of models that are not mapped."""
    for cls in models.values():
        _complete(cls)
    if not all("__mapper__" in cls.__dict__ for cls in models.values()):
        return kind()
    return kind({**others, **{name: cls.__mapper__ for name, cls in models.items()}})


def make_default(function: Any) -> Any:
    """Make the default of a column, which calls a function."""
    import sqlalchemy

    return sqlalchemy.ColumnDefault(function)


def make_declared(
    metaclass: type,
    name: str,
    bases: tuple[type, ...],
    contents: dict[str, Any],
    functions: Functions,
) -> type:
    """Make a model, or the base of models; it is not mapped yet."""
    return make_class(metaclass, name, bases, contents, functions)


# Classes whose bases must be mapped first.
_waiting: list[tuple[Any, dict[str, Any]]] = []


def set_declared(cls: Any, state: dict[str, Any]) -> Any:
    """Give a model its attributes, and map it."""
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
    # An instance has these configured.
    for key in mapping["related"]:
        if isinstance(key, str):
            registry.complete(key)


def _target(key: Any) -> Any:
    if not isinstance(key, str):
        return key

    def find() -> Any:
        return resolve(key)

    return find
