"""Ids: `exec_` or `step_`, followed by a 27-character KSUID.

A KSUID is a time in seconds (4 bytes) and 16 random bytes, in base 62, so ids
sort by the time they were made. Within one second and process, ours sort by
the order they were made as well: see `IdSequence`.
"""

from __future__ import annotations

import os
import threading
import time
from typing import ClassVar, TypeVar

from cyksuid.v2 import BYTE_LENGTH, STRING_ENCODED_LENGTH, Ksuid, ksuid, parse

__all__ = ["ExecutionId", "IdSequence", "StepId", "fresh_ids"]

Id = TypeVar("Id", bound="_Id")


class _Id(str):
    """A string that is known to be a well-formed id."""

    __slots__ = ()
    prefix: ClassVar[str]

    def __new__(cls: type[Id], text: str) -> Id:
        """Take an id that exists; raises `ValueError` if `text` is none."""
        encoded = text.removeprefix(cls.prefix)
        if encoded == text or len(encoded) != STRING_ENCODED_LENGTH or not encoded.isascii():
            raise ValueError(f"{text!r} is no {cls.__name__}: expected {cls.prefix!r} and a KSUID")
        try:
            parse(encoded)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{text!r} is no {cls.__name__}: {error}") from error
        return super().__new__(cls, text)

    @classmethod
    def new(cls: type[Id]) -> Id:
        """Make a fresh id."""
        return cls.spell(int.from_bytes(bytes(ksuid()), "big"))

    @classmethod
    def spell(cls: type[Id], number: int) -> Id:
        """Write out the id whose KSUID is this 160-bit number."""
        encoded = Ksuid.from_bytes(number.to_bytes(BYTE_LENGTH, "big")).encoded
        return super().__new__(cls, cls.prefix + bytes(encoded).decode("ascii"))

    @classmethod
    def spelled(cls: type[Id], id: Id | int) -> Id:
        """The id, written out if it is still a number."""
        return id if isinstance(id, cls) else cls.spell(int(id))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({super().__repr__()})"


class ExecutionId(_Id):
    """The id of one execution of a callable: `exec_` and a KSUID."""

    __slots__ = ()
    prefix = "exec_"


class StepId(_Id):
    """The id of one step of an execution: `step_` and a KSUID."""

    __slots__ = ()
    prefix = "step_"


class IdSequence:
    """Fresh ids as plain numbers, in blocks, to be spelled out when asked for.

    Making a KSUID costs a microsecond and spelling it another; an addition
    costs nothing. So a block starts at a fresh KSUID, and the ids that follow
    in the same second count up from it. The top random bit of the start is
    cleared: a block would have to count 2**127 ids to touch the time.
    """

    def __init__(self) -> None:
        self._restart()
        os.register_at_fork(after_in_child=self._restart)

    def _restart(self) -> None:
        # A forked child must not count up from where its parent does; and
        # another thread may have held the lock at the fork.
        self._lock = threading.Lock()
        self._second = -1
        self._next = 0

    def take(self, count: int) -> range:
        """`count` fresh ids, as numbers for `spell`, in ascending order."""
        second = int(time.time())
        with self._lock:
            if second != self._second:
                self._second = second
                self._next = int.from_bytes(bytes(ksuid()), "big") & ~(1 << 127)
            first = self._next
            self._next += count
        return range(first, first + count)


# The ids of this process.
fresh_ids = IdSequence()
