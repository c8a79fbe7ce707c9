"""Fingerprints of values: whether a value is what it was when it was sent."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

__all__ = ["Fingerprint"]

# A longer pickle is not kept, but its hash.
_KEPT_BYTES = 4096


class Fingerprint:
    """What a pickle looked like, with what it left out of band."""

    __slots__ = ("_parts",)

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self._parts = parts

    @classmethod
    def of(cls, pickled: bytes, buffers: Sequence[pickle.PickleBuffer] = ()) -> Fingerprint:
        """Return the fingerprint of a pickle: itself if it is short, else a hash of 128 bits."""
        if not buffers and len(pickled) <= _KEPT_BYTES:
            return cls((pickled,))
        from xxhash import xxh3_128_digest  # for large values only

        return cls((xxh3_128_digest(pickled), *(xxh3_128_digest(b.raw()) for b in buffers)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fingerprint) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash(self._parts)
