"""The inputs and return values of tasks. Workers import this: standard library only."""

from __future__ import annotations

import pickle
import zlib
from struct import Struct
from typing import Any

__all__ = ["VALUES", "Blob", "check_and_change", "input_value", "returned_value"]

# The kinds of tasks that return a value of `amount` bytes.
VALUES = ("bytes", "bytearray", "blob", "texts")


class Blob:
    """Writable bytes that a pickle keeps out of band, like NumPy's arrays."""

    def __init__(self, memory: Any) -> None:
        self.memory = memoryview(memory)

    def __reduce_ex__(self, _protocol: Any) -> tuple[Any, ...]:
        return Blob, (pickle.PickleBuffer(self.memory),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blob) and self.memory == other.memory

    def __hash__(self) -> int:
        return hash(len(self.memory))


def returned_value(kind: str, plan: int, index: int, amount: int) -> Any:
    """Return the value that a task of one of the kinds `VALUES` returns."""
    filling = Struct("<II").pack(plan, index) * (amount // 8)
    if kind == "bytes":
        return filling
    if kind == "bytearray":
        return bytearray(filling)
    if kind == "blob":
        return Blob(bytearray(filling))
    return [f"{plan} {index} {number}" for number in range(amount // 64)]


def input_value(kind: str, amount: int) -> Any:
    """Return an input for all tasks of a plan: "nothing", "list", "bytes" or "blob"."""
    if kind == "nothing":
        return None
    if kind == "list":
        return [1, 2]
    filling = b"an input" * (amount // 8)
    return filling if kind == "bytes" else Blob(bytearray(filling))


def check_and_change(input: Any) -> None:
    """Raise `AssertionError` if another task has changed this input; then change it, if possible.

    The input is an `input_value`, or the task itself.
    """
    if isinstance(input, list):
        assert input == [1, 2], f"another task has changed this input: {input}"
        input.append(3)
    elif isinstance(input, (bytes, Blob)):
        memory = input if isinstance(input, bytes) else input.memory
        expected = b"an input" * (len(memory) // 8)
        assert zlib.crc32(memory) == zlib.crc32(expected), "another task has changed this input"
        if isinstance(input, Blob):
            changed = input.memory[: 1 << 13]
            changed[:] = bytes(len(changed))
