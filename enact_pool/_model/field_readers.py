"""Readers of fields: they turn the plain values of JSON back into what `to_dict` was called on.

An object must have exactly the fields that its `to_dict` writes. The reader of a field returns the
value, or raises `ValueError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from reprlib import repr
from typing import Any

__all__ = [
    "Reader",
    "one_of",
    "or_none",
    "read_fields",
    "read_integer",
    "read_mapping",
    "read_number",
    "read_text",
]

Reader = Callable[[Any], Any]


def read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{repr(value)} is not a text")
    return value


def read_integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{repr(value)} is not an integer")
    return value


def read_number(value: Any) -> float:
    if isinstance(value, float) and isfinite(value):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{repr(value)} is not a finite number")
    return value


def read_mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{repr(value)} is not a mapping")
    return dict(value)


def or_none(read: Reader) -> Reader:
    return lambda value: None if value is None else read(value)


def one_of(*known: str) -> Reader:
    def read(value: Any) -> str:
        if value not in known:
            raise ValueError(f"{repr(value)} is not one of {', '.join(known)}")
        return read_text(value)

    return read


def read_fields(what: str, mapping: object, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """Return the fields of a mapping, each read by its reader.

    Raises `ValueError` if the mapping has other fields, or if a reader refuses a value; the message
    names the object as `what`.
    """
    if not isinstance(mapping, Mapping):
        raise ValueError(f"{what} must be a mapping with its fields, not {repr(mapping)}")
    if mapping.keys() != readers.keys():
        for name in readers:
            if name not in mapping:
                raise ValueError(f"{what} must have {name}")
        for name in mapping:
            if name not in readers:
                raise ValueError(f"{what} has no field {repr(name)}")
    fields = {}
    for name, read in readers.items():
        try:
            fields[name] = read(mapping[name])
        except ValueError as error:
            raise ValueError(f"{what} has a bad {name}: {error}") from None
    return fields
