"""Ids: `exec_` or `step_`, followed by a 27-character KSUID.

A KSUID is a time in seconds (4 bytes) and 16 random bytes, in base 62, so that ids sort by the time
at which they were made. Within one second and process, ids of this module also sort by the order in
which they were made: see `IdSequence`.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar

from cyksuid.v2 import BYTE_LENGTH, STRING_ENCODED_LENGTH, Ksuid, ksuid, parse

from enact_pool._model.field_readers import read_text
from enact_pool._python.public_names import public

__all__ = ["ExecutionId", "IdSequence", "StepId", "fresh_ids", "log_attributes"]

Id = TypeVar("Id", bound="_Id")


class _Id(str):
    """A string that is a well-formed id."""

    __slots__ = ()
    prefix: ClassVar[str]

    def __new__(cls: type[Id], text: str) -> Id:
        """Make an id of its text. Raises `ValueError` if `text` is not such an id."""
        encoded = text.removeprefix(cls.prefix)
        if encoded == text or len(encoded) != STRING_ENCODED_LENGTH or not encoded.isascii():
            raise ValueError(
                f"{text!r} is not a valid {cls.__name__}: expected {cls.prefix!r} and a KSUID"
            )
        try:
            parse(encoded)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{text!r} is not a valid {cls.__name__}: {error}") from error
        return super().__new__(cls, text)

    @classmethod
    def read(cls: type[Id], value: Any) -> Id:
        """Make an id of a value that was read. Raises `ValueError` if it is not such an id."""
        return cls(read_text(value))

    @classmethod
    def new(cls: type[Id]) -> Id:
        """Make a new id."""
        return cls.spell(int.from_bytes(bytes(ksuid()), "big"))

    @classmethod
    def spell(cls: type[Id], number: int) -> Id:
        """Return the id whose KSUID is this 160-bit number."""
        encoded = Ksuid.from_bytes(number.to_bytes(BYTE_LENGTH, "big")).encoded
        return super().__new__(cls, cls.prefix + bytes(encoded).decode("ascii"))

    @classmethod
    def spelled(cls: type[Id], id: Id | int) -> Id:
        """Return the id; convert it if it is still a number."""
        return id if isinstance(id, cls) else cls.spell(int(id))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({super().__repr__()})"


@public
class ExecutionId(_Id):
    """The id of one execution of a callable: `exec_` and a KSUID."""

    __slots__ = ()
    prefix = "exec_"


@public
class StepId(_Id):
    """The id of one step of an execution: `step_` and a KSUID."""

    __slots__ = ()
    prefix = "step_"


class IdSequence:
    """New ids as plain numbers, in blocks; `spell` converts a number when its text is needed.

    Making a KSUID costs a microsecond and converting it another; an addition costs nothing. So the
    first block starts at a new KSUID, and the next blocks of the same second start at distances of
    2**40 above it. The top random bit of the start is cleared: only after 2**87 blocks would the
    numbers reach into the time.
    """

    def __init__(self) -> None:
        self._restart()
        os.register_at_fork(after_in_child=self._restart)

    def _restart(self) -> None:
        # A forked child must not continue the sequence of its parent.
        self._blocks: tuple[int, Iterator[int]] = -1, iter(())

    def take(self, count: int) -> range:
        """Return `count` new ids, as numbers for `spell`, in ascending order; at most 2**40."""
        second = int(time.time())
        made_in, starts = self._blocks
        if second != made_in:
            start = int.from_bytes(bytes(ksuid()), "big") & ~(1 << 127)
            self._blocks = second, starts = second, itertools.count(start, 1 << 40)
        # `next` is one step, which neither a thread nor a signal handler can interrupt: no lock is
        # needed, which a handler could find held by its own thread.
        first = next(starts)
        return range(first, first + count)


# The id sequence of this process.
fresh_ids = IdSequence()


def log_attributes(index: int | None, name: str | None, id: int | None) -> dict[str, object]:
    """Return the additional attributes of a callable's log records; unknown ones are None."""
    spelled = None if id is None else ExecutionId.spelled(id)
    return {"callable_name": name, "callable_index": index, "execution_id": spelled}
