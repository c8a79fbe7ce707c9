"""Fingerprints of pickles: whether a value is still the one that was sent."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

__all__ = ["Fingerprint"]

# A longer pickle is replaced by its hash.
_KEPT_BYTES = 4096


class Fingerprint:
    """A short value that is equal for equal pickles with equal buffers."""

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self._parts = parts

    @classmethod
    def of(cls, pickled: bytes, buffers: Sequence[pickle.PickleBuffer] = ()) -> Fingerprint:
        """Return the fingerprint of a pickle: the pickle if it is short, else 128-bit hashes."""
        if not buffers and len(pickled) <= _KEPT_BYTES:
            return cls((pickled,))
        from xxhash import xxh3_128_digest  # needed for large values only

        return cls((xxh3_128_digest(pickled), *(xxh3_128_digest(b.raw()) for b in buffers)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fingerprint) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash(self._parts)
